"""What the processes of one training exchange: decisions, gradients, running statistics."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
import torch.distributed as dist
from accelerate import Accelerator
from torch import Tensor, nn

from yolo.model.network.layers import BatchNorm


def any_process(accelerator: Accelerator, flags: Sequence[bool]) -> list[bool]:
    """OR each flag over all processes. Every process must call this."""
    if accelerator.num_processes == 1:
        return list(flags)
    sent = torch.tensor(flags, dtype=torch.int32, device=accelerator.device)
    dist.all_reduce(sent, dist.ReduceOp.MAX)
    return [bool(flag) for flag in sent.tolist()]


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
