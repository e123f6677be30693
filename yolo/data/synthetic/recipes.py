"""What a descriptor says of a synthetic set."""

from typing import Annotated, Literal, Self

import numpy as np
from pydantic import Field, model_validator

from yolo.params.base import Block
from yolo.params.values import Count, Seed

Shape = Literal["circle", "crescent", "cross", "heart", "ring", "square", "star", "triangle"]
Side = Annotated[int, Field(ge=32, le=4096)]
Scale = Annotated[float, Field(gt=0, le=1)]


class Picture(Block):
    """What the images of both kinds of set have in common."""

    seed: Seed
    classes: Annotated[list[Shape], Field(min_length=2)]
    min_side: Side
    max_side: Side
    """Widths and heights are drawn from min_side to max_side pixels."""
    min_scale: Scale
    max_scale: Scale
    """A shape's longer side over the image's shorter side."""

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.min_side > self.max_side:
            raise ValueError(f"has min_side {self.min_side} above max_side {self.max_side}")
        if self.min_scale > self.max_scale:
            raise ValueError(f"has min_scale {self.min_scale} above max_scale {self.max_scale}")
        return self

    def size(self, rng: np.random.Generator) -> tuple[int, int]:
        """Draw width and height."""
        width, height = rng.integers(self.min_side, self.max_side, 2, endpoint=True)
        return int(width), int(height)


class ClassificationCounts(Block):
    """Images per split."""

    train: Count
    val: Count


class ClassificationRecipe(Picture):
    """One shape an image; the classes take turns."""

    images: ClassificationCounts


class DetectionCounts(Block):
    """Images per split."""

    train: Count
    val: Count
    test: Count


class DetectionRecipe(Picture):
    """One to `max_objects` shapes an image."""

    images: DetectionCounts
    max_objects: Annotated[int, Field(ge=1, le=16)]
