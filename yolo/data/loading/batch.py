"""Images as samples and batches: what both trainings load."""

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Self, TypeVar

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from yolo.data.loading import augment
from yolo.data.loading.on_device import Decoded, View, is_small, pack
from yolo.data.store import images
from yolo.data.store.clean_set import Split

AnySample = TypeVar("AnySample")


@dataclass(frozen=True)
class Sample:
    """One image, and what is still to be done with it."""

    name: str
    image: np.ndarray
    """(H, W, 3) uint8 RGB."""
    view: View | None
    """The crop and flips that the device is to make; None: they are made."""
    colour: tuple[float, float, float]
    """Hue shift, factor of the saturation, factor of the exposure."""


@dataclass(frozen=True)
class Batch:
    """A collated batch; `to` moves its tensors to the device."""

    names: list[str]
    images: Tensor | Decoded
    """(N, H, W, 3) uint8 RGB, or decoded images that the device crops, resizes and flips."""
    colour: Tensor
    """(N, 3) float: hue shift, factors of saturation and exposure."""

    def to(self, device: torch.device) -> Self:
        """The same batch with its tensors on `device`."""
        return self._each(lambda value: value.to(device, non_blocking=True))

    def pin_memory(self) -> Self:
        """The same batch in memory from which a GPU copies by itself. DataLoader calls this."""
        return self._each(lambda value: value.pin_memory())

    def inputs(self) -> Tensor:
        """(N, 3, H, W) float32 RGB in [0, 1], the colours changed as drawn."""
        if isinstance(self.images, Decoded):
            pixels = self.images.warp().permute(0, 3, 1, 2) / 255
            return augment.distort(pixels, *self.colour.unbind(1))
        return augment.recolour(self.images, self.colour)

    def _each(self, change: Callable[[Any], Any]) -> Self:
        values = ((field.name, getattr(self, field.name)) for field in fields(self))
        return replace(self, **{n: change(v) for n, v in values if isinstance(v, Tensor | Decoded)})


class ImageSamples(Dataset[AnySample]):
    """The images of a split, read by their number."""

    def __init__(self, split: Split, size: int) -> None:
        """`size`: side in pixels of the square that a sample becomes."""
        self._split, self._size = split, size
        self._leaves_views = False

    def for_device(self, device: torch.device) -> Self:
        """These samples as `device` wants them: an accelerator crops, resizes and flips itself."""
        samples = copy.copy(self)
        samples._leaves_views = device.type != "cpu"
        return samples

    def __len__(self) -> int:
        """Number of images."""
        return len(self._split)

    def _read(self, index: int) -> tuple[str, np.ndarray]:
        """Name and pixels, (H, W, 3) uint8 RGB; `UserError` if the image cannot be decoded."""
        name = self._split.name(index)
        return name, images.decode(self._split.image(index), name)

    def _warp(self, image: np.ndarray, view: View) -> tuple[np.ndarray, View | None]:
        """The image and what is left of its view: all of it, or None when it is warped here."""
        if self._leaves_views and is_small(image, view.size):
            return image, view
        return augment.warp(image, view.crop, view.size, view.flip, view.vertical_flip), None


def collate_images(samples: Sequence[Sample]) -> dict[str, Any]:
    """The fields of `Batch` for these samples."""
    pixels, views = [s.image for s in samples], [s.view for s in samples]
    return {
        "names": [sample.name for sample in samples],
        "images": torch.from_numpy(np.stack(pixels)) if not any(views) else pack(pixels, views),
        "colour": torch.tensor([sample.colour for sample in samples], dtype=torch.float32),
    }
