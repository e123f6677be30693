"""Where the course of a training is written: JSON lines always, Weights & Biases when it is on.

Trouble with tracking is a warning and never stops a training.
"""

import json
import os
import sys
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from yolo.runtime import Tracking

_LOG = "log.jsonl"
_RUN_ID = "wandb_id"


class Tracker:
    """Log of one training; a training that goes on after a stop goes on in the same W&B run.

    W&B starts with the first numbers: Accelerate, through which it is reached, must be up by then.
    """

    def __init__(
        self, folder: Path, mode: Tracking, stage: str, settings: Mapping[str, Any]
    ) -> None:
        self._log = (folder / _LOG).open("a", encoding="utf-8")
        self._start = partial(_start_wandb, folder, mode, stage, settings)
        self._wandb: Any = None
        self._is_on = mode != "disabled"

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Record numbers at an update."""
        self._log.write(json.dumps({"batch": step, **values}) + "\n")
        self._log.flush()
        if not self._is_on:
            return
        with self._warning_only():
            if self._wandb is None:
                self._wandb = self._start()
            self._wandb.log(dict(values), step=step)

    def close(self) -> None:
        """End the log."""
        self._log.close()
        if self._is_on and self._wandb is not None:
            with self._warning_only():
                self._wandb.finish()

    @contextmanager
    def _warning_only(self) -> Iterator[None]:
        """Trouble with W&B turns it off."""
        try:
            yield
        except Exception as error:
            self._is_on = False
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
