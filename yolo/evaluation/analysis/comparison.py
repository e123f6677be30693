"""Paired comparison of two sets of detections on the same images."""

from collections.abc import Sequence
from dataclasses import dataclass

from yolo.evaluation.analysis import bootstrap
from yolo.metrics.voc_ap import Detections, Truth, score


@dataclass(frozen=True)
class Difference:
    """A score of A and of B, and B - A with its 95 % bootstrap interval."""

    a: float
    b: float
    difference: float
    interval: bootstrap.Interval


@dataclass(frozen=True)
class Comparison:
    """Differences of both means and of each class's AP, in the order of the classes."""

    voc07_map: Difference
    voc_map: Difference
    ap07: tuple[Difference, ...]
    ap: tuple[Difference, ...]


def compare(
    a: Detections, b: Detections, truth: Truth, images: int, classes: Sequence[str]
) -> Comparison:
    """Score both and bootstrap the difference: each resample draws the same images for both."""
    weights = bootstrap.draw(images)
    scores = [score(detections, truth, len(classes)) for detections in (a, b)]
    first, second = (
        bootstrap.resample([c.ranking for c in s.per_class], truth, weights) for s in scores
    )
    one, two = scores

    def difference(of_a: float, of_b: float, resampled: bootstrap.Floats) -> Difference:
        return Difference(of_a, of_b, of_b - of_a, bootstrap.interval(resampled))

    def per_class(kind: str) -> tuple[Difference, ...]:
        values = getattr(second, kind) - getattr(first, kind)
        return tuple(
            difference(getattr(x, kind), getattr(y, kind), values[:, label])
            for label, (x, y) in enumerate(zip(one.per_class, two.per_class, strict=True))
        )

    return Comparison(
        difference(one.voc07_map, two.voc07_map, second.voc07_map - first.voc07_map),
        difference(one.voc_map, two.voc_map, second.voc_map - first.voc_map),
        per_class("ap07"),
        per_class("ap"),
    )
