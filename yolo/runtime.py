"""Runtime settings (`YOLO_*`): where and how fast a stage runs, never what it computes.

None of them is a DVC dependency: changing one reruns nothing.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

from yolo.errors import UserError

Tracking = Literal["offline", "online", "disabled"]


@dataclass(frozen=True)
class Runtime:
    """Settings read from the environment; each has a default that works on any machine."""

    device: str | None = None
    """`YOLO_DEVICE`: cpu, cuda, cuda:1, mps; by default the first accelerator, else the CPU."""
    threads: int = 0
    """`YOLO_THREADS`: CPU threads of the numerics; 0: as many as the process may use."""
    workers: int = 0
    """`YOLO_WORKERS`: processes that decode images beside the training one."""
    micro_batch: int | None = None
    """`YOLO_MICRO_BATCH`: images a forward pass holds at most; by default the global batch."""
    tracking: Tracking = "offline"
    """`YOLO_TRACKING`: what Weights & Biases does: offline, online, disabled."""


def from_environment(environ: Mapping[str, str] = os.environ) -> Runtime:
    """Read the settings; raise `UserError` naming the variable, its value and what is allowed."""
    tracking = environ.get("YOLO_TRACKING", "offline")
    if tracking not in get_args(Tracking):
        allowed = ", ".join(get_args(Tracking))
        raise UserError(f"YOLO_TRACKING is {tracking!r}; allowed: {allowed}")
    micro_batch = _integer(environ, "YOLO_MICRO_BATCH", default=0, minimum=0)
    return Runtime(
        device=environ.get("YOLO_DEVICE") or None,
        threads=_integer(environ, "YOLO_THREADS", default=0, minimum=0) or usable_cores(),
        workers=_integer(environ, "YOLO_WORKERS", default=0, minimum=0),
        micro_batch=micro_batch or None,
        tracking=tracking,  # type: ignore[arg-type]
    )


def usable_cores() -> int:
    """Number of cores that this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _integer(environ: Mapping[str, str], name: str, *, default: int, minimum: int) -> int:
    text = environ.get(name)
    if text is None or text == "":
        return default
    if not text.isdecimal() or int(text) < minimum:
        raise UserError(f"{name} is {text!r}; allowed: a whole number from {minimum} up")
    return int(text)
