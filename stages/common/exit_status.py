"""How a training stage itself says that it ended, whatever DVC makes of it.

DVC answers 255 for every failure, and a signal may kill DVC while the stage still saves its state.
So each training says in `runs/<stage>/<fingerprint>/exit.json` (`YOLO_RUNS`) how it ended.
"""

import json
import os
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from yolo.files import write_json
from yolo.runtime.settings import from_environment

FILE = "exit.json"
_VARIABLE = "YOLO_ATTEMPT"


def write_ending(folder: Path, status: int | None, device: str) -> None:
    """Write into the folder of a training's state how this attempt ended.

    `status`: the exit status; None while the training runs. `device`: what it trains on.
    """
    attempt = os.environ.get(_VARIABLE)
    content = {"status": status, "process": os.getpid(), "attempt": attempt, "device": device}
    write_json(folder / FILE, content)


@dataclass(frozen=True)
class Ending:
    """What one attempt at a training says of itself."""

    status: int | None
    """Its exit status; None: it was killed before it could say one."""
    fingerprint: str
    device: str


class Attempt:
    """One attempt at a stage, known by a number that the stage's process is told."""

    def __init__(self, root: Path, stage: str):
        self._folder = root / from_environment().runs / stage
        self._attempt = uuid4().hex
        self.environment = {_VARIABLE: self._attempt}
        """For the stage's process: other projects may keep their trainings in the same folder."""

    def ending(self) -> Ending | None:
        """What this attempt left, or None: it is no training, or it had not begun to train."""
        for path in self._folder.glob(f"*/{FILE}"):
            try:
                found = json.loads(path.read_text(encoding="utf-8"))
                if found["attempt"] == self._attempt:
                    status = found["status"]
                    status = None if status is None else int(status)
                    return Ending(status, path.parent.name, str(found.get("device", "")))
            except (OSError, ValueError, KeyError, TypeError):
                continue
        return None
