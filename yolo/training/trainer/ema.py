"""The moving average of the weights."""

import copy
from typing import Any

import torch
from torch import Tensor, nn


class MovingAverage:
    """A copy of a network that follows it: d * average + (1 - d) * weights after every update.

    d is `decay`, at first (1 + n) / (10 + n) where that is less, n being the number of updates
    before; the first update is copied. Whole numbers, counters of a layer, are copied always.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        """`model`: unwrapped, on its device."""
        self.model = copy.deepcopy(model)
        self._decay, self._updates = decay, 0

    @torch.no_grad()
    def follow(self, model: nn.Module) -> None:
        """Take up the weights and the running statistics of `model`. No host synchronisation."""
        count = self._updates
        share = 1 - min(self._decay, (1 + count) / (10 + count)) if count else 1.0
        for average, value in zip(_tensors(self.model), _tensors(model), strict=True):
            if count and average.is_floating_point():
                average.lerp_(value, share)
            else:
                average.copy_(value)
        self._updates += 1

    def state_dict(self) -> dict[str, Any]:
        """The average and how many updates it has seen."""
        return {"model": self.model.state_dict(), "updates": self._updates}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a saved average."""
        self.model.load_state_dict(state["model"])
        self._updates = state["updates"]


def _tensors(model: nn.Module) -> list[Tensor]:
    return [*model.parameters(), *model.buffers()]
