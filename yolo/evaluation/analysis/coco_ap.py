"""Average precision by COCO's rules, those of pycocotools, for all images at once.

AP is the mean over the IoUs 0.50, 0.55 .. 0.95 of the precision at 101 recalls. In each image the
100 best detections of a class count. They take objects by descending score: each takes the free
object that it overlaps most, if the overlap reaches the IoU. Difficult objects are COCO's crowds:
they are not counted as positives, and a detection that takes no object but lies in a crowd (by the
shared area over its own area) is ignored. Boxes are inclusive pixels, as for VOC: a box is
xmax - xmin + 1 wide.

pycocotools scores one set of images. The confidence interval needs a thousand resamples of it, so
the matching is done once and its result is summed with the weights of each resample.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from yolo.evaluation.analysis.bootstrap import Weights, mean_defined_classes
from yolo.metrics.voc_ap import (
    Detections,
    Flags,
    Floats,
    Integers,
    Truth,
    inclusive_iou,
    mean_defined,
    rows_by_label,
)

MOST_DETECTIONS = 100
"""Per class and image, COCO's maxDets."""
IOUS = np.linspace(0.5, 0.95, 10)
RECALLS = np.linspace(0, 1, 101)
_CELLS_AT_ONCE = 2_000_000


@dataclass(frozen=True)
class CocoScores:
    """AP in 0..1 over the classes that have positives; NaN when none has.

    map: AP@[.50:.95]; map50, map75: AP at one IoU. ap: (classes,) AP@[.50:.95], NaN for a class
    without positives.
    """

    map: float
    map50: float
    map75: float
    ap: Floats


@dataclass(frozen=True)
class Resampled:
    """Means of R resamples over the classes that have positives in them, NaN where none has any.

    map: (R,) AP@[.50:.95]; map50, map75: (R,) AP at one IoU.
    """

    map: Floats
    map50: Floats
    map75: Floats


@dataclass(frozen=True)
class Matches:
    """The detections that count, by class, then by descending score.

    image, label: (D,) int; true, ignored: (IOUS, D) bool, neither for a false detection.
    """

    image: Integers
    label: Integers
    true: Flags
    ignored: Flags


def score(matches: Matches, truth: Truth, classes: int, images: int) -> CocoScores:
    """Score matched detections of class indices 0..classes-1 on `images` images."""
    once = np.ones((1, images), np.int32)
    ap = _ap_by_iou(matches, truth, classes, once)[0]
    at_50, at_75 = (ap[:, _place(iou)] for iou in (0.5, 0.75))
    ap = ap.mean(axis=1)
    return CocoScores(*(mean_defined(values.tolist()) for values in (ap, at_50, at_75)), ap=ap)


def resample(matches: Matches, truth: Truth, classes: int, weights: Weights) -> Resampled:
    """Score every resample of the images; no detection needs to be matched again."""
    by_iou = mean_defined_classes(_ap_by_iou(matches, truth, classes, weights))
    return Resampled(by_iou.mean(axis=1), *(by_iou[:, _place(iou)] for iou in (0.5, 0.75)))


def match(detections: Detections, truth: Truth) -> Matches:
    """Match the detections of every class and image at each IoU."""
    group, truth_group = _groups(detections, truth)
    # equal scores: by image, then in the order of the rows, as in pycocotools
    rows = np.lexsort((detections.image, -detections.score, detections.label))
    rows = rows[_place_in_group(group[rows]) < MOST_DETECTIONS]
    pairs = _pairs(detections, rows, truth, group[rows], truth_group)
    true, ignored = (np.zeros((len(IOUS), len(rows)), bool) for _ in range(2))
    for number, iou in enumerate(IOUS):
        near = pairs.overlap >= iou
        detection, taken = pairs.detection[near], pairs.truth[near]
        final = _take(detection, taken, truth.difficult)
        crowded = truth.difficult[taken[final]]
        true[number, detection[final[~crowded]]] = True
        ignored[number, detection[final[crowded]]] = True
    return Matches(detections.image[rows], detections.label[rows], true, ignored)


def _place(iou: float) -> int:
    return int(np.argmin(np.abs(IOUS - iou)))


def _ap_by_iou(matches: Matches, truth: Truth, classes: int, weights: Weights) -> Floats:
    """(R, classes, IOUS) AP, NaN for a class without positives."""
    by_image = np.ascontiguousarray(weights.T)
    per_class = [
        _ap_of_class(matches, rows, _positives(truth, label, weights), by_image)
        for label, rows in enumerate(rows_by_label(matches.label, classes))
    ]
    return np.stack(per_class, axis=1)


def _positives(truth: Truth, label: int, weights: Weights) -> NDArray[np.integer]:
    """(R,) objects of a class in each resample."""
    counted = (truth.label == label) & ~truth.difficult
    return weights @ np.bincount(truth.image[counted], minlength=weights.shape[1])


def _ap_of_class(
    matches: Matches,
    rows: NDArray[np.integer],
    positives: NDArray[np.integer],
    by_image: NDArray[np.int32],
) -> Floats:
    """(R, IOUS) AP of one class; by_image: (images, R), the resamples' weights."""
    ap = np.where(positives > 0, 0.0, np.nan)[:, None].repeat(len(IOUS), axis=1)
    # Detections after the last true one change nothing.
    rows = rows[: np.flatnonzero(matches.true[:, rows].any(axis=0)).max(initial=-1) + 1]
    at_once = max(1, _CELLS_AT_ONCE // max(len(rows), 1))
    for start in range(0, len(ap) if len(rows) else 0, at_once):
        part = slice(start, start + at_once)
        drawn = by_image[matches.image[rows], part]
        seen = np.cumsum(drawn, axis=0, dtype=np.int32)
        for number in range(len(IOUS)):
            true, ignored = matches.true[number, rows], matches.ignored[number, rows]
            ap[part, number] += _average_precision(drawn, seen, true, ignored, positives[part])
    return ap


def _average_precision(
    drawn: NDArray[np.int32],
    seen: NDArray[np.int32],
    true: Flags,
    ignored: Flags,
    positives: NDArray[np.integer],
) -> Floats:
    """(R,) AP; drawn, seen: (D, R) weights of the detections and their running sums."""
    places, passed = np.flatnonzero(true), np.flatnonzero(ignored)
    found = np.cumsum(drawn[places], axis=0, dtype=np.int32)
    counted = seen[places]
    if len(passed):
        sums = np.pad(np.cumsum(drawn[passed], axis=0, dtype=np.int32), ((1, 0), (0, 0)))
        counted -= sums[np.searchsorted(passed, places)]
    precision = found / np.maximum(counted, 1)
    best = np.maximum.accumulate(precision[::-1])[::-1]
    return np.einsum("dr,dr->r", np.diff(_reached(found, positives), prepend=0, axis=0), best) / (
        len(RECALLS)
    )


def _reached(found: NDArray[np.int32], positives: NDArray[np.integer]) -> NDArray[np.integer]:
    """(D, R) how many of `RECALLS` are reached, by the floats that pycocotools compares."""
    positives = np.maximum(positives, 1)
    last = len(RECALLS) - 1
    highest = np.minimum(last * found // positives, last)
    # 29 of 100 objects: the recall is 0.29, the threshold 0.29000000000000004
    return highest + (RECALLS[highest] <= found / positives)


@dataclass(frozen=True)
class _Pairs:
    """Detections and the objects that they may take, by detection, best object first.

    detection, truth: (P,) int; overlap: (P,) float.
    """

    detection: Integers
    truth: Integers
    overlap: NDArray[np.floating]


def _groups(detections: Detections, truth: Truth) -> tuple[Integers, Integers]:
    """A number for each class of each image, of the detections and of the objects."""
    classes = int(max(detections.label.max(initial=0), truth.label.max(initial=0))) + 1
    return (
        detections.image.astype(np.int64) * classes + detections.label,
        truth.image.astype(np.int64) * classes + truth.label,
    )


def _place_in_group(group: Integers) -> Integers:
    """(D,) how many rows of the same group stand before each row."""
    order = np.argsort(group, kind="stable")
    ranked = group[order]
    place = np.empty(len(group), np.int64)
    place[order] = np.arange(len(group)) - np.searchsorted(ranked, ranked)
    return place


def _pairs(
    detections: Detections, rows: Integers, truth: Truth, group: Integers, truth_group: Integers
) -> _Pairs:
    by_group = np.argsort(truth_group, kind="stable")
    first = np.searchsorted(truth_group[by_group], group)
    count = np.searchsorted(truth_group[by_group], group, side="right") - first
    detection = np.repeat(np.arange(len(rows)), count)
    nth = np.arange(len(detection)) - np.repeat(np.cumsum(count) - count, count)
    taken = by_group[first[detection] + nth]
    box = detections.box[rows][detection].astype(np.float64)
    overlap = inclusive_iou(box, truth.box[taken])
    # Any part of a crowd will do: the shared area over the detection's own.
    crowded = truth.difficult[taken]
    area, other = (
        np.prod(corners[crowded, 2:] - corners[crowded, :2] + 1, axis=1)
        for corners in (box, truth.box[taken].astype(np.float64))
    )
    part = overlap[crowded]
    overlap[crowded] = part * (area + other) / ((1 + part) * area)
    near = np.flatnonzero(overlap >= IOUS[0])
    # Of equal overlaps pycocotools takes the last object.
    order = np.lexsort((-taken[near], -overlap[near], crowded[near], detection[near]))
    near = near[order]
    return _Pairs(detection[near], taken[near], overlap[near])


def _take(detection: Integers, taken: Integers, difficult: Flags) -> Integers:
    """Rows of the pairs that are matched.

    Every detection asks for its best object. One that loses its object to a better detection asks
    for its next best, until all have an object or none left. Taking turns by score gives the same
    pairs.
    """
    rows = np.arange(len(detection))
    while True:
        asked = rows[np.unique(detection[rows], return_index=True)[1]]
        single = asked[~difficult[taken[asked]]]
        won = single[np.unique(taken[single], return_index=True)[1]]
        if len(won) == len(single):
            return asked
        rows = np.setdiff1d(rows, np.setdiff1d(single, won, assume_unique=True), True)
