"""Training samples of the detector."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from yolo.data import augment, augment_boxes, images
from yolo.data.loader import Place
from yolo.data.store import Split
from yolo.params.detect_train import DetectorAugmentation


@dataclass(frozen=True)
class Sample:
    """One warped picture, its boxes in random order and the colour change still to be made."""

    name: str
    image: np.ndarray
    """(H, W, 3) uint8 RGB."""
    boxes: np.ndarray
    """(n, 5) float32: class, cx, cy, w, h relative to the picture."""
    colour: tuple[float, float, float]
    """Hue shift, factor of the saturation, factor of the exposure."""


@dataclass(frozen=True)
class Batch:
    """Samples side by side; `to` moves what the device needs."""

    names: list[str]
    images: Tensor
    """(N, H, W, 3) uint8 RGB."""
    boxes: Tensor
    """(M, 6) float: number of the picture in the batch, class, cx, cy, w, h relative to it."""
    colour: Tensor
    """(N, 3) float: hue shift, factors of saturation and exposure."""

    def to(self, device: torch.device) -> "Batch":
        """The same batch with its tensors on `device`."""
        return Batch(
            self.names,
            self.images.to(device, non_blocking=True),
            self.boxes.to(device, non_blocking=True),
            self.colour.to(device, non_blocking=True),
        )


class TrainingSamples(Dataset[Sample]):
    """Randomly cropped, resized and flipped pictures (data.c: load_data_region).

    Difficult objects are no training labels (scripts/voc_label.py).
    """

    def __init__(
        self, split: Split, size: int, augmentation: DetectorAugmentation, seed: int
    ) -> None:
        self._split, self._size, self._seed = split, size, seed
        self._augmentation = augmentation

    def __len__(self) -> int:
        """Number of pictures."""
        return len(self._split)

    def __getitem__(self, place: Place) -> Sample:
        """The picture `index` as it is drawn in `epoch`: a function of the seed and the place."""
        epoch, index = place
        name = self._split.name(index)
        image = images.decode(self._split.image(index), name)
        rng = augment.sample_rng(self._seed, epoch, index)
        wanted = self._augmentation
        height, width = image.shape[:2]
        crop = augment.draw_crop(rng, width, height, wanted.jitter)
        flip = wanted.flip and bool(rng.random() < 0.5)
        colour = augment.draw_colour(rng, wanted.hue, wanted.saturation, wanted.exposure)
        boxes = augment_boxes.from_voc(
            self._split.boxes(index), self._split.labels(index), *self._split.size(index)
        )
        boxes = boxes[~self._split.difficult(index)]
        boxes = augment_boxes.move_boxes(boxes, crop, width, height, flip)
        # The first box of a grid cell becomes its target: a random one.
        return Sample(
            name, augment.warp(image, crop, self._size, flip), rng.permutation(boxes), colour
        )


def collate(samples: list[Sample]) -> Batch:
    """Put samples side by side."""
    rows = [
        np.column_stack([np.full(len(sample.boxes), number, np.float32), sample.boxes])
        for number, sample in enumerate(samples)
    ]
    return Batch(
        names=[sample.name for sample in samples],
        images=torch.from_numpy(np.stack([sample.image for sample in samples])),
        boxes=torch.from_numpy(np.concatenate(rows).astype(np.float32)),
        colour=torch.tensor([sample.colour for sample in samples], dtype=torch.float32),
    )
