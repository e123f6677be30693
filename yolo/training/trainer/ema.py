"""The exponential moving average of the weights."""

import copy
from typing import Any

import torch
from torch import Tensor, nn

from yolo.training.trainer.state import trained_of


class MovingAverage:
    """A copy of a network: d * average + (1 - d) * weights after every update.

    d is `decay`, or (1 + n) / (10 + n) if that is less, n being the number of updates before. The
    first update is copied. Integers (counters of a layer) are always copied.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        """`model`: unwrapped, on its device."""
        self.model = copy.deepcopy(model)
        self._decay, self._updates = decay, 0

    @torch.no_grad()
    def update(self, model: nn.Module) -> None:
        """Average in the weights and statistics of `model`, without waiting for the device."""
        count = self._updates
        share = 1 - min(self._decay, (1 + count) / (10 + count)) if count else 1.0
        for average, value in zip(_tensors(self.model), _tensors(model), strict=True):
            if count and average.is_floating_point():
                average.lerp_(value, share)
            else:
                average.copy_(value)
        self._updates += 1

    def state_dict(self) -> dict[str, Any]:
        """The average, without frozen layers, and its number of updates."""
        return {"model": trained_of(self.model), "updates": self._updates}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore a saved average."""
        self.model.load_state_dict(state["model"], strict=False)
        self._updates = state["updates"]


def _tensors(model: nn.Module) -> list[Tensor]:
    return [*model.parameters(), *model.buffers()]
