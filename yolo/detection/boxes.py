"""Boxes as (cx, cy, w, h) and what is measured between them (box.c)."""

from torch import Tensor, where


def iou(first: Tensor, second: Tensor) -> Tensor:
    """Intersection over union with continuous edges: no pixel is added (box.c: box_iou).

    Args:
        first: (..., 4) float, cx cy w h in any common unit; broadcast against `second`.
        second: (..., 4) float, likewise.

    Returns:
        (...) float in 0..1; 0 where both boxes are empty or a coordinate is NaN.
    """
    x1, y1, w1, h1 = first.unbind(-1)
    x2, y2, w2, h2 = second.unbind(-1)
    width = (x1 + w1 / 2).minimum(x2 + w2 / 2) - (x1 - w1 / 2).maximum(x2 - w2 / 2)
    height = (y1 + h1 / 2).minimum(y2 + h2 / 2) - (y1 - h1 / 2).maximum(y2 - h2 / 2)
    intersection = width.clamp(min=0) * height.clamp(min=0)
    union = w1 * h1 + w2 * h2 - intersection
    return where(union > 0, intersection / union, 0)


def rmse(first: Tensor, second: Tensor) -> Tensor:
    """Root of the summed squared differences of the four numbers (box.c: box_rmse).

    Args:
        first: (..., 4) float, cx cy w h in any common unit; broadcast against `second`.
        second: (..., 4) float, likewise.

    Returns:
        (...) float from 0 up, NaN where a coordinate is NaN.
    """
    return (first - second).square().sum(-1).sqrt()
