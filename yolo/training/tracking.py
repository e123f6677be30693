"""Where the course of a training is written: JSON lines always, Weights & Biases when it is on.

Trouble with tracking is a warning and never stops a training.
"""

import json
import os
import sys
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from yolo.runtime import Tracking

_LOG = "log.jsonl"
_RUN_ID = "wandb_id"


class Tracker:
    """Log of one training; a training that goes on after a stop goes on in the same W&B run."""

    def __init__(
        self, folder: Path, mode: Tracking, stage: str, settings: Mapping[str, Any]
    ) -> None:
        self._log = (folder / _LOG).open("a", encoding="utf-8")
        self._wandb = None
        if mode != "disabled":
            try:
                self._wandb = _start_wandb(folder, mode, stage, settings)
            except Exception as error:
                self._warn(error)

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Record numbers at an update."""
        self._log.write(json.dumps({"batch": step, **values}) + "\n")
        self._log.flush()
        if self._wandb is not None:
            try:
                self._wandb.log(dict(values), step=step)
            except Exception as error:
                self._warn(error)

    def close(self) -> None:
        """End the log."""
        self._log.close()
        if self._wandb is not None:
            try:
                self._wandb.finish()
            except Exception as error:
                self._warn(error)

    def _warn(self, error: Exception) -> None:
        self._wandb = None
        print(f"warning: Weights & Biases is off from here on: {error}", file=sys.stderr)


def _start_wandb(folder: Path, mode: Tracking, stage: str, settings: Mapping[str, Any]) -> Any:
    # Set before the import: neither crash reports nor chatter.
    os.environ.setdefault("WANDB_ERROR_REPORTING", "false")
    os.environ.setdefault("WANDB_SILENT", "true")
    from accelerate.tracking import WandBTracker

    id_file = folder / _RUN_ID
    if not id_file.exists():
        id_file.write_text(uuid.uuid4().hex[:8], encoding="utf-8")
    tracker = WandBTracker(
        "yolov1",
        name=f"{stage}-{folder.name[:8]}",
        id=id_file.read_text(encoding="utf-8"),
        mode=mode,
        resume="allow",
        dir=str(folder),
    )
    tracker.start()
    tracker.store_init_configuration(dict(settings))
    return tracker
