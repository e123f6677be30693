"""The layers that a detector ends with: they give the flat vector that loss and decoding take.

Its layout is the original's: [S*S*C class scores, cell by cell][S*S*B confidences]
[S*S*B*4 x, y, root of w, root of h].
"""

import math

import torch
from torch import Tensor

from yolo.model.network.layer_specs import BoxRoots, CellMap, Detection, Shape
from yolo.model.network.layers import Layer, shape_text


class DetectionLayer(Layer):
    """The flat vector as it comes from the layer before, classes through a softmax if asked."""

    row: Detection

    def __init__(self, row: Detection, shape: Shape) -> None:
        wanted = row.grid**2 * (row.classes + 5 * row.boxes)
        if math.prod(shape) != wanted:
            raise ValueError(
                f"a grid of {row.grid} with {row.boxes} boxes and {row.classes} classes needs "
                f"{wanted} values, its input has {math.prod(shape)}"
            )
        super().__init__(row, shape, (wanted,))

    def forward(self, x: Tensor) -> Tensor:
        """(N, ...) to (N, S*S*(C + 5B))."""
        x = x.flatten(1)
        if not self.row.softmax:
            return x
        scores, boxes = x.tensor_split([self.row.grid**2 * self.row.classes], dim=1)
        scores = scores.unflatten(1, (-1, self.row.classes)).softmax(2).flatten(1)
        return torch.cat([scores, boxes], dim=1)


class Cells(Layer):
    """From a map with one cell per location to the flat output vector."""

    row: CellMap

    def __init__(self, row: CellMap, shape: Shape) -> None:
        if shape[0] != row.classes + 5 * row.boxes:
            raise ValueError(
                f"{row.boxes} boxes and {row.classes} classes from {shape_text(shape)}"
            )
        super().__init__(row, shape, (math.prod(shape),))

    def forward(self, x: Tensor) -> Tensor:
        """(N, C + 5B, S, S) to (N, S*S*(C + 5B))."""
        classes, boxes = self.row.classes, self.row.boxes
        parts = x.permute(0, 2, 3, 1).split([classes, boxes, 4 * boxes], dim=3)
        return torch.cat([part.flatten(1) for part in parts], dim=1)


class Roots(Layer):
    """Width and height in the flat vector replaced by their roots."""

    row: BoxRoots

    def __init__(self, row: BoxRoots, shape: Shape) -> None:
        super().__init__(row, shape, shape)

    def forward(self, x: Tensor) -> Tensor:
        """Same shape."""
        row = self.row
        rest, boxes = x.tensor_split([row.grid**2 * (row.classes + row.boxes)], dim=1)
        boxes = boxes.unflatten(1, (-1, 4))
        centre, size = boxes[..., :2], boxes[..., 2:].clamp(min=0).sqrt()
        return torch.cat([rest, torch.cat([centre, size], dim=2).flatten(1)], dim=1)
