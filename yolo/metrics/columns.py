"""From what was found in each picture to columns over all of them."""

from collections.abc import Sequence

import numpy as np

from yolo.metrics.voc_ap import Detections
from yolo.model.detector.predict import Detected


def to_columns(found: Sequence[Detected]) -> Detections:
    """Put the detections of picture 0, 1, … below each other."""
    return Detections(
        image=np.repeat(np.arange(len(found)), [len(own.scores) for own in found]),
        label=np.concatenate([np.zeros(0, np.int64), *(own.labels for own in found)]),
        score=np.concatenate([np.zeros(0, np.float32), *(own.scores for own in found)]),
        box=np.concatenate([np.zeros((0, 4), np.float32), *(own.boxes for own in found)]),
    )
