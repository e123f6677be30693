"""Training samples of the detector."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from yolo.data.loading import augment, batch
from yolo.data.loading.loader import SampleKey
from yolo.data.loading.on_device import View
from yolo.data.store.clean_set import Split
from yolo.params.detect_train import DetectorAugmentation
from yolo.training.detect_train import augment_boxes


@dataclass(frozen=True)
class Sample(batch.Sample):
    """One image and its boxes, as they lie in the warped image, in random order."""

    boxes: np.ndarray
    """(n, 5) float32: class, cx, cy, w, h relative to the image."""


@dataclass(frozen=True)
class Batch(batch.Batch):
    """A collated batch."""

    boxes: Tensor
    """(M, 6) float: number of the image in the batch, class, cx, cy, w, h relative to it."""


class TrainingSamples(batch.ImageSamples[Sample]):
    """Randomly cropped, resized and flipped images (data.c: load_data_region).

    Difficult objects are no training labels (scripts/voc_label.py).
    """

    def __init__(
        self, split: Split, size: int, augmentation: DetectorAugmentation, seed: int
    ) -> None:
        super().__init__(split, size)
        self._augmentation, self._seed = augmentation, seed

    def __getitem__(self, key: SampleKey) -> Sample:
        """The image `index` as it is drawn in `epoch`: a function of the seed and the key."""
        epoch, index = key
        name, image = self._read(index)
        rng = augment.sample_rng(self._seed, epoch, index)
        wanted = self._augmentation
        height, width = image.shape[:2]
        crop = augment.draw_crop(rng, width, height, wanted.jitter)
        flip = wanted.flip and bool(rng.random() < 0.5)
        vertical_flip = wanted.vertical_flip and bool(rng.random() < 0.5)
        colour = augment.draw_colour(rng, wanted.hue, wanted.saturation, wanted.exposure)
        boxes = augment_boxes.from_voc(
            self._split.boxes(index), self._split.labels(index), *self._split.size(index)
        )
        boxes = boxes[~self._split.difficult(index)]
        boxes = augment_boxes.move_boxes(boxes, crop, width, height, flip, vertical_flip)
        pixels, left = self._warp(image, View(crop, self._size, flip, vertical_flip))
        # The first box of a grid cell becomes its target: a random one.
        return Sample(name, pixels, left, colour, rng.permutation(boxes))


def collate(samples: list[Sample]) -> Batch:
    """Stack samples into a batch."""
    rows = [
        np.column_stack([np.full(len(sample.boxes), number, np.float32), sample.boxes])
        for number, sample in enumerate(samples)
    ]
    boxes = torch.from_numpy(np.concatenate(rows).astype(np.float32))
    return Batch(**batch.collate_images(samples), boxes=boxes)
