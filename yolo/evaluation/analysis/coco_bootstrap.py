"""COCO's average precision of resampled images, for its interval."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from yolo.evaluation.analysis.bootstrap import Weights, mean_defined_classes
from yolo.evaluation.analysis.coco_matches import IOUS, Matches
from yolo.metrics.voc_ap import Flags, Floats, Truth, rows_by_label

_CELLS_AT_ONCE = 2_000_000
_STEPS = 100
"""Precision is read at the recalls 0, 1/100 .. 1."""


@dataclass(frozen=True)
class Resampled:
    """Means of R resamples over the classes that have positives in them, NaN where none has any.

    map: (R,) AP@[.50:.95]; map50, map75: (R,) AP at one IoU.
    """

    map: Floats
    map50: Floats
    map75: Floats


def resample(matches: Matches, truth: Truth, classes: int, weights: Weights) -> Resampled:
    """Score every resample."""
    by_image = np.ascontiguousarray(weights.T)
    per_class = [
        _resample_class(matches, rows, _positives(truth, label, weights), by_image)
        for label, rows in enumerate(rows_by_label(matches.label, classes))
    ]
    by_iou = mean_defined_classes(np.stack(per_class, axis=1))
    at_50, at_75 = (by_iou[:, np.argmin(np.abs(IOUS - iou))] for iou in (0.5, 0.75))
    return Resampled(by_iou.mean(axis=1), at_50, at_75)


def _positives(truth: Truth, label: int, weights: Weights) -> NDArray[np.integer]:
    """(R,) objects of a class in each resample."""
    counted = (truth.label == label) & ~truth.difficult
    return weights @ np.bincount(truth.image[counted], minlength=weights.shape[1])


def _resample_class(
    matches: Matches,
    rows: NDArray[np.integer],
    positives: NDArray[np.integer],
    by_image: NDArray[np.int32],
) -> Floats:
    """(R, IOUS) AP of one class; by_image: (images, R), the resamples' weights."""
    ap = np.where(positives > 0, 0.0, np.nan)[:, None].repeat(len(IOUS), axis=1)
    # What comes after the last true detection changes nothing.
    rows = rows[: np.flatnonzero(matches.true[:, rows].any(axis=0)).max(initial=-1) + 1]
    at_once = max(1, _CELLS_AT_ONCE // max(len(rows), 1))
    for start in range(0, len(ap) if len(rows) else 0, at_once):
        part = slice(start, start + at_once)
        drawn = by_image[matches.image[rows], part]
        seen = np.cumsum(drawn, axis=0, dtype=np.int32)
        for number in range(len(IOUS)):
            true, passed = matches.true[number, rows], matches.passed[number, rows]
            ap[part, number] += _average_precision(drawn, seen, true, passed, positives[part])
    return ap


def _average_precision(
    drawn: NDArray[np.int32],
    seen: NDArray[np.int32],
    true: Flags,
    passed: Flags,
    positives: NDArray[np.integer],
) -> Floats:
    """(R,) AP; drawn, seen: (D, R) weights of the detections and their sums up to each."""
    places, ignored = np.flatnonzero(true), np.flatnonzero(passed)
    found = np.cumsum(drawn[places], axis=0, dtype=np.int32)
    counted = seen[places]
    if len(ignored):
        sums = np.pad(np.cumsum(drawn[ignored], axis=0, dtype=np.int32), ((1, 0), (0, 0)))
        counted -= sums[np.searchsorted(ignored, places)]
    precision = found / np.maximum(counted, 1)
    best = np.maximum.accumulate(precision[::-1])[::-1]
    recalls = _STEPS * found // np.maximum(positives, 1) + 1
    return np.einsum("dr,dr->r", np.diff(recalls, prepend=0, axis=0), best) / (_STEPS + 1)
