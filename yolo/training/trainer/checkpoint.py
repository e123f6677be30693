"""The checkpoint from which an interrupted training goes on: where it is kept, when it is saved.

It lives in an untracked folder per stage and fingerprint, never in an out of the stage: DVC deletes
outs before a run. A finished training leaves its log there and no checkpoint.
"""

import fcntl
import os
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import broadcast_object_list

from yolo.errors import UserError
from yolo.files import replacing
from yolo.runtime.settings import Runtime
from yolo.training.trainer.distributed import any_process

_STATE = "state.pt"
_LOCK = "lock"
_KEPT_FOLDERS = 3
_SECONDS_TO_WAIT = 60.0
_SECONDS_BETWEEN_SAVES = 8.0
_SAVING_SHARE_OF_TIME = 0.02


class StateFolder:
    """Where one training, given by its stage and fingerprint, keeps its state and its log."""

    def __init__(self, runs: Path, fingerprint: str) -> None:
        """`runs`: folder of the stage's trainings; `fingerprint`: of parameters, code and data."""
        self.path = runs / fingerprint
        self.state = self.path / _STATE
        self.others_unfinished = any(
            state.parent != self.path for state in runs.glob(f"*/{_STATE}")
        )
        self.path.mkdir(parents=True, exist_ok=True)
        self.path.touch()
        self._lock = _locked(self.path / _LOCK)
        # left by a process that was killed while saving
        for torn in self.path.glob(f".{_STATE}.*.tmp"):
            torn.unlink(missing_ok=True)
        _remove_oldest(runs)

    def load(self) -> dict[str, Any] | None:
        """The last saved state, or None; `UserError` when it cannot be read."""
        if not self.state.exists():
            return None
        try:
            return torch.load(self.state, map_location="cpu", weights_only=True)
        except Exception as error:
            raise UserError(
                f"{self.state} cannot be read ({error}); remove it to train from the start"
            ) from None

    def save(self, state: dict[str, Any]) -> None:
        """Replace the saved state. If that fails, the previous one stays."""
        try:
            with replacing(self.state) as temporary, temporary.open("wb") as file:
                torch.save(state, file)
        except (OSError, RuntimeError) as error:
            free = shutil.disk_usage(self.path).free / 2**20
            others = [p for p in self.path.parent.iterdir() if p.is_dir() and p != self.path]
            old = f", older trainings ({', '.join(map(str, others))})" if others else ""
            raise UserError(
                f"{self.state} could not be saved ({_reason(error)}); {free:.0f} MiB are free "
                f"there. Free some space{old} or unused results (`dvc gc --workspace`), then run "
                "the same command: it goes on from the previous state."
            ) from None

    def finish(self) -> None:
        """Remove the state: a finished training is never continued."""
        self.state.unlink(missing_ok=True)


def updates_of(state: Path) -> int:
    """Number of updates done in a saved state; 0 when the file cannot be read."""
    try:
        saved = torch.load(state, map_location="cpu", weights_only=True, mmap=True)
        return int(saved["state"]["batch"])
    except Exception:  # torch raises many kinds for a damaged file
        return 0


class Checkpointer:
    """Saves the state in the main process, and gives it to all processes when a training resumes.

    `folder` is None in all processes but the main one.
    """

    def __init__(
        self, folder: StateFolder | None, runtime: Runtime, accelerator: Accelerator
    ) -> None:
        self._folder, self._accelerator = folder, accelerator
        self._every, self._wanted_seconds = runtime.save_batches, runtime.save_seconds
        self._saved_at = time.monotonic()
        self._took = 0.0

    def is_wanted(self, batch: int) -> bool:
        """Whether `YOLO_SAVE_BATCHES` asks for a state after update `batch`."""
        return bool(self._every) and batch % self._every == 0

    def is_due(self, batch: int) -> bool:
        """Whether to save after update `batch`. Always False outside the main process."""
        if self._folder is None:
            return False
        if self.is_wanted(batch):
            return True
        seconds = self._wanted_seconds
        if seconds is None:
            seconds = max(_SECONDS_BETWEEN_SAVES, self._took / _SAVING_SHARE_OF_TIME)
        return time.monotonic() - self._saved_at >= seconds

    def save(self, state: Callable[[], dict[str, Any]]) -> None:
        """Save what `state` returns. Every process must call this; all raise if it fails."""
        started, error = time.monotonic(), None
        content = state()
        if self._folder is not None:
            try:
                self._folder.save(content)
            except UserError as failed:
                error = failed
        if any_process(self._accelerator, [error is not None])[0] and error is None:
            error = UserError("the main process could not save the state")
        if error is not None:
            raise error
        self._saved_at = time.monotonic()
        self._took = self._saved_at - started

    def load(self) -> dict[str, Any] | None:
        """The state to resume from, or None. Every process gets the main one's."""
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


def _reason(error: Exception) -> str:
    """The operating system's error, if there is one: torch raises its own after it."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, OSError):
        cause = cause.__context__
    return str(cause or error)


def _locked(path: Path) -> Any:
    """Hold a lock on `path` until this process ends. Wait a while if another process holds it.

    Otherwise a trainer orphaned by a killed DVC process would write to the same checkpoint.
    """
    file = path.open("a+")
    deadline = time.monotonic() + _SECONDS_TO_WAIT
    is_told = False
    while True:
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            file.seek(0)
            owner = file.read().strip()
            if time.monotonic() > deadline:
                raise UserError(
                    f"process {owner} runs the same training; "
                    f"end it (kill {owner}) or wait until it has ended"
                ) from None
            if not is_told:
                print(f"waiting for process {owner}, which runs the same training", file=sys.stderr)
                is_told = True
            time.sleep(0.2)
        else:
            file.truncate(0)
            file.write(str(os.getpid()))
            file.flush()
            return file


def _remove_oldest(runs: Path) -> None:
    folders = sorted(
        (folder for folder in runs.iterdir() if folder.is_dir()),
        key=lambda folder: folder.stat().st_mtime,
        reverse=True,
    )
    for folder in folders[_KEPT_FOLDERS:]:
        if not _is_in_use(folder):
            shutil.rmtree(folder, ignore_errors=True)


def _is_in_use(folder: Path) -> bool:
    """Whether a process runs that training: projects may share the folder of their trainings."""
    try:
        with (folder / _LOCK).open("r+") as file:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except OSError:
        return True
    return False
