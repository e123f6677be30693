"""What the trainer asks of what it trains."""

from collections.abc import Iterable, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from yolo.data.loading.loader import BatchSampler
from yolo.training.monitoring.tracking import Example


class Batch(Protocol):
    """What a task's loader yields: a data class of names and tensors."""

    names: list[str]

    def to(self, device: torch.device) -> "Batch":
        """The same batch on `device`."""
        ...


class Task(Protocol):
    """What is trained: a network, its data, its loss and its validation."""

    images: int
    """Number of training images."""
    metric: str
    """Name of the validation metric by which the best weights are chosen; larger is better."""

    @property
    def model(self) -> nn.Module:
        """The network."""
        ...

    def batches(self, sampler: BatchSampler, workers: int, device: torch.device) -> Iterable[Any]:
        """The micro-batches of `sampler`, each a `Batch` still on the host, made for `device`."""
        ...

    def inputs(self, batch: Any) -> Tensor:
        """The network's input, (N, 3, H, W) for images, of a batch on the device."""
        ...

    def loss(self, outputs: Tensor, batch: Any) -> dict[str, Tensor]:
        """`loss`, to be minimised, and its terms. Each is a scalar, the mean over the images."""
        ...

    def validate(self, model: Any) -> dict[str, float]:
        """Metrics of `model` on the validation split."""
        ...

    def examples(self) -> Sequence[Example]:
        """A few images with what the last validation found in them, for the tracker."""
        ...
