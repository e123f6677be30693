"""The log of a training or evaluation: JSON lines always, Weights & Biases if it is on.

An error in tracking is printed as a warning and never stops a stage.
"""

import contextlib
import json
import os
import sys
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from yolo.runtime.settings import Tracking

_LOG = "log.jsonl"
_RUN_ID = "wandb_id"


@dataclass(frozen=True)
class Example:
    """An image and the detections in it.

    image: (H, W, 3) uint8 RGB; boxes: (K, 4) xmin ymin xmax ymax in pixels; true_boxes likewise.
    """

    name: str
    image: NDArray[np.uint8]
    classes: Sequence[str]
    boxes: NDArray[np.floating]
    labels: NDArray[np.integer]
    scores: NDArray[np.floating]
    true_boxes: NDArray[np.floating]
    true_labels: NDArray[np.integer]


class Tracker:
    """Log of one stage. A resumed training continues the same W&B run.

    W&B starts with the first numbers, when a training has set up Accelerate, which calls W&B.
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
        self._write({"batch": step, **values})
        self._send(step, dict(values))

    def log_examples(self, step: int, examples: Sequence[Example]) -> None:
        """Show images with the boxes found in them, and the true ones, in W&B."""
        if examples and self._is_on:
            with self._warning_only():
                # W&B warns of a series whose images differ in size, and shows it askew
                sides = np.max([example.image.shape[:2] for example in examples], axis=0)
                self._send(step, {"examples": [_image(example, *sides) for example in examples]})

    def _write(self, row: Mapping[str, Any]) -> None:
        try:
            self._log.write(json.dumps(row) + "\n")
            self._log.flush()
        except OSError as error:
            print(f"warning: {self._log.name} lacks a line: {error}", file=sys.stderr)

    def _send(self, step: int, values: dict[str, Any]) -> None:
        if not self._is_on:
            return
        with self._warning_only():
            if self._wandb is None:
                self._wandb = self._start()
            self._wandb.log(values, step=step)

    def close(self) -> None:
        """End the log."""
        with contextlib.suppress(OSError):
            self._log.close()
        if self._is_on and self._wandb is not None:
            with self._warning_only():
                self._wandb.finish()

    @contextmanager
    def _warning_only(self) -> Iterator[None]:
        """Turn W&B off after an error."""
        try:
            yield
        except Exception as error:
            self._is_on = False
            print(f"warning: Weights & Biases is off from here on: {error}", file=sys.stderr)


def _image(example: Example, height: int, width: int) -> Any:
    """The example as W&B shows it, with grey below and to the right of a smaller image."""
    import wandb

    below, right = height - len(example.image), width - example.image.shape[1]
    padded = np.pad(example.image, ((0, below), (0, right), (0, 0)), constant_values=128)

    names = dict(enumerate(example.classes))

    def boxes(corners: NDArray[Any], labels: NDArray[Any], captions: Sequence[str]) -> Any:
        return {
            "class_labels": names,
            "box_data": [
                {
                    "position": dict(zip(("minX", "minY", "maxX", "maxY"), corner, strict=True)),
                    "domain": "pixel",
                    "class_id": label,
                    "box_caption": caption,
                }
                for corner, label, caption in zip(
                    corners.tolist(), labels.tolist(), captions, strict=True
                )
            ],
        }

    found = [
        f"{names[label]} {score:.2f}"
        for label, score in zip(example.labels.tolist(), example.scores.tolist(), strict=True)
    ]
    true = [names[label] for label in example.true_labels.tolist()]
    return wandb.Image(
        padded,
        caption=example.name,
        boxes={
            "found": boxes(example.boxes, example.labels, found),
            "true": boxes(example.true_boxes, example.true_labels, true),
        },
    )


def _start_wandb(folder: Path, mode: Tracking, stage: str, settings: Mapping[str, Any]) -> Any:
    # Set before the import: neither crash reports nor chatter.
    os.environ.setdefault("WANDB_ERROR_REPORTING", "false")
    os.environ.setdefault("WANDB_SILENT", "true")
    from accelerate import PartialState
    from accelerate.tracking import WandBTracker

    # an evaluation has not set Accelerate up; in a training this does nothing
    PartialState()
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
        # with the start: an update of its own is now and then lost when a run is short
        config=dict(settings),
    )
    tracker.start()
    return tracker
