"""Which detections are true at each of COCO's IoUs: pycocotools' rules, for all images at once.

Of a class and an image, detections take objects by descending score: each the object that it
overlaps most among those that are free, if the overlap reaches the IoU. One that finds none of
these and lies in a difficult object (a crowd) is passed over.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from yolo.evaluation.analysis.coco_ap import MOST_DETECTIONS
from yolo.metrics.voc_ap import Detections, Flags, Integers, Truth, inclusive_iou

IOUS = np.linspace(0.5, 0.95, 10)


@dataclass(frozen=True)
class Matches:
    """The detections that count, by class, then by descending score.

    image, label: (D,) int; true, passed: (IOUS, D) bool, neither for a false detection.
    """

    image: Integers
    label: Integers
    true: Flags
    passed: Flags


@dataclass(frozen=True)
class _Pairs:
    """Detections and the objects that they may take: a detection's best first, the best detection
    first. detection, truth: (P,) int; overlap: (P,) float.
    """

    detection: Integers
    truth: Integers
    overlap: NDArray[np.floating]


def match(detections: Detections, truth: Truth) -> Matches:
    """Match the detections of every class and image."""
    group, truth_group = _groups(detections, truth)
    rows = np.lexsort((-detections.score, detections.label))
    rows = rows[_place_in_group(group[rows]) < MOST_DETECTIONS]
    pairs = _pairs(detections, rows, truth, group[rows], truth_group)
    true, passed = (np.zeros((len(IOUS), len(rows)), bool) for _ in range(2))
    for number, iou in enumerate(IOUS):
        near = pairs.overlap >= iou
        detection, taken = pairs.detection[near], pairs.truth[near]
        final = _take(detection, taken, truth.difficult)
        crowded = truth.difficult[taken[final]]
        true[number, detection[final[~crowded]]] = True
        passed[number, detection[final[crowded]]] = True
    return Matches(detections.image[rows], detections.label[rows], true, passed)


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
    # Of a crowd any part will do: the shared area over the detection's own.
    crowded = truth.difficult[taken]
    area, other = (
        np.prod(corners[crowded, 2:] - corners[crowded, :2] + 1, axis=1)
        for corners in (box, truth.box[taken].astype(np.float64))
    )
    part = overlap[crowded]
    overlap[crowded] = part * (area + other) / ((1 + part) * area)
    near = np.flatnonzero(overlap >= IOUS[0])
    # Of equals pycocotools takes the last.
    order = np.lexsort((-taken[near], -overlap[near], crowded[near], detection[near]))
    near = near[order]
    return _Pairs(detection[near], taken[near], overlap[near])


def _take(detection: Integers, taken: Integers, difficult: Flags) -> Integers:
    """Rows of the pairs that come about.

    Every detection asks for its best object; whom a better detection forestalls asks for its next
    one, until nobody is refused. Taking turns by score ends in the same pairs.
    """
    rows = np.arange(len(detection))
    while True:
        asked = rows[np.unique(detection[rows], return_index=True)[1]]
        single = asked[~difficult[taken[asked]]]
        won = single[np.unique(taken[single], return_index=True)[1]]
        if len(won) == len(single):
            return asked
        rows = np.setdiff1d(rows, np.setdiff1d(single, won, assume_unique=True), True)
