"""The state from which an interrupted training goes on.

It lives in an untracked folder per stage and fingerprint, never in an out of the stage: DVC deletes
outs before a run. A finished training leaves its log there and no state.
"""

import shutil
from pathlib import Path
from typing import Any

import torch

from yolo.errors import UserError
from yolo.files import replacing

_STATE = "state.pt"
_KEPT_FOLDERS = 3


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
            with replacing(self._state) as temporary:
                torch.save(state, temporary)
        except (OSError, RuntimeError) as error:
            free = shutil.disk_usage(self.path).free / 2**20
            raise UserError(
                f"{self._state} could not be saved ({error}); {free:.0f} MiB are free there. "
                "Free some space and run the same command: it goes on from the previous state."
            ) from None

    def finish(self) -> None:
        """Drop the state: a finished training is never continued."""
        self._state.unlink(missing_ok=True)


def _remove_oldest(runs: Path) -> None:
    folders = sorted(
        (folder for folder in runs.iterdir() if folder.is_dir()),
        key=lambda folder: folder.stat().st_mtime,
        reverse=True,
    )
    for folder in folders[_KEPT_FOLDERS:]:
        shutil.rmtree(folder, ignore_errors=True)
