"""The columns that scoring takes: true boxes of a clean split, and detections of its images."""

from collections.abc import Sequence

import numpy as np

from yolo.data.store.clean_set import Split
from yolo.metrics.voc_ap import Detections, Truth
from yolo.model.detector.predict import Detected


def read_truth(split: Split) -> Truth:
    """Collect every object of the split, also difficult ones; `image` is the record's number."""
    boxes = [split.boxes(index) for index in range(len(split))]
    labels = [split.labels(index) for index in range(len(split))]
    difficult = [split.difficult(index) for index in range(len(split))]
    return Truth(
        image=np.repeat(np.arange(len(split)), [len(own) for own in boxes]),
        label=np.concatenate([np.zeros(0, np.int64), *labels]).astype(np.int64),
        box=np.concatenate([np.zeros((0, 4)), *boxes]).astype(np.float64),
        difficult=np.concatenate([np.zeros(0, bool), *difficult]).astype(bool),
    )


def to_columns(found: Sequence[Detected]) -> Detections:
    """Concatenate the detections of all images, the first image first."""
    return Detections(
        image=np.repeat(np.arange(len(found)), [len(own.scores) for own in found]),
        label=np.concatenate([np.zeros(0, np.int64), *(own.labels for own in found)]),
        score=np.concatenate([np.zeros(0, np.float32), *(own.scores for own in found)]),
        box=np.concatenate([np.zeros((0, 4), np.float32), *(own.boxes for own in found)]),
    )
