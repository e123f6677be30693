"""Crop, resize and flip of a whole batch on the device that trains; the host only decodes.

The draws are those of the host's path (`augment`), which the CPU takes. The pixels agree with it to
within two grey levels, before their colours change.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Self

import numpy as np
import torch
from torch import Tensor

from yolo.data.loading.augment import Crop

_LARGEST = 4
"""Pixels per pixel of the output. Larger images are warped on the host, so that batches in memory
and transfers stay small whatever the camera."""


@dataclass(frozen=True)
class View:
    """The crop and flips that make a sample of a decoded image."""

    crop: Crop
    size: int
    """Side in pixels of the square that it becomes, from 2 up."""
    flip: bool
    vertical_flip: bool = False


def is_small(image: np.ndarray, size: int) -> bool:
    """Whether to send the decoded image, (H, W, 3), and not the square of `size` to the device."""
    height, width = image.shape[:2]
    return height * width <= _LARGEST * size * size


@dataclass(frozen=True)
class Decoded:
    """Decoded images of any sizes, packed into one tensor, and the view of each."""

    pixels: Tensor
    """(P, 3) uint8 RGB, image after image, row after row."""
    shapes: Tensor
    """(N, 3) int64: number of the image's first pixel, width, height."""
    crops: Tensor
    """(N, 4) float32: left, top, width, height, as in `augment.Crop`."""
    flips: Tensor
    """(N, 2) bool: left and right mirrored, top and bottom mirrored."""
    size: int
    """Side in pixels of the square that each view becomes."""

    def to(self, device: torch.device, *, non_blocking: bool = False) -> Self:
        """The same images with their tensors on `device`."""
        return self._each(lambda tensor: tensor.to(device, non_blocking=non_blocking))

    def pin_memory(self) -> Self:
        """The same images in memory from which a GPU copies by itself."""
        return self._each(Tensor.pin_memory)

    def warp(self) -> Tensor:
        """Crop, resize and flip by bilinear sampling; pixels outside repeat the edge.

        Returns:
            (N, size, size, 3) float32 RGB, 0..255.
        """
        first, width, height = self.shapes.unbind(1)
        left, top, crop_width, crop_height = self.crops.unbind(1)
        flip, vertical_flip = self.flips.unbind(1)
        column, next_column, across = self._samples(left, crop_width, width, flip)
        row, next_row, down = self._samples(top, crop_height, height, vertical_flip)
        across, down = across[:, None, :, None], down[:, :, None, None]

        def interpolated(row: Tensor) -> Tensor:
            start = (first[:, None] + row * width[:, None])[:, :, None]
            before = self.pixels[start + column[:, None, :]].float()
            after = self.pixels[start + next_column[:, None, :]].float()
            return before.lerp_(after, across.expand_as(before))

        upper = interpolated(row)
        return upper.lerp_(interpolated(next_row), down.expand_as(upper))

    def _samples(
        self, begin: Tensor, extent: Tensor, inputs: Tensor, is_mirrored: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """For each output position along one side the pixel before it, the next one, its share.

        Each is (N, size). `begin`, `extent`: of the crop; `inputs`: pixels of the image's side.
        """
        position = torch.arange(self.size, device=begin.device)
        position = torch.where(is_mirrored[:, None], self.size - 1 - position, position)
        source = begin[:, None] + position * (extent[:, None] - 1) / (self.size - 1)
        last = inputs[:, None] - 1
        source = torch.minimum(source.clamp(min=0), last)
        before = source.long()
        return before, torch.minimum(before + 1, last), source - before

    def _each(self, change: Callable[[Tensor], Tensor]) -> Self:
        values = ((field.name, getattr(self, field.name)) for field in fields(self))
        return replace(self, **{n: change(v) for n, v in values if isinstance(v, Tensor)})


def pack(images: Sequence[np.ndarray], views: Sequence[View | None]) -> Decoded:
    """Pack images, each (H, W, 3) uint8 RGB; those without a view have been warped already."""
    size = next(view.size for view in views if view is not None)
    heights, widths = np.array([image.shape[:2] for image in images]).T
    ends = np.cumsum(heights * widths)
    whole = View(Crop(0, 0, size, size), size, flip=False)
    wanted = [view or whole for view in views]
    return Decoded(
        torch.from_numpy(np.concatenate([image.reshape(-1, 3) for image in images])),
        torch.from_numpy(np.stack([ends - heights * widths, widths, heights], 1)),
        torch.tensor([list(vars(view.crop).values()) for view in wanted], dtype=torch.float32),
        torch.tensor([[view.flip, view.vertical_flip] for view in wanted]),
        size,
    )
