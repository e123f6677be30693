"""The original's crop, resize and flip, step by step: what `augment.warp` must equal."""

import torch
from torch import Tensor

from yolo.data.loading.augment import Crop


def crop(images: Tensor, area: Crop) -> Tensor:
    """Cut out whole pixels; those outside repeat the edge (image.c: crop_image).

    Args:
        images: (..., H, W).
        area: in whole pixels.

    Returns:
        (..., area.height, area.width), values unchanged.
    """
    height, width = images.shape[-2:]
    device = images.device
    rows = torch.arange(int(area.height), device=device).add(int(area.top)).clamp(0, height - 1)
    columns = torch.arange(int(area.width), device=device).add(int(area.left)).clamp(0, width - 1)
    return images[..., rows[:, None], columns]


def resize(images: Tensor, height: int, width: int) -> Tensor:
    """Bilinear with the corners' centres aligned, aspect not kept (image.c: resize_image).

    Where float rounding puts the last row's source a little above the last row of the input, the
    original forgets that row's share and leaves the output's last row nearly black, for about
    one size in twenty. So does this function, but not `warp`.

    Args:
        images: (..., H, W) float.
        height: of the output, from 2 up.
        width: of the output, from 2 up.

    Returns:
        (..., height, width) float.
    """
    columns, across = _sources(images.shape[-1], width, images)
    following = (columns + 1).clamp(max=images.shape[-1] - 1)
    part = (1 - across) * images[..., columns] + across * images[..., following]
    part[..., -1] = images[..., -1]

    rows, down = _sources(images.shape[-2], height, images)
    following = (rows + 1).clamp(max=images.shape[-2] - 1)
    resized = (1 - down)[:, None] * part[..., rows, :]
    resized[..., :-1, :] += down[:-1, None] * part[..., following[:-1], :]
    return resized


def _sources(inputs: int, outputs: int, like: Tensor) -> tuple[Tensor, Tensor]:
    """For each output position the input position before it, and the share of the one after."""
    step = torch.tensor(inputs - 1, dtype=like.dtype, device=like.device) / (outputs - 1)
    position = torch.arange(outputs, dtype=like.dtype, device=like.device) * step
    before = position.long()
    return before, position - before


def flip(images: Tensor) -> Tensor:
    """Mirror left and right (image.c: flip_image): (..., H, W) to (..., H, W)."""
    return images.flip(-1)
