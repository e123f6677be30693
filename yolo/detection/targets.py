"""From labelled boxes to the grid of truths that the loss reads (data.c: fill_truth_region)."""

import torch
from torch import Tensor

MINIMUM_SIZE = 0.005
"""Boxes that are narrower or lower than this share of the image are no targets."""


def encode(
    boxes: Tensor, *, grid: int, classes: int, generator: torch.Generator | None = None
) -> Tensor:
    """Truth grid of one image.

    The cell in which a box's centre lies is responsible for it. A cell holds one box: the first
    in the order of the rows, or of a random permutation of them, as in the original, when there
    is a `generator`. A centre on the right or bottom edge (cx or cy = 1) counts to the last
    cell. Boxes below `MINIMUM_SIZE` are left out.

    Args:
        boxes: (n, 5) float rows class, cx, cy, w, h; box relative to the image.
        grid: S.
        classes: C.
        generator: source of the permutation.

    Returns:
        (S, S, 5 + C) float, row of the grid first: 1 if there is an object, one-hot class,
        x, y relative to the cell, w, h relative to the image; all 0 without an object.

    Raises:
        ValueError: `boxes` has another shape, or a class that is not one of 0 .. C - 1.
    """
    boxes = torch.as_tensor(boxes)
    if boxes.ndim != 2 or boxes.shape[1] != 5:
        raise ValueError(f"boxes have shape {tuple(boxes.shape)}; rows class, cx, cy, w, h needed")
    label = boxes[:, 0]
    unknown = ~torch.isin(label, torch.arange(classes, device=boxes.device))
    if unknown.any():
        row = int(unknown.nonzero()[0])
        raise ValueError(
            f"row {row} of the boxes has class {float(label[row]):g}; allowed: 0 to {classes - 1}"
        )
    if generator is not None:
        order = torch.randperm(len(boxes), generator=generator, device=generator.device)
        boxes = boxes[order.to(boxes.device)]
    rows = torch.cat((boxes.new_zeros(len(boxes), 1), boxes), dim=1)
    return encode_batch(rows, images=1, grid=grid, classes=classes)[0]


def encode_batch(boxes: Tensor, images: int, grid: int, classes: int) -> Tensor:
    """Truth grids of a batch, as `encode` makes them, on the device of `boxes`.

    Args:
        boxes: (M, 6) float rows image, class, cx, cy, w, h. Of the boxes in one cell the first
            row is kept: shuffle them before, as the original does. Classes and image numbers
            are taken as valid, since looking would make the host wait for the device.
        images: N.
        grid: S.
        classes: C.

    Returns:
        (N, S, S, 5 + C) float, see `encode`.
    """
    size = boxes[:, 4:6]
    large_enough = (size >= MINIMUM_SIZE).all(dim=1)
    position = boxes[:, 2:4] * grid
    corner = position.long().clamp(0, grid - 1)
    cells = images * grid * grid
    cell = (boxes[:, 0].long() * grid + corner[:, 1]) * grid + corner[:, 0]

    # Smallest row number in each cell; rows that are no targets go to a cell beyond the last.
    count = len(boxes)
    row = torch.arange(count, device=boxes.device)
    first = torch.full((cells + 1,), count, device=boxes.device)
    first = first.scatter_reduce(0, torch.where(large_enough, cell, cells), row, "amin")[:cells]

    one_hot = boxes[:, 1:2] == torch.arange(classes, device=boxes.device)
    truths = torch.cat(
        (torch.ones_like(boxes[:, :1]), one_hot.to(boxes.dtype), position - corner, size), dim=1
    )
    nothing = truths.new_zeros(1, 5 + classes)
    return torch.cat((truths, nothing))[first].view(images, grid, grid, 5 + classes)
