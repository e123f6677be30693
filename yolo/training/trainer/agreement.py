"""What one process of a training has seen, all do."""

from collections.abc import Sequence

import torch
import torch.distributed as dist
from accelerate import Accelerator


def in_any_process(accelerator: Accelerator, flags: Sequence[bool]) -> list[bool]:
    """For each flag whether it is set in one process at least; every process must ask."""
    if accelerator.num_processes == 1:
        return list(flags)
    sent = torch.tensor(flags, dtype=torch.int32, device=accelerator.device)
    dist.all_reduce(sent, dist.ReduceOp.MAX)
    return [bool(flag) for flag in sent.tolist()]
