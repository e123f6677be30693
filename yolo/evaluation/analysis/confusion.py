"""Confusion matrix of detections and objects, with a background row and column."""

from dataclasses import dataclass

import numpy as np

from yolo.metrics.voc_ap import (
    MIN_OVERLAP,
    Detections,
    Integers,
    Truth,
    inclusive_iou,
)

BACKGROUND = "background"


@dataclass(frozen=True)
class Confusion:
    """A row per object, and per detection without an object; class indices, -1 for background.

    actual -1: a detection of background; predicted -1: a missed object.
    """

    actual: Integers
    predicted: Integers

    def matrix(self, classes: int) -> Integers:
        """(classes + 1, classes + 1): rows by `actual`, columns by `predicted`, background last."""
        side = classes + 1
        place = (self.actual % side) * side + self.predicted % side
        return np.bincount(place, minlength=side**2).reshape(side, side)


def confuse(detections: Detections, truth: Truth, threshold: float) -> Confusion:
    """Pair objects with detections of a score above `threshold`, of any class.

    Pairs are made by descending IoU down to 0.5, then by descending score; each object and each
    detection is paired once. Difficult objects and the detections paired with them are left out.
    """
    shown = np.flatnonzero(detections.score > threshold)
    of, object_ = _pairs(detections.image[shown], truth.image)
    iou = inclusive_iou(detections.box[shown][of], truth.box[object_])
    near = iou >= MIN_OVERLAP
    of, object_, iou = of[near], object_[near], iou[near]
    partner = np.full(len(shown), -1)
    free = np.ones(len(truth.image), dtype=bool)
    for place in np.lexsort((-detections.score[shown][of], -iou)):
        if partner[of[place]] < 0 and free[object_[place]]:
            partner[of[place]] = object_[place]
            free[object_[place]] = False
    label = detections.label[shown]
    hit = partner >= 0
    hit[hit] = ~truth.difficult[partner[hit]]
    false = partner < 0
    missed = truth.label[free & ~truth.difficult]
    return Confusion(
        np.concatenate([truth.label[partner[hit]], np.full(np.count_nonzero(false), -1), missed]),
        np.concatenate([label[hit], label[false], np.full(len(missed), -1)]),
    )


def _pairs(image: Integers, truth_image: Integers) -> tuple[Integers, Integers]:
    """Row numbers of every detection and object that share an image."""
    by_image = np.argsort(truth_image, kind="stable")
    ordered = truth_image[by_image]
    first = np.searchsorted(ordered, image, side="left")
    count = np.searchsorted(ordered, image, side="right") - first
    of = np.repeat(np.arange(len(image)), count)
    within = np.arange(len(of)) - np.repeat(np.cumsum(count) - count, count)
    return of, by_image[np.repeat(first, count) + within]
