"""Images as samples and batches: what both trainings load."""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Self, TypeVar

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from yolo.data.store import images
from yolo.data.store.clean_set import Split

AnySample = TypeVar("AnySample")


@dataclass(frozen=True)
class Sample:
    """One cropped or warped image, and the colour change still to be made."""

    name: str
    image: np.ndarray
    """(H, W, 3) uint8 RGB."""
    colour: tuple[float, float, float]
    """Hue shift, factor of the saturation, factor of the exposure."""


@dataclass(frozen=True)
class Batch:
    """A collated batch; `to` moves its tensors to the device."""

    names: list[str]
    images: Tensor
    """(N, H, W, 3) uint8 RGB."""
    colour: Tensor
    """(N, 3) float: hue shift, factors of saturation and exposure."""

    def to(self, device: torch.device) -> Self:
        """The same batch with its tensors on `device`."""
        values = ((field.name, getattr(self, field.name)) for field in fields(self))
        moved = {
            name: value.to(device, non_blocking=True)
            for name, value in values
            if isinstance(value, Tensor)
        }
        return replace(self, **moved)


class ImageSamples(Dataset[AnySample]):
    """The images of a split, read by their number."""

    def __init__(self, split: Split, size: int) -> None:
        """`size`: side in pixels of the square that a sample becomes."""
        self._split, self._size = split, size

    def __len__(self) -> int:
        """Number of images."""
        return len(self._split)

    def _read(self, index: int) -> tuple[str, np.ndarray]:
        """Name and pixels, (H, W, 3) uint8 RGB; `UserError` if the image cannot be decoded."""
        name = self._split.name(index)
        return name, images.decode(self._split.image(index), name)


def collate_images(samples: Sequence[Sample]) -> dict[str, Any]:
    """The fields of `Batch` for these samples."""
    return {
        "names": [sample.name for sample in samples],
        "images": torch.from_numpy(np.stack([sample.image for sample in samples])),
        "colour": torch.tensor([sample.colour for sample in samples], dtype=torch.float32),
    }
