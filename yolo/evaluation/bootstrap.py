"""How far the scores would move on other images of the same kind: the bootstrap over images."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from yolo.evaluation.voc_ap import Floats, Ranking, Truth

RESAMPLES = 1000
LEVEL = 0.95
_CELLS_AT_ONCE = 4_000_000

Weights = NDArray[np.int32]
"""(R, images): how often each image is drawn in each of R resamples."""
Interval = tuple[float, float]


@dataclass(frozen=True)
class Resampled:
    """Scores of R resamples. ap07, ap: (R, classes); the means (R,) leave NaN classes out."""

    ap07: Floats
    ap: Floats
    voc07_map: Floats
    voc_map: Floats


def draw(images: int, resamples: int = RESAMPLES, seed: int = 0) -> Weights:
    """Draw as many images as there are, with replacement, `resamples` times."""
    rng = np.random.default_rng(seed)
    share = np.full(images, 1 / images)
    return rng.multinomial(images, share, size=resamples).astype(np.int32)


def resample(rankings: Sequence[Ranking], truth: Truth, weights: Weights) -> Resampled:
    """Score every resample; detections need no new matching, it never crosses images."""
    results = []
    for label, ranking in enumerate(rankings):
        counted = (truth.label == label) & ~truth.difficult
        per_image = np.bincount(truth.image[counted], minlength=weights.shape[1])
        results.append(_resample_class(ranking, weights, weights @ per_image))
    ap07, ap = (np.stack(columns, axis=1) for columns in zip(*results, strict=True))
    return Resampled(ap07, ap, _mean_defined(ap07), _mean_defined(ap))


def interval(values: Floats, level: float = LEVEL) -> Interval:
    """Percentile interval of (R,) resampled values; NaN where none is defined."""
    defined = values[~np.isnan(values)]
    if len(defined) == 0:
        return float("nan"), float("nan")
    low, high = np.quantile(defined, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def _resample_class(
    ranking: Ranking, weights: Weights, positives: NDArray[np.integer]
) -> tuple[Floats, Floats]:
    """(R,) ap07 and ap of one class; precision is looked at after each true detection only.

    Nothing is lost: between two true detections precision falls, recall stays.
    """
    undefined = np.where(positives > 0, 0.0, np.nan)
    places = np.flatnonzero(ranking.true)
    if len(places) == 0:
        return undefined, undefined
    counted = (ranking.true | ranking.false)[: places[-1] + 1]
    image = ranking.image[: places[-1] + 1][counted]
    places = np.flatnonzero(ranking.true[: places[-1] + 1][counted])
    rows = max(1, _CELLS_AT_ONCE // len(image))
    parts = [
        _curves(weights[start : start + rows], image, places, positives[start : start + rows])
        for start in range(0, len(weights), rows)
    ]
    ap07, ap = (np.concatenate(columns) for columns in zip(*parts, strict=True))
    return ap07 + undefined, ap + undefined


def _curves(
    weights: Weights,
    image: NDArray[np.integer],
    places: NDArray[np.integer],
    positives: NDArray[np.integer],
) -> tuple[Floats, Floats]:
    true = np.cumsum(weights[:, image[places]], axis=1)
    total = np.cumsum(weights[:, image], axis=1)[:, places]
    recall = true / np.maximum(positives, 1)[:, None]
    precision = true / np.maximum(total, 1)
    envelope = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
    ap = np.sum(np.diff(recall, prepend=0.0, axis=1) * envelope, axis=1)
    padded = np.pad(envelope, ((0, 0), (0, 1)))
    reached = [np.count_nonzero(recall < k / 10, axis=1) for k in range(11)]
    ap07 = np.take_along_axis(padded, np.stack(reached, axis=1), axis=1).mean(axis=1)
    return ap07, ap


def _mean_defined(values: Floats) -> Floats:
    """Mean over the columns that are not NaN; NaN for a row without any."""
    defined = ~np.isnan(values)
    count = defined.sum(axis=1)
    total = np.where(defined, values, 0.0).sum(axis=1)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)
