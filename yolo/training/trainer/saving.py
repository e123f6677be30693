"""When a training's state is saved, and how several processes share one."""

import sys
import time
from collections.abc import Callable
from typing import Any

from accelerate import Accelerator
from accelerate.utils import broadcast_object_list

from yolo.errors import UserError
from yolo.runtime.settings import Runtime
from yolo.training.trainer.agreement import in_any_process
from yolo.training.trainer.checkpoint import StateFolder

_SECONDS_BETWEEN_SAVES = 8.0
_SAVING_SHARE_OF_TIME = 0.02


class Saving:
    """Saves the state in the main process, and hands it to all when a training goes on.

    `folder` is None in all processes but the main one.
    """

    def __init__(
        self, folder: StateFolder | None, runtime: Runtime, accelerator: Accelerator
    ) -> None:
        self._folder, self._accelerator = folder, accelerator
        self._every, self._wanted_seconds = runtime.save_batches, runtime.save_seconds
        self._saved_at = time.monotonic()
        self._took = 0.0

    def is_due(self, batch: int) -> bool:
        """Whether it is time to save after update `batch`; only the main process knows."""
        if self._folder is None:
            return False
        if self._every and batch % self._every == 0:
            return True
        seconds = self._wanted_seconds
        if seconds is None:
            seconds = max(_SECONDS_BETWEEN_SAVES, self._took / _SAVING_SHARE_OF_TIME)
        return time.monotonic() - self._saved_at >= seconds

    def save(self, state: Callable[[], dict[str, Any]]) -> None:
        """Save what `state` gives; every process must call this, and all stop when it fails."""
        started, error = time.monotonic(), None
        content = state()
        if self._folder is not None:
            try:
                self._folder.save(content)
            except UserError as failed:
                error = failed
        if in_any_process(self._accelerator, [error is not None])[0] and error is None:
            error = UserError("the main process could not save the state")
        if error is not None:
            raise error
        self._saved_at = time.monotonic()
        self._took = self._saved_at - started

    def load(self) -> dict[str, Any] | None:
        """The state to go on from; the processes, maybe on other machines, get the main one's."""
        state = self._folder.load() if self._folder is not None else None
        if self._accelerator.num_processes > 1:
            (state,) = broadcast_object_list([state])
        if state is None and self._folder is not None and self._folder.others_unfinished:
            print(
                "parameters, code or data have changed since an unfinished training: "
                "starting from the first batch",
                file=sys.stderr,
            )
        self._saved_at = time.monotonic()
        return state
