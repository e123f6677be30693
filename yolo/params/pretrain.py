"""Block `pretrain`: the backbone as a classifier (paper section 2.2)."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from yolo.params.base import Block
from yolo.params.optimisation import Optimisation
from yolo.params.values import Count, Positive, Seed


class ClassifierAugmentation(Block):
    """Random crops and colours (image.c: random_augment_image, distort_image)."""

    min_crop: Annotated[int, Field(ge=16)]
    """The shorter side is resized to a random length from min_crop to max_crop before the crop."""
    max_crop: Annotated[int, Field(ge=16)]
    flip: bool
    hue: Annotated[float, Field(ge=0, le=1)]
    saturation: Positive
    exposure: Positive

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.min_crop > self.max_crop:
            raise ValueError(f"has min_crop {self.min_crop} above max_crop {self.max_crop}")
        return self


class PublishedWeights(Block):
    """Ready ImageNet weights in place of training."""

    source: Annotated[str, Field(min_length=1)] | None
    """null: train; package: those of efficientnet_lite0 that come with the environment;
    torchvision: those of its hub; else the path of a file with the published model's state
    dictionary (.pth or .safetensors)."""
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")] | None
    """Of the file at a path, which DVC does not watch; torchvision's carry theirs in the name."""


class Pretrain(Block):
    """Pre-training."""

    weights: PublishedWeights
    seed: Seed
    input_size: Annotated[int, Field(ge=32)]
    """Side of the square crop in pixels; half the detector's in the paper."""
    validate_every: Count
    """Batches between two validations."""
    optimisation: Optimisation
    augmentation: ClassifierAugmentation

    @model_validator(mode="after")
    def _crop_fits(self) -> Self:
        if self.augmentation.min_crop < self.input_size:
            raise ValueError(
                f"has augmentation.min_crop {self.augmentation.min_crop} "
                f"below input_size {self.input_size}"
            )
        return self
