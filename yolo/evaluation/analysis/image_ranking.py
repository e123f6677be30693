"""Which test images the report shows."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from yolo.metrics.voc_ap import Floats, Integers, Ranking, Truth


@dataclass(frozen=True)
class PerImage:
    """Counts of each image over detections above a threshold; all (images,) int."""

    true: Integers
    false: Integers
    missed: Integers

    @property
    def f1(self) -> Floats:
        """2 TP / (2 TP + FP + FN); 1 for an image without objects and detections."""
        wrong = self.false + self.missed
        return np.where(wrong == 0, 1.0, 2 * self.true / np.maximum(2 * self.true + wrong, 1))


def per_image(rankings: Sequence[Ranking], truth: Truth, images: int, threshold: float) -> PerImage:
    """Count true and false detections with a score above `threshold`, and missed objects."""
    true, false = np.zeros(images, np.int64), np.zeros(images, np.int64)
    for ranking in rankings:
        shown = ranking.score > threshold
        true += np.bincount(ranking.image[shown & ranking.true], minlength=images)
        false += np.bincount(ranking.image[shown & ranking.false], minlength=images)
    objects = np.bincount(truth.image[~truth.difficult], minlength=images)
    return PerImage(true, false, objects - true)


def choose(counts: PerImage, most: int) -> dict[str, list[int]]:
    """Choose up to `most` different images: best, missed, worst and a sample, a quarter each.

    The sample is spread evenly over the split, whatever the results. It is larger when another kind
    has too few candidates. The choice depends on the counts alone.
    """
    images = np.arange(len(counts.true))
    objects = counts.true + counts.missed
    orders = {
        "best": (np.lexsort((images, -objects, -counts.f1)), counts.true > 0),
        "missed": (np.lexsort((images, -counts.missed)), counts.missed > 0),
        "worst": (np.lexsort((images, -counts.false, counts.f1)), counts.f1 < 1),
    }
    taken: set[int] = set()
    chosen: dict[str, list[int]] = {}
    for kind, (order, fits) in orders.items():
        candidates = [int(i) for i in order if fits[i] and int(i) not in taken]
        chosen[kind] = candidates[: most // 4]
        taken.update(chosen[kind])
    rest = [int(i) for i in images if int(i) not in taken]
    wanted = min(most - len(taken), len(rest))
    spread = np.linspace(0, len(rest) - 1, wanted).round().astype(int) if wanted > 0 else []
    return {"sample": [rest[place] for place in spread], **chosen}
