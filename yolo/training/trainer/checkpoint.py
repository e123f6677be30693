"""The state from which an interrupted training goes on.

It lives in an untracked folder per stage and fingerprint, never in an out of the stage: DVC deletes
outs before a run. A finished training leaves its log there and no state.
"""

import fcntl
import os
import shutil
import sys
import time
from pathlib import Path
from typing import Any

import torch

from yolo.errors import UserError
from yolo.files import replacing

_STATE = "state.pt"
_LOCK = "lock"
_KEPT_FOLDERS = 3
_SECONDS_TO_WAIT = 60.0


class StateFolder:
    """Where one training, given by its stage and fingerprint, keeps its state and its log."""

    def __init__(self, runs: Path, fingerprint: str) -> None:
        """`runs`: folder of the stage's trainings; `fingerprint`: of parameters, code and data."""
        self.path = runs / fingerprint
        self._state = self.path / _STATE
        self.others_unfinished = any(
            state.parent != self.path for state in runs.glob(f"*/{_STATE}")
        )
        self.path.mkdir(parents=True, exist_ok=True)
        self.path.touch()
        self._lock = _locked(self.path / _LOCK)
        # what a process that was killed while it saved has left
        for torn in self.path.glob(f".{_STATE}.*.tmp"):
            torn.unlink(missing_ok=True)
        _remove_oldest(runs)

    def load(self) -> dict[str, Any] | None:
        """The last saved state, or None; `UserError` when it cannot be read."""
        if not self._state.exists():
            return None
        try:
            return torch.load(self._state, map_location="cpu", weights_only=True)
        except Exception as error:
            raise UserError(
                f"{self._state} cannot be read ({error}); remove it to train from the start"
            ) from None

    def save(self, state: dict[str, Any]) -> None:
        """Replace the saved state; when that fails the previous one stays."""
        try:
            with replacing(self._state) as temporary, temporary.open("wb") as file:
                torch.save(state, file)
        except (OSError, RuntimeError) as error:
            free = shutil.disk_usage(self.path).free / 2**20
            others = [p for p in self.path.parent.iterdir() if p.is_dir() and p != self.path]
            old = f", older trainings ({', '.join(map(str, others))})" if others else ""
            raise UserError(
                f"{self._state} could not be saved ({_reason(error)}); {free:.0f} MiB are free "
                f"there. Free some space{old} or unused results (`dvc gc --workspace`), then run "
                "the same command: it goes on from the previous state."
            ) from None

    def finish(self) -> None:
        """Drop the state: a finished training is never continued."""
        self._state.unlink(missing_ok=True)


def _reason(error: Exception) -> str:
    """The system's words where it has some: torch reports its own failure after the disk's."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, OSError):
        cause = cause.__context__
    return str(cause or error)


def _locked(path: Path) -> Any:
    """Hold `path` until this process ends; wait for another that holds it, for a while.

    One that DVC has lost, for it was killed alone, would otherwise write to the same state.
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
                    f"process {owner} is at the same training; "
                    f"end it (kill {owner}) or wait until it has ended"
                ) from None
            if not is_told:
                print(f"waiting for process {owner}, at the same training", file=sys.stderr)
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
    """Whether a process is at that training: projects may share the folder of their trainings."""
    try:
        with (folder / _LOCK).open("r+") as file:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except OSError:
        return True
    return False
