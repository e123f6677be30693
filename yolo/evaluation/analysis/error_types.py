"""Error types of false detections (paper section 2.4, figure 4; Hoiem, ECCV 2012), and their cost.

A false detection has the first type that applies: `localisation`, an object of its class overlaps
it with IoU >= 0.1 (also a second detection of one object); `similar`, an object of a similar class
does; `other`, an object of any other class does; `background`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from yolo.metrics.voc_ap import (
    Detections,
    Flags,
    Ranking,
    Scores,
    Truth,
    best_overlap,
    summarise,
)

KINDS = ("localisation", "similar", "other", "background")
MIN_OVERLAP = 0.1
SIZES = (("small", 0.0, 0.1), ("medium", 0.1, 0.3), ("large", 0.3, np.inf))
"""Name and range of the size relative to the image: square root of the share of its area."""

_SIMILAR = (
    {"aeroplane", "bicycle", "boat", "bus", "car", "motorbike", "train"},
    {"bird", "cat", "cow", "dog", "horse", "sheep", "person"},
    {"chair", "diningtable", "sofa"},
    {"aeroplane", "bird"},
)
"""Hoiem's groups of VOC classes; classes of other data sets have no similar ones."""

Kinds = NDArray[np.int8]
"""(D,) index into `KINDS` of each detection of a ranking, -1 for one that is not false."""


@dataclass(frozen=True)
class Anatomy:
    """What the N best detections of a class are, N being the number of its objects.

    `correct` and the counts of `false` add up to `considered`, which is at most N.
    """

    considered: int
    correct: int
    false: dict[str, int]


@dataclass(frozen=True)
class SizeRow:
    """Objects of one size that are not difficult, and how many of them were found."""

    size: str
    objects: int
    found: int
    """By any detection."""
    shown: int
    """By a detection with a score above `picture_threshold`."""

    @property
    def label(self) -> str:
        """Name of the size with its range in percent of the image's side."""
        low, high = next((low, high) for name, low, high in SIZES if name == self.size)
        if np.isinf(high):
            return f"{self.size} (from {low:.0%})"
        return f"{self.size} ({low:.0%} to {high:.0%})"


def similar_classes(classes: Sequence[str]) -> list[set[int]]:
    """Return the indices of the similar classes of each class."""
    return [
        {
            other
            for other, candidate in enumerate(classes)
            if candidate != name and any({name, candidate} <= group for group in _SIMILAR)
        }
        for name in classes
    ]


def kinds(
    rankings: Sequence[Ranking], detections: Detections, truth: Truth, classes: Sequence[str]
) -> list[Kinds]:
    """Return the error type of each false detection of each class."""
    return [
        _kinds_of_class(ranking, label, similar, detections, truth)
        for (label, ranking), similar in zip(
            enumerate(rankings), similar_classes(classes), strict=True
        )
    ]


def anatomy(ranking: Ranking, kind: Kinds) -> Anatomy:
    """Count what the N best detections of a class are; ignored ones are skipped."""
    best = np.flatnonzero(ranking.true | ranking.false)[: ranking.positives]
    return Anatomy(
        considered=len(best),
        correct=int(np.count_nonzero(ranking.true[best])),
        false={
            name: int(np.count_nonzero(kind[best] == place)) for place, name in enumerate(KINDS)
        },
    )


def fixed(rankings: Sequence[Ranking], kind: Sequence[Kinds], truth: Truth) -> dict[str, Scores]:
    """Return the scores without each error type.

    Without `localisation`: each such detection counts as true if its object is still free, else it
    is dropped. Without the other types: such detections are dropped. Without `missed`: objects that
    no detection found are not counted.
    """
    results = {
        name: summarise(
            [
                _without(ranking, own == place, truth, correct=name == "localisation")
                for ranking, own in zip(rankings, kind, strict=True)
            ]
        )
        for place, name in enumerate(KINDS)
    }
    found = [replace(r, positives=int(np.count_nonzero(r.true))) for r in rankings]
    # a class without a true detection keeps its 0 instead of becoming undefined
    kept = [new if new.positives else old for new, old in zip(found, rankings, strict=True)]
    return {**results, "missed": summarise(kept)}


def missed_by_size(
    rankings: Sequence[Ranking], truth: Truth, sizes: NDArray[np.integer], threshold: float
) -> list[SizeRow]:
    """Count objects and found objects by size; sizes: (images, 2) width and height."""
    found, shown = np.zeros(len(truth.image), bool), np.zeros(len(truth.image), bool)
    for ranking in rankings:
        found[ranking.nearest[ranking.true]] = True
        shown[ranking.nearest[ranking.true & (ranking.score > threshold)]] = True
    extent = np.maximum(truth.box[:, 2:] - truth.box[:, :2] + 1, 0)
    side = np.sqrt(np.prod(extent / sizes[truth.image], axis=1))
    rows = []
    for name, low, high in SIZES:
        chosen = (side >= low) & (side < high) & ~truth.difficult
        rows.append(
            SizeRow(name, *(int(np.count_nonzero(chosen & f)) for f in (chosen, found, shown)))
        )
    return rows


def _kinds_of_class(
    ranking: Ranking, label: int, similar: set[int], detections: Detections, truth: Truth
) -> Kinds:
    result = np.full(len(ranking.row), -1, dtype=np.int8)
    false = np.flatnonzero(ranking.false)
    image, box = ranking.image[false], detections.box[ranking.row[false]]

    def overlaps(objects: Flags) -> Flags:
        iou, _ = best_overlap(image, box, truth.image[objects], truth.box[objects])
        return iou >= MIN_OVERLAP

    alike = np.isin(truth.label, list(similar))
    result[false] = np.select(
        [
            ranking.overlap[false] >= MIN_OVERLAP,
            overlaps(alike),
            overlaps(~alike & (truth.label != label)),
        ],
        [0, 1, 2],
        default=3,
    )
    return result


def _without(ranking: Ranking, error: Flags, truth: Truth, *, correct: bool) -> Ranking:
    true = ranking.true.copy()
    if correct:
        candidates = np.flatnonzero(error)
        nearest = ranking.nearest[candidates]
        free = ~np.isin(nearest, ranking.nearest[ranking.true]) & ~truth.difficult[nearest]
        candidates, nearest = candidates[free], nearest[free]
        true[candidates[np.unique(nearest, return_index=True)[1]]] = True
    return replace(ranking, true=true, false=ranking.false & ~error)
