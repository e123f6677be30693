"""The stop when a loss or a gradient is not finite: what was it, and a file to look closer."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from torch import nn

from yolo.errors import UserError
from yolo.training.monitoring import failed_batch

if TYPE_CHECKING:
    from yolo.data.loading.loader import Shares
    from yolo.training.trainer.loss_terms import Terms
    from yolo.training.trainer.task import Task


def check(
    terms: "Terms",
    model: nn.Module,
    task: "Task",
    batches_of: "Callable[[int], Shares]",
    folder: Path | None,
) -> None:
    """Raise `UserError` when an update was not finite; save its batch into `folder`, if any.

    The optimiser has left the weights as they were before that update. `batches_of` says which
    images an update has, those of all processes.
    """
    failure = terms.failure()
    if failure is None:
        return
    update, values = failure
    batches = list(task.batches(batches_of(update), 0))
    saved = ""
    if folder is not None:
        path = folder / failed_batch.FILE
        try:
            failed_batch.save(
                path, update=update, terms=values, batches=batches, model=model.state_dict()
            )
            saved = f"The batch is saved; look at it with `yolov1 inspect batch {path}`. "
        except (OSError, RuntimeError) as error:
            saved = f"The batch could not be saved ({error}). "
    shown = ", ".join(f"{name} {value:g}" for name, value in values.items())
    names = ", ".join(name for batch in batches for name in batch.names)
    raise UserError(
        f"the loss or its gradient is not finite at batch {update}: {shown}. "
        f"Images of the batch: {names}. {saved}"
        "Lower optimisation.schedule.learning_rate, lengthen its burn_in or set clip_norm."
    )
