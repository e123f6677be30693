"""What the training loop asks of what it trains."""

from collections.abc import Iterable, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from yolo.data.loading.loader import Shares
from yolo.training.monitoring.tracking import Example


class Batch(Protocol):
    """What a task's loader yields: a data class of names and tensors."""

    names: list[str]

    def to(self, device: torch.device) -> "Batch":
        """The same batch on `device`."""
        ...


class Task(Protocol):
    """What is trained: a network, its data, its loss and its measure of success."""

    images: int
    """Number of training images."""
    metric: str
    """Name of the validation metric by which the best weights are chosen; larger is better."""

    @property
    def model(self) -> nn.Module:
        """The network."""
        ...

    def batches(self, shares: Shares, workers: int) -> Iterable[Any]:
        """The micro-batches of `shares`, each a `Batch`."""
        ...

    def loss(self, model: nn.Module, batch: Any) -> dict[str, Tensor]:
        """`loss`, to be minimised, and its terms, each a mean over the batch's images."""
        ...

    def validate(self, model: Any) -> dict[str, float]:
        """Metrics of `model` on the validation split."""
        ...

    def examples(self) -> Sequence[Example]:
        """A few pictures with what the last validation found in them, for the tracker."""
        ...
