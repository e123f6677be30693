"""The detection layer's flat output, which is the order of numbers everywhere in this project.

Per image `[S*S*C class scores][S*S*B confidences][S*S*B*4 box coordinates]`, cells row by row,
boxes of a cell one after another (detection_layer.c: forward_detection_layer). The paper's
S x S x (5B + C) tensor holds the same numbers in another order (paper section 2).
"""

from typing import NamedTuple

from torch import Tensor


class Parts(NamedTuple):
    """Views of a flat output."""

    classes: Tensor
    """(N, S*S, C) class scores of each cell."""
    confidence: Tensor
    """(N, S*S, B) confidence of each box."""
    coordinates: Tensor
    """(N, S*S, B, 4) x, y relative to the cell; square roots of w, h relative to the image."""


def outputs(*, grid: int, boxes: int, classes: int) -> int:
    """Numbers per image: S * S * (C + 5 * B)."""
    return grid * grid * (classes + 5 * boxes)


def split(prediction: Tensor, *, grid: int, boxes: int, classes: int) -> Parts:
    """View a flat output (N, S*S*(C + 5B)) as its three parts.

    Raises:
        ValueError: `prediction` has another shape.
    """
    wanted = outputs(grid=grid, boxes=boxes, classes=classes)
    if prediction.ndim != 2 or prediction.shape[1] != wanted:
        raise ValueError(
            f"prediction has shape {tuple(prediction.shape)}; {grid} x {grid} cells, "
            f"{boxes} boxes and {classes} classes need (images, {wanted})"
        )
    cells = grid * grid
    scores, confidence, coordinates = prediction.split(
        [cells * classes, cells * boxes, cells * boxes * 4], dim=1
    )
    return Parts(
        scores.unflatten(1, (cells, classes)),
        confidence.unflatten(1, (cells, boxes)),
        coordinates.unflatten(1, (cells, boxes, 4)),
    )
