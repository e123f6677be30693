"""Whether the objects of each class are large enough at the detector's input size."""

import math

import numpy as np

from yolo.data.store.clean_set import Split

SMALL = 22.0
"""Pixels: classes whose objects have a smaller side (root of the area), by the median, are missed
more often than at a larger input size (docs/recipe.md)."""

_MOST_IMAGES = 20_000
"""Enough for medians; each takes 20 microseconds before the training starts."""


def advice(split: Split, classes: tuple[str, ...], input_size: int, grid: int) -> str | None:
    """A sentence that names the input size to use, or None if the objects are large enough.

    The input size advised is the least multiple of the present pixels per cell at which no class
    is small.

    Args:
        split: of a clean detection set; difficult objects do not count.
        classes: names of its classes.
        input_size: side of the square input in pixels.
        grid: S, cells per side.
    """
    sides, labels = object_sides(split)
    medians = {
        name: float(np.median(sides[labels == number]))
        for number, name in enumerate(classes)
        if (labels == number).any()
    }
    small = {name: side for name, side in medians.items() if side * input_size < SMALL}
    if not small:
        return None
    smallest = min(small, key=lambda name: small[name])
    pixels_per_cell = input_size / grid
    cells = math.ceil(SMALL / small[smallest] / pixels_per_cell - 1e-9)
    size = round(cells * pixels_per_cell)
    return (
        f"half of the objects of class {smallest} are smaller than "
        f"{small[smallest] * input_size:.0f} pixels at model.input_size {input_size}. "
        f"model.input_size {size} with model.grid {cells} makes that {SMALL:.0f} pixels, "
        f"at {(size / input_size) ** 2:.1f} times the training time"
    )


def object_sides(split: Split, most: int = _MOST_IMAGES) -> tuple[np.ndarray, np.ndarray]:
    """Root of each object's area as a share of the image's, and its class.

    Of a split with more images than `most`, so many or a few more, evenly spaced, are looked at.

    Returns:
        (n,) float64 and (n,) int64, difficult objects left out.
    """
    sides, labels = [np.zeros(0)], [np.zeros(0, np.int64)]
    for index in range(0, len(split), max(1, len(split) // most)):
        counts = ~split.difficult(index)
        boxes = split.boxes(index)[counts].astype(np.float64)
        extent = (boxes[:, 2:] - boxes[:, :2] + 1) / split.size(index)
        sides.append(np.sqrt(extent.prod(axis=1)))
        labels.append(split.labels(index)[counts].astype(np.int64))
    return np.concatenate(sides), np.concatenate(labels)
