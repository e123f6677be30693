"""Detections of images, videos and cameras, as records and as images with boxes."""

import io
import os
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from yolo.errors import UserError
from yolo.evaluation.report.draw import draw
from yolo.files import replacing
from yolo.inference.model import BATCH, Model
from yolo.inference.results import record
from yolo.inference.sources import (
    Frame,
    Video,
    VideoWriter,
    is_video,
    list_files,
    read_images,
)
from yolo.model.detector.predict import Detected
from yolo.runtime.progress import progress

_JPEG_QUALITY = 92
Found = Iterator[tuple[Frame, Detected]]


def predict_paths(
    paths: Sequence[str],
    model: Model,
    drawings: Path | None,
    *,
    score_threshold: float,
    nms_iou: float,
    camera: Path | None = None,
    frames: int | None = None,
) -> tuple[list[dict[str, Any]], list[str]]:
    """Detect objects in images, videos, folders and patterns of them, and a camera.

    Args:
        paths: Files, folders and patterns.
        model: The detector.
        drawings: Folder for images and videos with boxes; None: draw none.
        score_threshold: As for `Model.predict`.
        nms_iou: As for `Model.predict`.
        camera: Path of a camera.
        frames: Most frames to read of each video and of the camera.

    Returns:
        A record per image (image, width, height, detections: label, score, box) or frame (with
        `frame`, its number from 0) in order, and a message per file that could not be read whole.

    Raises:
        UserError: There is nothing to predict on.
    """
    files, problems = list_files(paths)
    if not files and camera is None:
        raise UserError("; ".join(problems) or "no image given")
    names = _names(files)

    def detect(source: Iterable[Frame], batch: int = BATCH) -> Found:
        return _detect(source, model, batch, score_threshold=score_threshold, nms_iou=nms_iou)

    records: list[dict[str, Any]] = []
    still = [path for path in files if not is_video(path)]
    for frame, found in detect(read_images(progress(still, "predict"), problems)):
        records.append(_record(frame, found, model))
        if drawings is not None:
            # Encoded in memory: on a full disk Pillow writes a truncated file without an error.
            encoded = io.BytesIO()
            _drawn(frame, found, model).save(encoded, "JPEG", quality=_JPEG_QUALITY)
            with replacing(drawings / names[frame.source]) as temporary:
                temporary.write_bytes(encoded.getvalue())
    moving = [(path, None) for path in files if is_video(path)]
    for path, kind in [*moving, *([(camera, "v4l2")] if camera else [])]:
        try:
            # tests use a regular file as the camera
            video = Video(path, problems, kind if kind and not path.is_file() else None)
        except UserError as error:
            problems.append(str(error))
            continue
        # frames of a camera are shown one by one, not in batches
        results = detect(video.frames(frames), 1 if kind else BATCH)
        name = names.get(path, "camera.mp4")
        records += _watch(results, video, None if drawings is None else drawings / name, model)
    return records, problems


def _detect(source: Iterable[Frame], model: Model, batch: int, **thresholds: float) -> Found:
    remaining = iter(source)
    while group := list(islice(remaining, batch)):
        found = model.predict([frame.image for frame in group], batch=batch, **thresholds)
        yield from zip(group, found, strict=True)


def _watch(results: Found, video: Video, out: Path | None, model: Model) -> list[dict[str, Any]]:
    """Return the records of a video; with `out`, write it with boxes unless it has no frame."""
    if out is None:
        return [_record(frame, found, model) for frame, found in results]
    first = next(results, None)
    if first is None:
        return []
    records = []

    def append(writer: VideoWriter, frame: Frame, found: Detected) -> None:
        records.append(_record(frame, found, model))
        writer.write(np.asarray(_drawn(frame, found, model)))

    with replacing(out) as temporary:
        writer = VideoWriter(temporary, video.rate)
        try:
            append(writer, *first)
            for frame, found in results:
                append(writer, frame, found)
        finally:
            writer.close()
    return records


def _record(frame: Frame, found: Detected, model: Model) -> dict[str, Any]:
    height, width = frame.image.shape[:2]
    # a file name may be any bytes; our output is UTF-8
    name = os.fsencode(frame.source).decode("utf-8", "replace")
    own = record(name, width, height, found, model.classes)
    return own if frame.number is None else {"frame": frame.number, **own}


def _drawn(frame: Frame, found: Detected, model: Model) -> Any:
    labels, scores = found.labels.tolist(), found.scores.tolist()
    return draw(frame.image, found.boxes, labels, scores, model.classes)


def _names(files: Sequence[Path]) -> dict[Path, str]:
    """`<stem>.jpg` or `<stem>.mp4`, numbered where several files share a stem."""
    names: dict[Path, str] = {}
    used: set[str] = set()
    for path in files:
        ending = ".mp4" if is_video(path) else ".jpg"
        name, count = f"{path.stem}{ending}", 1
        while name in used:
            count += 1
            name = f"{path.stem}-{count}{ending}"
        used.add(name)
        names[path] = name
    return names
