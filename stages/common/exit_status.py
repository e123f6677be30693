"""How a stage itself says that it ended, whatever DVC made of it.

DVC answers 255 for every failure and dies of the signal that the stage survives long enough to save
its state, so the truth is in `runs/<stage>/<fingerprint>/exit.json` (`YOLO_RUNS`).
"""

import json
import os
from pathlib import Path
from uuid import uuid4

from yolo.files import write_json
from yolo.runtime.settings import from_environment

FILE = "exit.json"
_VARIABLE = "YOLO_ATTEMPT"


def write_ending(folder: Path, status: int) -> None:
    """Say in the folder of a training's state how it ended, and which attempt it was."""
    attempt = os.environ.get(_VARIABLE)
    write_json(folder / FILE, {"status": status, "process": os.getpid(), "attempt": attempt})


class Ending:
    """What one attempt at a stage says of its end."""

    def __init__(self, root: Path, stage: str):
        self._folder = root / from_environment().runs / stage
        self._attempt = uuid4().hex
        self.environment = {_VARIABLE: self._attempt}
        """For the attempt: other projects may keep their trainings in the same folder."""

    def status(self) -> int | None:
        """The status that this attempt left, or None: killed before it could say anything."""
        for path in self._folder.glob(f"*/{FILE}"):
            try:
                found = json.loads(path.read_text(encoding="utf-8"))
                if found["attempt"] == self._attempt:
                    return int(found["status"])
            except (OSError, ValueError, KeyError, TypeError):
                continue
        return None
