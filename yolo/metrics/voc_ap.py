"""Average precision by the rules of the Pascal VOC development kit (VOCevaldet.m).

Per class, over all images, detections are taken by descending score. A detection is matched with
the object of its class and image that it overlaps most, in inclusive pixels (+1), even if that
object is already taken. With an IoU of 0.5 or more it is a hit: true if the object is free, ignored
if the object is difficult, false otherwise. Difficult objects are not counted as positives.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.integer]
Flags = NDArray[np.bool_]

MIN_OVERLAP = 0.5
"""Least IoU of a hit; the devkit compares with >=."""


@dataclass(frozen=True)
class Detections:
    """Columns of length D, a row per detection, in any order; the order breaks ties of the score.

    image: (D,) int, index from 0; label: (D,) int class index; score: (D,) finite float;
    box: (D, 4) float, xmin ymin xmax ymax, 1-based inclusive pixels.
    """

    image: Integers
    label: Integers
    score: NDArray[np.floating]
    box: NDArray[np.floating]


@dataclass(frozen=True)
class Truth:
    """Columns of length M, a row per annotated object.

    image: (M,) int; label: (M,) int; box: (M, 4) float as in `Detections`; difficult: (M,) bool.
    """

    image: Integers
    label: Integers
    box: NDArray[np.floating]
    difficult: Flags


@dataclass(frozen=True)
class Ranking:
    """The detections of one class by descending score, each true, false or ignored.

    row: (D,) int, row in `Detections`; score: (D,); image: (D,) int; overlap: (D,) best IoU;
    nearest: (D,) int, row in `Truth` of the object with that IoU, -1 if the image has no object;
    true, false: (D,) bool, neither for a hit of a difficult object.
    positives: number of objects that are not difficult.
    """

    row: Integers
    score: NDArray[np.floating]
    image: Integers
    overlap: Floats
    nearest: Integers
    true: Flags
    false: Flags
    positives: int


@dataclass(frozen=True)
class ClassScore:
    """One class: AP as in VOC 2007 (11 points) and from 2010 on (all points), in 0..1.

    Both are NaN when the class has no positives, and 0 when it has some but no detections.
    recall, precision: (D,) after each detection of the ranking; precision is 0 before the first
    detection that counts, recall is NaN without positives.
    """

    ap07: float
    ap: float
    positives: int
    recall: Floats
    precision: Floats
    ranking: Ranking


@dataclass(frozen=True)
class Scores:
    """`per_class` in the order of the class indices; the means skip undefined classes."""

    per_class: tuple[ClassScore, ...]
    voc07_map: float
    voc_map: float


def score(detections: Detections, truth: Truth, classes: int) -> Scores:
    """Score `detections` of class indices 0..classes-1 against `truth`."""
    return summarise(rank(detections, truth, classes))


def rank(detections: Detections, truth: Truth, classes: int) -> list[Ranking]:
    """Rank and match the detections of each class."""
    groups = rows_by_label(detections.label, classes)
    truth_groups = rows_by_label(truth.label, classes)
    return [
        _rank_class(detections, rows, truth, truth_rows)
        for rows, truth_rows in zip(groups, truth_groups, strict=True)
    ]


def summarise(rankings: list[Ranking]) -> Scores:
    """Compute precision, recall and AP of ranked detections."""
    per_class = tuple(_score_class(ranking) for ranking in rankings)
    return Scores(
        per_class=per_class,
        voc07_map=mean_defined([c.ap07 for c in per_class]),
        voc_map=mean_defined([c.ap for c in per_class]),
    )


def rows_by_label(label: Integers, classes: int) -> list[NDArray[np.intp]]:
    """Row numbers of each class, ascending, without rows of other labels."""
    # numpy sorts 16-bit integers by radix, far faster than wider ones
    narrow = label.astype(np.uint16) if classes < 2**16 else label
    order = np.argsort(narrow, kind="stable")
    return np.split(order, np.searchsorted(narrow[order], np.arange(classes + 1)))[1:-1]


def mean_defined(values: list[float]) -> float:
    """Mean of the values that are not NaN; NaN if there is none."""
    defined = [value for value in values if not np.isnan(value)]
    return float(np.mean(defined)) if defined else float("nan")


def best_overlap(
    image: Integers,
    box: NDArray[np.floating],
    truth_image: Integers,
    truth_box: NDArray[np.floating],
) -> tuple[Floats, Integers]:
    """Return the greatest IoU of each box with a true box of its image, and that true box's row.

    image: (D,); box: (D, 4); truth_image: (M,); truth_box: (M, 4). Returns (D,) IoU, 0 where
    nothing overlaps, and (D,) row of truth, the first of equals, -1 if the image has none.
    """
    overlap = np.zeros(len(image))
    nearest = np.full(len(image), -1)
    if len(image) == 0 or len(truth_image) == 0:
        return overlap, nearest
    images = int(max(image.max(), truth_image.max())) + 1
    by_image = np.argsort(truth_image, kind="stable")
    count = np.bincount(truth_image, minlength=images)
    first = np.cumsum(count) - count
    # The k-th true box of every image at once: as many rounds as the fullest image has boxes.
    active = np.flatnonzero(count[image])
    nearest[active] = by_image[first[image[active]]]
    for k in range(int(count.max())):
        active = active[count[image[active]] > k]
        rows = by_image[first[image[active]] + k]
        iou = inclusive_iou(box[active], truth_box[rows])
        better = iou > overlap[active]
        overlap[active[better]] = iou[better]
        nearest[active[better]] = rows[better]
    return overlap, nearest


def inclusive_iou(a: NDArray[np.floating], b: NDArray[np.floating]) -> Floats:
    """IoU of a[i] and b[i], (N, 4) inclusive pixel corners: a box covers xmax - xmin + 1."""
    a, b = a.astype(np.float64), b.astype(np.float64)
    width = np.minimum(a[:, 2], b[:, 2]) - np.maximum(a[:, 0], b[:, 0]) + 1
    height = np.minimum(a[:, 3], b[:, 3]) - np.maximum(a[:, 1], b[:, 1]) + 1
    shared = width * height
    union = _area(a) + _area(b) - shared
    iou = np.zeros(len(a))
    np.divide(shared, union, out=iou, where=(width > 0) & (height > 0))
    return iou


def _area(box: Floats) -> Floats:
    return (box[:, 2] - box[:, 0] + 1) * (box[:, 3] - box[:, 1] + 1)


def _rank_class(
    detections: Detections, rows: Integers, truth: Truth, truth_rows: Integers
) -> Ranking:
    # gather in memory order before sorting: the columns may be far larger than the caches
    scores, image = detections.score[rows], detections.image[rows]
    order = _descending(scores)
    rows, scores, image = rows[order], scores[order], image[order]
    overlap, place = np.zeros(len(rows)), np.full(len(rows), -1)
    # only boxes in the few images with an object of the class need an IoU
    candidates = np.flatnonzero(np.isin(image, truth.image[truth_rows]))
    overlap[candidates], place[candidates] = best_overlap(
        image[candidates],
        detections.box[rows[candidates]],
        truth.image[truth_rows],
        truth.box[truth_rows],
    )
    difficult = truth.difficult[truth_rows]
    hit = overlap >= MIN_OVERLAP
    counts = np.ones(len(rows), dtype=bool)
    counts[hit] = ~difficult[place[hit]]
    claims = np.flatnonzero(hit & counts)
    true = np.zeros(len(rows), dtype=bool)
    true[claims[np.unique(place[claims], return_index=True)[1]]] = True
    nearest = np.full(len(rows), -1)
    nearest[place >= 0] = truth_rows[place[place >= 0]]
    return Ranking(
        row=rows,
        score=scores,
        image=image,
        overlap=overlap,
        nearest=nearest,
        true=true,
        false=counts & ~true,
        positives=int(np.count_nonzero(~difficult)),
    )


def _descending(scores: NDArray[np.floating]) -> NDArray[np.intp]:
    """Return the rows by descending score; equal scores keep their order.

    numpy's quicksort is vectorised, its stable sort is not: a quicksort followed by sorting the
    rows within each run of equal scores is several times faster.
    """
    order = np.argsort(-scores)
    ranked = scores[order]
    different = ranked[1:] != ranked[:-1]
    if different.all():
        return order
    run = np.cumsum(different, dtype=np.uint64)
    key = order.astype(np.uint64)
    key[1:] |= run << np.uint64(32)
    key.sort()
    return (key & np.uint64(0xFFFFFFFF)).astype(np.intp)


def _score_class(ranking: Ranking) -> ClassScore:
    true = np.cumsum(ranking.true)
    counted = true + np.cumsum(ranking.false)
    precision = true / np.maximum(counted, 1)
    positives = ranking.positives
    recall = true / positives if positives else np.full(len(true), np.nan)
    return ClassScore(
        ap07=ap_11_points(recall, precision) if positives else float("nan"),
        ap=ap_all_points(recall, precision) if positives else float("nan"),
        positives=positives,
        recall=recall,
        precision=precision,
        ranking=ranking,
    )


def ap_11_points(recall: Floats, precision: Floats) -> float:
    """VOC 2007: mean over recall t = 0, 0.1 .. 1 of the best precision at recall >= t."""
    # k / 10, not k * 0.1: a recall of exactly 3/10 must reach t = 0.3
    place = np.searchsorted(recall, np.arange(11) / 10)
    return float(np.append(envelope(precision), 0.0)[place].mean())


def ap_all_points(recall: Floats, precision: Floats) -> float:
    """VOC 2010 and later: area under the monotone envelope of the precision."""
    return float(np.sum(np.diff(recall, prepend=0.0) * envelope(precision)))


def envelope(precision: Floats) -> Floats:
    """(D,) best precision at each rank or below it in the ranking."""
    return np.maximum.accumulate(precision[::-1])[::-1]
