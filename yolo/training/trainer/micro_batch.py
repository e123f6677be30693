"""The micro-batch: how many images one forward pass holds."""

import gc
from collections.abc import Callable

import torch
import torch.distributed as dist
from accelerate.utils.memory import should_reduce_batch_size
from torch import nn

from yolo.errors import UserError
from yolo.params.optimisation import Optimisation


def possible(optimisation: Optimisation, processes: int) -> list[int]:
    """Possible micro-batch sizes, ascending: they divide a process's share into whole groups.

    Raises `UserError` if the batch cannot be shared by so many processes.
    """
    share, group = optimisation.batch // processes, optimisation.batch_norm_images
    if optimisation.batch % processes or share % group:
        raise UserError(
            f"a batch of {optimisation.batch} cannot be shared by {processes} processes: each "
            f"needs as many images, in whole groups of batch_norm_images, {group}. Statistics "
            "over several processes (sync_batchnorm) are not taken; on a CPU there are none. "
            "Use fewer processes or a smaller batch_norm_images"
        )
    return [size for size in range(group, share + 1, group) if share % size == 0]


def chosen(sizes: list[int], wanted: int | None) -> int:
    """The largest of `sizes` that is not above `wanted`; `UserError` if there is none."""
    fitting = [size for size in sizes if wanted is None or size <= wanted]
    if not fitting:
        raise UserError(
            f"YOLO_MICRO_BATCH is {wanted}; it must be at least batch_norm_images, {sizes[0]}"
        )
    return fitting[-1]


def largest_that_fits(
    sizes: list[int],
    model: nn.Module,
    attempt: Callable[[int], None],
    device: torch.device,
    moments: int,
) -> int:
    """The largest of `sizes` for which `attempt`, a forward and backward pass, fits into memory.

    All processes agree on the least of theirs. While trying, the memory that the optimiser will
    need is held; gradients and running statistics are restored afterwards. Raises `UserError` if
    not even the smallest fits. `moments`: values that the optimiser keeps per parameter.
    """
    buffers = {name: buffer.clone() for name, buffer in model.named_buffers()}
    fits = 0
    for size in reversed(sizes):
        try:
            _with_room(model, attempt, size, moments)
        except RuntimeError as error:
            if not should_reduce_batch_size(error):
                raise
        else:
            fits = size
        finally:
            model.zero_grad(set_to_none=True)
        if fits:
            break
        gc.collect()
        if device.type == "cuda":
            torch.cuda.empty_cache()
    with torch.no_grad():
        for name, buffer in model.named_buffers():
            buffer.copy_(buffers[name])
    if dist.is_available() and dist.is_initialized():
        least = torch.tensor(fits, device=device)
        dist.all_reduce(least, dist.ReduceOp.MIN)
        fits = int(least)
    if not fits:
        raise UserError(
            f"there is not enough memory for a micro-batch of {sizes[0]} images "
            "(batch_norm_images); use a smaller network, input_size or batch_norm_images"
        )
    return fits


def _with_room(model: nn.Module, attempt: Callable[[int], None], size: int, moments: int) -> None:
    # Held while trying: what the optimiser will keep from its first step on.
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    kept = [torch.empty_like(parameter) for parameter in trained for _ in range(moments)]
    attempt(size)
    del kept
