"""The true boxes of a clean split, as the scoring wants them."""

import numpy as np

from yolo.data.store.clean_set import Split
from yolo.metrics.voc_ap import Truth


def read_truth(split: Split) -> Truth:
    """Collect every object of the split, difficult ones too; `image` is the record's number."""
    boxes = [split.boxes(index) for index in range(len(split))]
    count = [len(own) for own in boxes]
    labels = [split.labels(index) for index in range(len(split))]
    difficult = [split.difficult(index) for index in range(len(split))]
    return Truth(
        image=np.repeat(np.arange(len(split)), count),
        label=np.concatenate([np.zeros(0, np.int64), *labels]).astype(np.int64),
        box=np.concatenate([np.zeros((0, 4)), *boxes]).astype(np.float64),
        difficult=np.concatenate([np.zeros(0, bool), *difficult]).astype(bool),
    )
