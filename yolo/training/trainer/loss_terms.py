"""Sums of the loss terms, kept on the device, and the first update that was not finite."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor


class LossMeter:
    """Means of the loss terms since the last reset.

    `add` never makes the host wait for the device; `means` and `failure` do.
    """

    def __init__(self, device: torch.device) -> None:
        # float64 where the device has it: long sums then lose nothing.
        self._kind = torch.float32 if device.type == "mps" else torch.float64
        self.names: list[str] = []
        self._sums = torch.zeros(0, dtype=self._kind, device=device)
        self._count = 0
        self.failed = torch.zeros((), device=device)
        """1 from the first update on that had a loss or gradient which is not finite, else 0."""
        self._first = torch.zeros((), dtype=torch.int64, device=device)
        self._at_first = torch.zeros(0, dtype=self._kind, device=device)

    def add(self, update: int, terms: Mapping[str, Tensor], gradient_norm: Tensor) -> None:
        """Add the terms of an update, each a scalar, and note whether they are finite."""
        values = torch.stack([value.detach().to(self._kind) for value in terms.values()])
        if not self.names:
            self.names = list(terms)
            self._sums = torch.zeros_like(values)
        if not len(self._at_first):
            self._at_first = torch.zeros(len(values) + 1, dtype=self._kind, device=values.device)
        self._sums = self._sums + values
        self._count += 1
        seen = torch.cat((values, gradient_norm.detach().to(self._kind).reshape(1)))
        fails = (~seen.isfinite()).any()
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            # If one process has failed, all have.
            shared = fails.to(self.failed.dtype)
            torch.distributed.all_reduce(shared, torch.distributed.ReduceOp.MAX)
            fails = shared > 0
        is_first = fails & (self.failed == 0)
        self._first = torch.where(is_first, update, self._first)
        self._at_first = torch.where(is_first, seen, self._at_first)
        self.failed = torch.maximum(self.failed, fails.to(self.failed.dtype))

    def failure(self) -> tuple[int, dict[str, float]] | None:
        """Number of the first update that was not finite, its terms and gradient norm, or None."""
        update = int(self._first)
        if not update:
            return None
        names = (*self.names, "gradient_norm")
        return update, dict(zip(names, self._at_first.tolist(), strict=True))

    def means(self) -> dict[str, float]:
        """Means of this process's terms since the last reset."""
        if not self._count:
            return {}
        return {n: s / self._count for n, s in zip(self.names, self._sums.tolist(), strict=True)}

    def means_of_all(self) -> dict[str, float]:
        """Means over all processes, whose shares of a batch are equal."""
        if not self._count:
            return {}
        sums = self._of_all().mean(0).tolist()
        return {n: s / self._count for n, s in zip(self.names, sums, strict=True)}

    def reset(self) -> None:
        """Start new sums."""
        self._sums, self._count = torch.zeros_like(self._sums), 0

    def state_dict(self) -> dict[str, Any]:
        """The sums of every process."""
        return {"names": self.names, "sums": self._of_all().cpu(), "count": self._count}

    def load_state_dict(self, state: Mapping[str, Any], process: int, processes: int) -> None:
        """Restore saved sums; if the number of processes has changed, each takes their mean."""
        sums = state["sums"]
        own = sums[process] if len(sums) == processes else sums.mean(0)
        self.names, self._count = state["names"], state["count"]
        self._sums = own.to(self._sums)

    def _of_all(self) -> Tensor:
        """(processes, terms) sums."""
        if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
            return self._sums[None]
        every = [torch.empty_like(self._sums) for _ in range(torch.distributed.get_world_size())]
        torch.distributed.all_gather(every, self._sums)
        return torch.stack(every)
