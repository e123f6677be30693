"""Detections of picture files, as records and as pictures."""

from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import torch

from yolo import runtime
from yolo.data import images
from yolo.errors import UserError
from yolo.evaluation.draw import draw
from yolo.evaluation.predict import Detected, Picture, detect, pick_device
from yolo.files import replacing
from yolo.model.detector import load_detector
from yolo.progress import progress

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff"})
"""Of the files that are taken from a folder; a file named by itself may have any."""
_AT_ONCE = 16
_JPEG_QUALITY = 92


def predict_files(
    paths: Sequence[Path],
    weights: Path,
    out: Path | None,
    *,
    score_threshold: float,
    nms_iou: float,
) -> tuple[list[dict[str, Any]], list[str]]:
    """Detect objects in files and in the pictures of folders, at any depth.

    Returns a record per picture (image, width, height, detections: label, score, box) in the order
    found, and a message per file that could not be read. Pictures with boxes go to `out`.

    Raises:
        UserError: There is no picture, or the weights cannot be read.
    """
    if not weights.is_file():
        raise UserError(
            f"{weights} does not exist; train with `make repro`, or name weights with --weights"
        )
    settings = runtime.from_environment()
    torch.set_num_threads(settings.threads)
    files, problems = _list_files(paths)
    if not files and not problems:
        raise UserError(f"no picture in {', '.join(map(str, paths))}")
    detector = load_detector(weights).to(pick_device(settings.device))
    classes = detector.spec.classes
    names = _picture_names(files)
    records: list[dict[str, Any]] = []
    readable = _read(progress(files, "predict"), problems)
    while group := list(islice(readable, _AT_ONCE)):
        found = detect(
            detector,
            [image for _, image in group],
            score_threshold=score_threshold,
            nms_iou=nms_iou,
        )
        for (path, image), own in zip(group, found, strict=True):
            records.append(_record(path, image, own, classes))
            if out is not None:
                picture = draw(image, own.boxes, own.labels.tolist(), own.scores.tolist(), classes)
                with replacing(out / names[path]) as temporary:
                    picture.save(temporary, "JPEG", quality=_JPEG_QUALITY)
    return records, problems


def _record(path: Path, image: Picture, found: Detected, classes: Sequence[str]) -> dict[str, Any]:
    return {
        "image": str(path),
        "width": image.shape[1],
        "height": image.shape[0],
        "detections": [
            {
                "label": classes[label],
                "score": round(score, 6),
                "box": [round(corner, 2) for corner in box],
            }
            for label, score, box in zip(
                found.labels.tolist(), found.scores.tolist(), found.boxes.tolist(), strict=True
            )
        ],
    }


def _read(files: Iterator[Path], problems: list[str]) -> Iterator[tuple[Path, Picture]]:
    for path in files:
        try:
            yield path, images.decode(path.read_bytes(), str(path))
        except UserError as error:
            problems.append(str(error))
        except OSError as error:
            problems.append(f"{path}: {error.strerror}")


def _list_files(paths: Sequence[Path]) -> tuple[list[Path], list[str]]:
    """Each file once, folders in sorted order; and a message per path that does not exist."""
    files: dict[Path, None] = {}
    problems = []
    for path in paths:
        if path.is_dir():
            inside = sorted(p for p in path.rglob("*") if p.suffix.lower() in SUFFIXES)
            files.update(dict.fromkeys(p for p in inside if p.is_file()))
        elif path.exists():
            files[path] = None
        else:
            problems.append(f"{path} does not exist")
    return list(files), problems


def _picture_names(files: Sequence[Path]) -> dict[Path, str]:
    """`<stem>.jpg`, numbered where several files have one stem."""
    names: dict[Path, str] = {}
    used: set[str] = set()
    for path in files:
        name, count = f"{path.stem}.jpg", 1
        while name in used:
            count += 1
            name = f"{path.stem}-{count}.jpg"
        used.add(name)
        names[path] = name
    return names
