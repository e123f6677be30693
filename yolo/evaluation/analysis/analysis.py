"""Everything that the report and the metrics say about a detector, from its detections alone."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from yolo.evaluation.analysis import bootstrap, coco_ap, error_types
from yolo.evaluation.analysis.bootstrap import Interval
from yolo.evaluation.analysis.calibration import Calibration, calibrate
from yolo.evaluation.analysis.coco_ap import CocoScores
from yolo.evaluation.analysis.confusion import Confusion, confuse
from yolo.evaluation.analysis.error_types import Anatomy, SizeRow
from yolo.evaluation.analysis.image_ranking import PerImage, per_image
from yolo.metrics.voc_ap import (
    ClassScore,
    Detections,
    Floats,
    Ranking,
    Scores,
    Truth,
    envelope,
    score,
)

CURVE_POINTS = 200


@dataclass(frozen=True)
class Curve:
    """Precision of a class after each true detection, thinned; all (P,), recall ascending."""

    recall: Floats
    precision: Floats
    best: Floats
    """Best precision at this recall or a higher one; the area below it is the AP."""


@dataclass(frozen=True)
class Analysis:
    """Results on a split. Per-class tuples are in the order of `classes`; intervals are 95 %."""

    classes: tuple[str, ...]
    images: int
    truth: Truth
    scores: Scores
    coco: CocoScores
    voc07_map_interval: Interval
    voc_map_interval: Interval
    coco_map_interval: Interval
    coco_map50_interval: Interval
    coco_map75_interval: Interval
    ap07_intervals: tuple[Interval, ...]
    curves: tuple[Curve, ...]
    anatomies: tuple[Anatomy, ...]
    fixed: dict[str, Scores]
    sizes: list[SizeRow]
    confusion: Confusion
    calibration: Calibration
    per_image: PerImage
    picture_threshold: float

    @property
    def rankings(self) -> list[Ranking]:
        """The ranked detections of each class, each true, false or ignored."""
        return [result.ranking for result in self.scores.per_class]


def analyse(
    detections: Detections,
    truth: Truth,
    classes: Sequence[str],
    sizes: NDArray[np.integer],
    picture_threshold: float,
) -> Analysis:
    """Score and analyse detections; sizes: (images, 2) width and height in pixels."""
    images = len(sizes)
    scores = score(detections, truth, len(classes))
    rankings = [result.ranking for result in scores.per_class]
    weights = bootstrap.draw(images)
    resampled = bootstrap.resample(rankings, truth, weights)
    matches = coco_ap.match(detections, truth)
    coco = coco_ap.resample(matches, truth, len(classes), weights)
    kinds = error_types.kinds(rankings, detections, truth, classes)
    return Analysis(
        classes=tuple(classes),
        images=images,
        truth=truth,
        scores=scores,
        coco=coco_ap.score(matches, truth, len(classes), images),
        voc07_map_interval=bootstrap.interval(resampled.voc07_map),
        voc_map_interval=bootstrap.interval(resampled.voc_map),
        coco_map_interval=bootstrap.interval(coco.map),
        coco_map50_interval=bootstrap.interval(coco.map50),
        coco_map75_interval=bootstrap.interval(coco.map75),
        ap07_intervals=tuple(bootstrap.interval(column) for column in resampled.ap07.T),
        curves=tuple(curve(result) for result in scores.per_class),
        anatomies=tuple(error_types.anatomy(r, k) for r, k in zip(rankings, kinds, strict=True)),
        fixed=error_types.fixed(rankings, kinds, truth),
        sizes=error_types.missed_by_size(rankings, truth, sizes, picture_threshold),
        confusion=confuse(detections, truth, picture_threshold),
        calibration=calibrate(rankings),
        per_image=per_image(rankings, truth, images, picture_threshold),
        picture_threshold=picture_threshold,
    )


def curve(result: ClassScore, points: int = CURVE_POINTS) -> Curve:
    """Thin a class's curve to at most `points` points, evenly spread over its true detections."""
    places = np.flatnonzero(result.ranking.true)
    if result.positives == 0:
        places = places[:0]
    if len(places) > points:
        places = places[np.linspace(0, len(places) - 1, points).round().astype(int)]
    best = envelope(result.precision)
    return Curve(result.recall[places], result.precision[places], best[places])


def headline(analysis: Analysis) -> dict[str, float]:
    """The numbers by which detectors are compared; NaN where undefined.

    ci_lo, ci_hi: ends of the 95 % confidence interval of voc07_map.
    """
    low, high = analysis.voc07_map_interval
    return {
        "voc07_map": analysis.scores.voc07_map,
        "ci_lo": low,
        "ci_hi": high,
        "voc_map": analysis.scores.voc_map,
        "coco_ap": analysis.coco.map,
    }


def details(analysis: Analysis) -> dict[str, Any]:
    """All measures as plain values; an undefined one is None."""
    scores = analysis.scores
    return {
        "voc07_map": _defined(scores.voc07_map),
        "voc_map": _defined(scores.voc_map),
        "coco_map": _defined(analysis.coco.map),
        "coco_map50": _defined(analysis.coco.map50),
        "coco_map75": _defined(analysis.coco.map75),
        "interval_95": {
            "voc07_map": _bounds(analysis.voc07_map_interval),
            "voc_map": _bounds(analysis.voc_map_interval),
            "coco_map": _bounds(analysis.coco_map_interval),
            "coco_map50": _bounds(analysis.coco_map50_interval),
            "coco_map75": _bounds(analysis.coco_map75_interval),
        },
        "images": analysis.images,
        "objects": len(analysis.truth.image),
        "difficult": int(np.count_nonzero(analysis.truth.difficult)),
        "calibration_error": analysis.calibration.error,
        "per_class": {
            name: {
                "voc07_ap": _defined(result.ap07),
                "voc_ap": _defined(result.ap),
                "coco_ap": _defined(coco),
                "positives": result.positives,
            }
            for name, result, coco in zip(
                analysis.classes, scores.per_class, analysis.coco.ap.tolist(), strict=True
            )
        },
    }


def _bounds(interval: Interval) -> dict[str, float | None]:
    return dict(zip(("low", "high"), map(_defined, interval), strict=True))


def _defined(value: float) -> float | None:
    return None if np.isnan(value) else value
