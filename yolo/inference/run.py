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
from yolo.inference.model import AT_ONCE, Model
from yolo.inference.results import record
from yolo.inference.sources import (
    Frame,
    Video,
    VideoWriter,
    is_video,
    list_files,
    read_pictures,
)
from yolo.model.detector.predict import Detected
from yolo.runtime.progress import progress

_JPEG_QUALITY = 92
Found = Iterator[tuple[Frame, Detected]]


def predict_paths(
    paths: Sequence[str],
    model: Model,
    pictures: Path | None,
    *,
    score_threshold: float,
    nms_iou: float,
    camera: Path | None = None,
    frames: int | None = None,
) -> tuple[list[dict[str, Any]], list[str]]:
    """Detect objects in images, videos, folders and patterns of them, and a camera.

    Returns a record per image (image, width, height, detections: label, score, box) or frame
    (with `frame`, its number from 0) in the order found, and a message per file that could not be
    read whole. Images and videos with boxes go to the folder `pictures`. Of each video and of
    the camera at most `frames` are taken.

    Raises:
        UserError: There is nothing to predict on.
    """
    files, problems = list_files(paths)
    if not files and camera is None:
        raise UserError("; ".join(problems) or "no image given")
    names = _names(files)

    def detect(source: Iterable[Frame], batch: int = AT_ONCE) -> Found:
        return _detect(source, model, batch, score_threshold=score_threshold, nms_iou=nms_iou)

    records: list[dict[str, Any]] = []
    still = [path for path in files if not is_video(path)]
    for frame, found in detect(read_pictures(progress(still, "predict"), problems)):
        records.append(_record(frame, found, model))
        if pictures is not None:
            # not straight into the file: on a full disk Pillow leaves the rest out and says nothing
            encoded = io.BytesIO()
            _drawn(frame, found, model).save(encoded, "JPEG", quality=_JPEG_QUALITY)
            with replacing(pictures / names[frame.source]) as temporary:
                temporary.write_bytes(encoded.getvalue())
    moving = [(path, None) for path in files if is_video(path)]
    for path, kind in [*moving, *([(camera, "v4l2")] if camera else [])]:
        try:
            # a regular file stands in for a camera
            video = Video(path, problems, kind if kind and not path.is_file() else None)
        except UserError as error:
            problems.append(str(error))
            continue
        # a camera is shown at once, not in groups
        results = detect(video.frames(frames), 1 if kind else AT_ONCE)
        name = names.get(path, "camera.mp4")
        records += _watch(results, video, None if pictures is None else pictures / name, model)
    return records, problems


def _detect(source: Iterable[Frame], model: Model, batch: int, **thresholds: float) -> Found:
    remaining = iter(source)
    while group := list(islice(remaining, batch)):
        found = model.predict([frame.picture for frame in group], batch=batch, **thresholds)
        yield from zip(group, found, strict=True)


def _watch(results: Found, video: Video, out: Path | None, model: Model) -> list[dict[str, Any]]:
    """Records of a video; with `out`, the video with boxes too, if it has a frame at all."""
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
    height, width = frame.picture.shape[:2]
    # a name need not be UTF-8, what we write is
    name = os.fsencode(frame.source).decode("utf-8", "replace")
    own = record(name, width, height, found, model.classes)
    return own if frame.number is None else {"frame": frame.number, **own}


def _drawn(frame: Frame, found: Detected, model: Model) -> Any:
    labels, scores = found.labels.tolist(), found.scores.tolist()
    return draw(frame.picture, found.boxes, labels, scores, model.classes)


def _names(files: Sequence[Path]) -> dict[Path, str]:
    """`<stem>.jpg` or `<stem>.mp4`, numbered where several files have one stem."""
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
