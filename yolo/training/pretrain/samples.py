"""Training and validation samples of the classifier."""

from dataclasses import dataclass

import torch
from torch import Tensor

from yolo.data.loading import augment, batch
from yolo.data.loading.loader import SampleKey
from yolo.data.loading.on_device import View
from yolo.data.store.clean_set import Split
from yolo.params.pretrain import ClassifierAugmentation


@dataclass(frozen=True)
class Sample(batch.Sample):
    """One image and its class."""

    label: int


@dataclass(frozen=True)
class Batch(batch.Batch):
    """A collated batch."""

    labels: Tensor
    """(N,) int64."""


class TrainingSamples(batch.ImageSamples[Sample]):
    """Randomly cropped, flipped images (image.c: random_augment_image)."""

    def __init__(
        self, split: Split, size: int, augmentation: ClassifierAugmentation, seed: int
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
        crop = augment.draw_classifier_crop(
            rng, width, height, self._size, wanted.min_crop, wanted.max_crop
        )
        flip = wanted.flip and bool(rng.random() < 0.5)
        colour = augment.draw_colour(rng, wanted.hue, wanted.saturation, wanted.exposure)
        pixels, left = self._warp(image, View(crop, self._size, flip))
        return Sample(name, pixels, left, colour, self._split.label(index))


class ValidationSamples(batch.ImageSamples[Sample]):
    """The centre of each image, unchanged in colour."""

    def __getitem__(self, key: SampleKey) -> Sample:
        """The image `index`, the same in every epoch."""
        _, index = key
        name, image = self._read(index)
        height, width = image.shape[:2]
        crop = augment.centre_crop(width, height)
        pixels, left = self._warp(image, View(crop, self._size, flip=False))
        return Sample(name, pixels, left, (0.0, 1.0, 1.0), self._split.label(index))


def collate(samples: list[Sample]) -> Batch:
    """Stack samples into a batch."""
    labels = torch.tensor([sample.label for sample in samples])
    return Batch(**batch.collate_images(samples), labels=labels)
