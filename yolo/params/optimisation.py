"""What both trainings have in common: batches, the optimiser and the learning-rate schedule."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from yolo.params.base import Block
from yolo.params.values import Count, Positive, Scale


class Schedule(Block):
    """The original's learning-rate policies (network.c: get_current_rate), and cosine."""

    policy: Literal["constant", "steps", "poly", "cosine"]
    learning_rate: Positive
    burn_in: Annotated[int, Field(ge=0)]
    """Batches over which the rate rises from 0 as (batch / burn_in) ** power."""
    power: Positive
    """Exponent of the rise and of policy poly: rate * (1 - batch / batches) ** power.

    Policy cosine falls from the rate to 0 in half a cosine between burn_in and the last batch."""
    steps: list[Count]
    """Policy steps: batch numbers at which the rate is multiplied by the scale beside it."""
    scales: list[Positive]

    @model_validator(mode="after")
    def _paired(self) -> Self:
        if len(self.steps) != len(self.scales):
            raise ValueError(
                f"has {len(self.steps)} steps and {len(self.scales)} scales; each step needs one"
            )
        if self.steps != sorted(set(self.steps)):
            raise ValueError("must have steps in strictly rising order")
        return self


class Optimisation(Block):
    """How weights are updated. Decay is on weights only, not on biases or normalisation."""

    batch: Count
    """Images per update, over all processes and accumulated forward passes."""
    batches: Count
    """Updates in the whole training."""
    batch_norm_images: Count
    """Images over which batch normalisation takes its statistics; divides `batch`."""
    precision: Literal["fp32", "bf16"]
    optimiser: Literal["sgd", "adamw"]
    """`sgd`: as the original; `adamw`: decoupled decay, rates about a tenth of those of sgd."""
    momentum: Annotated[float, Field(ge=0, lt=1)]
    """Of sgd; the first beta of adamw, whose second is 0.999."""
    decay: Scale
    """Weight decay: added to the gradient by sgd, times the rate subtracted by adamw."""
    clip_norm: Positive | None
    """Largest norm of the gradient; null: no clipping, as in the original."""
    ema: Annotated[float, Field(gt=0, lt=1)] | None
    """Decay of the moving average of the weights that is kept, at first (1 + n) / (10 + n) after n
    updates; null: none, as in the original."""
    patience: Count | None
    """Validations in a row without a new best one after which the training ends; null: none ends
    it, as in the original."""
    schedule: Schedule

    @model_validator(mode="after")
    def _whole_groups(self) -> Self:
        if self.batch % self.batch_norm_images:
            raise ValueError(
                f"has batch {self.batch}, which batch_norm_images "
                f"{self.batch_norm_images} does not divide"
            )
        return self
