"""What the processes of one training exchange: decisions, gradients, running statistics."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch
import torch.distributed as dist
from accelerate import Accelerator
from torch import Tensor, nn

from yolo.model.network.layers import BatchNorm

_LARGEST = 2**31 - 1


def any_process(accelerator: Accelerator, flags: Sequence[bool]) -> list[bool]:
    """OR each flag over all processes. Every process must call this."""
    return [bool(flag) for flag in _largest(accelerator, flags)]


def _largest(accelerator: Accelerator, numbers: Sequence[int]) -> list[int]:
    """The largest of each number over all processes."""
    if accelerator.num_processes == 1:
        return list(numbers)
    sent = torch.tensor(numbers, dtype=torch.int32, device=accelerator.device)
    dist.all_reduce(sent, dist.ReduceOp.MAX)
    return sent.tolist()


class Decisions:
    """Decisions that all processes take together, seconds apart.

    An exchange makes the host wait for the device, so there is none after most updates. The number
    of updates to the next one follows from the time of an update. All processes exchange that time
    too, and use the slowest one's, so that they always meet. The time decides when a training can
    be stopped, never what it computes.
    """

    def __init__(
        self,
        accelerator: Accelerator,
        *,
        seconds: float,
        most: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`seconds`: between two exchanges, if updates take less; `most`: updates between them."""
        self._accelerator, self._clock = accelerator, clock
        self._seconds, self._most = seconds, most
        self._next, self._milliseconds = 0, 0
        self._last: tuple[int, float] | None = None

    def are_due(self, update: int) -> bool:
        """Whether the processes decide after this update. One process alone always does."""
        return self._accelerator.num_processes == 1 or update >= self._next

    def decide(self, update: int, flags: Sequence[bool]) -> list[bool]:
        """OR each flag over all processes. Every process must call this after the same updates."""
        *decided, slowest = _largest(self._accelerator, [*flags, self._milliseconds])
        now = self._clock()
        if self._last is not None and update > self._last[0]:
            # measured from exchange to exchange: between them the host runs ahead of the device
            taken = (now - self._last[1]) / (update - self._last[0])
            self._milliseconds = min(round(1000 * taken) + 1, _LARGEST)
        self._last = update, now
        wanted = int(1000 * self._seconds / slowest) if slowest else 1
        self._next = update + max(1, min(self._most, wanted))
        return [bool(flag) for flag in decided]


@contextmanager
def gradient_exchange(accelerator: Accelerator, model: nn.Module, *, now: bool) -> Iterator[None]:
    """Average gradients over the processes in the last micro-batch only."""
    if now:
        yield
    else:
        with accelerator.no_sync(model):
            yield


class RunningStatistics:
    """Gives every process the running statistics that one process alone would have.

    A process sees the normalisation groups of its own share of a batch. One process alone would
    see all groups in order, s <- keep * s + part with the same `keep` for each group. So after an
    update the statistics s_p of process p, all from the same s before it, are joined as
    s <- keep^g * s + (s_p - keep^g * before) for each p in turn, g being the groups of a share.
    """

    def __init__(self, model: nn.Module, groups: int) -> None:
        """`groups`: normalisation groups in one process's share of a batch."""
        self._buffers = [
            buffer
            for part in model.modules()
            if isinstance(part, BatchNorm) and part.weight.requires_grad
            for buffer in (part.running_mean, part.running_var)
        ]
        self._keep = (1 - BatchNorm.momentum) ** groups
        self._before = self._flat() if self._buffers else torch.zeros(0)

    @torch.no_grad()
    def join(self) -> None:
        """Join after an update. Every process must call this."""
        if not self._buffers:
            return
        own = self._flat()
        every = [torch.empty_like(own) for _ in range(dist.get_world_size())]
        dist.all_gather(every, own)
        joined = every[0]
        for other in every[1:]:
            joined = self._keep * joined + (other - self._keep * self._before)
        place = 0
        for buffer in self._buffers:
            buffer.copy_(joined[place : place + buffer.numel()].view_as(buffer))
            place += buffer.numel()
        self._before = joined

    def _flat(self) -> Tensor:
        return torch.cat([buffer.detach().flatten() for buffer in self._buffers])
