"""The stop when a loss or a gradient is not finite: an error that names the batch, and a file."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import nn

from yolo.errors import UserError
from yolo.training.monitoring import failed_batch

if TYPE_CHECKING:
    from yolo.data.loading.loader import BatchSampler
    from yolo.training.trainer.loss_terms import LossMeter
    from yolo.training.trainer.task import Task


def check(
    meter: "LossMeter",
    model: nn.Module,
    task: "Task",
    batches_of: "Callable[[int], BatchSampler]",
    folder: Path | None,
) -> None:
    """Raise `UserError` if an update was not finite; save its batch into `folder`, if any.

    The optimiser has left the weights as they were before that update. `batches_of` returns the
    micro-batches of an update, those of all processes.
    """
    failure = meter.failure()
    if failure is None:
        return
    update, terms = failure
    batches = list(task.batches(batches_of(update), 0, torch.device("cpu")))
    saved = ""
    if folder is not None:
        path = folder / failed_batch.FILE
        try:
            failed_batch.save(
                path, update=update, terms=terms, batches=batches, model=model.state_dict()
            )
            saved = f"The batch is saved; look at it with `yolov1 inspect batch {path}`. "
        except (OSError, RuntimeError) as error:
            saved = f"The batch could not be saved ({error}). "
    shown = ", ".join(f"{name} {value:g}" for name, value in terms.items())
    names = ", ".join(name for batch in batches for name in batch.names)
    raise UserError(
        f"the loss or its gradient is not finite at batch {update}: {shown}. "
        f"Images of the batch: {names}. {saved}"
        "Lower optimisation.schedule.learning_rate, lengthen its burn_in or set clip_norm."
    )
