"""Calibration: whether eight of ten detections with a score of 0.8 are right."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from yolo.metrics.voc_ap import Floats, Integers, Ranking

BINS = 10


@dataclass(frozen=True)
class Calibration:
    """Detections of all classes in `BINS` equal bins of the score, 0..1.

    count: (BINS,) int; score, precision: (BINS,) means, NaN in an empty bin.
    error: expected calibration error, the mean of |score - precision| of the bins over detections.
    """

    count: Integers
    score: Floats
    precision: Floats
    error: float


def calibrate(rankings: Sequence[Ranking]) -> Calibration:
    """Compare scores with precision, without ignored detections; scores are clipped to 0..1."""
    counted = [r.true | r.false for r in rankings]
    score = np.concatenate([r.score[c] for r, c in zip(rankings, counted, strict=True)])
    true = np.concatenate([r.true[c] for r, c in zip(rankings, counted, strict=True)])
    score = np.clip(score, 0.0, 1.0).astype(np.float64)
    place = np.minimum((score * BINS).astype(np.int64), BINS - 1)
    count = np.bincount(place, minlength=BINS)
    some = np.where(count > 0, count, np.nan)
    mean_score = np.bincount(place, weights=score, minlength=BINS) / some
    precision = np.bincount(place, weights=true, minlength=BINS) / some
    gaps = np.abs(mean_score - precision)
    error = float(np.nansum(gaps * count) / max(len(score), 1))
    return Calibration(count, mean_score, precision, error)
