"""Confidence intervals by the bootstrap over images: how scores vary with the test images."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from yolo.metrics.voc_ap import Floats, Ranking, Truth

RESAMPLES = 1000
LEVEL = 0.95
_CELLS_AT_ONCE = 2_000_000

Weights = NDArray[np.int32]
"""(R, images): how often each image is drawn in each of R resamples."""
Interval = tuple[float, float]


@dataclass(frozen=True)
class Resampled:
    """Scores of R resamples. ap07, ap: (R, classes); the means (R,) skip classes that are NaN."""

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
    """Score every resample. Matching never crosses images, so it need not be repeated."""
    most = max((int(np.count_nonzero(ranking.true)) for ranking in rankings), default=0)
    at_once = max(1, _CELLS_AT_ONCE // max(most, 1))
    parts = [
        _resample_part(rankings, truth, weights[start : start + at_once])
        for start in range(0, len(weights), at_once)
    ]
    ap07, ap = (np.concatenate(columns) for columns in zip(*parts, strict=True))
    return Resampled(ap07, ap, mean_defined_classes(ap07), mean_defined_classes(ap))


def interval(values: Floats, level: float = LEVEL) -> Interval:
    """Percentile interval of (R,) resampled values; NaN if none is defined."""
    defined = values[~np.isnan(values)]
    if len(defined) == 0:
        return float("nan"), float("nan")
    low, high = np.quantile(defined, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def _resample_part(
    rankings: Sequence[Ranking], truth: Truth, weights: Weights
) -> tuple[Floats, Floats]:
    """(R, classes) ap07 and ap."""
    by_image = np.ascontiguousarray(weights.T)
    results = []
    for label, ranking in enumerate(rankings):
        counted = (truth.label == label) & ~truth.difficult
        objects = np.bincount(truth.image[counted], minlength=len(by_image))
        results.append(_resample_class(ranking, by_image, weights @ objects))
    ap07, ap = (np.stack(columns, axis=1) for columns in zip(*results, strict=True))
    return ap07, ap


def _resample_class(
    ranking: Ranking, by_image: NDArray[np.int32], positives: NDArray[np.integer]
) -> tuple[Floats, Floats]:
    """(R,) ap07 and ap of one class, from the precision after each true detection.

    That is enough: between two true detections precision only falls and recall stays the same.
    by_image: (images, R), the resamples' weights; positives: (R,) objects in each resample.
    """
    undefined = np.where(positives > 0, 0.0, np.nan)
    rows = np.flatnonzero(ranking.true | ranking.false)
    places = np.flatnonzero(ranking.true[rows])
    if len(places) == 0:
        return undefined, undefined
    image = ranking.image[rows[: places[-1] + 1]]
    true = np.cumsum(by_image[image[places]], axis=0)
    total = np.cumsum(_sum_up_to(places, image, by_image), axis=0)
    recall = true / np.maximum(positives, 1)
    precision = true / np.maximum(total, 1)
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    ap = np.sum(np.diff(recall, prepend=0.0, axis=0) * envelope, axis=0)
    reached = np.stack([np.count_nonzero(recall < k / 10, axis=0) for k in range(11)])
    padded = np.pad(envelope, ((0, 1), (0, 0)))
    ap07 = np.take_along_axis(padded, reached, axis=0).mean(axis=0)
    return ap07 + undefined, ap + undefined


def _sum_up_to(
    places: NDArray[np.integer], image: NDArray[np.integer], by_image: NDArray[np.int32]
) -> NDArray[np.int32]:
    """(len(places), R): for each place the summed weights of the rows since the previous place."""
    starts = np.concatenate([[0], places[:-1] + 1])
    at_once = max(1, _CELLS_AT_ONCE // by_image.shape[1])
    # a block's end splits a sum; the parts are added below
    cuts = np.union1d(starts, np.arange(0, len(image), at_once))
    sums = []
    for begin in range(0, len(image), at_once):
        inside = cuts[(cuts >= begin) & (cuts < begin + at_once)] - begin
        sums.append(np.add.reduceat(by_image[image[begin : begin + at_once]], inside))
    return np.add.reduceat(np.concatenate(sums), np.searchsorted(cuts, starts))


def mean_defined_classes(values: Floats) -> Floats:
    """(R, classes, ...) → (R, ...): mean over the classes that are not NaN; NaN if all are."""
    defined = ~np.isnan(values)
    count = defined.sum(axis=1)
    total = np.where(defined, values, 0.0).sum(axis=1)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)
