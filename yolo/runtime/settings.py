"""Runtime settings (`YOLO_*`): where and how fast a stage runs, never what it computes.

None of them is a DVC dependency: changing one reruns nothing.
"""

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from yolo.errors import UserError

Device = Literal["auto", "cpu"]
Tracking = Literal["offline", "online", "disabled"]


@dataclass(frozen=True)
class Runtime:
    """Settings read from the environment; each has a default that works on any machine."""

    device: Device = "auto"
    """`YOLO_DEVICE`: auto (an accelerator where there is one) or cpu."""
    threads: int = 0
    """`YOLO_THREADS`: CPU threads of the numerics; 0: as many as the process may use."""
    workers: int = 0
    """`YOLO_WORKERS`: processes that decode images beside the training one; when data are
    validated, 0 means one for each of `threads`."""
    dask_scheduler: str | None = None
    """`YOLO_DASK_SCHEDULER`: address (`tcp://host:8786`) of a Dask cluster that examines images
    in place of this machine's processes."""
    processes: int = 1
    """`YOLO_PROCESSES`: processes on this machine that share a training's batches."""
    micro_batch: int | Literal["auto"] | None = None
    """`YOLO_MICRO_BATCH`: images a forward pass holds at most, by default the global batch; auto:
    as many as the memory holds."""
    save_seconds: float | None = None
    """`YOLO_SAVE_SECONDS`: time between two states of a training; by default 8 seconds, or more
    where that would take over 2 % of the time."""
    save_batches: int = 0
    """`YOLO_SAVE_BATCHES`: a state after each multiple of these batches too; 0: by time alone."""
    max_minutes: float | None = None
    """`YOLO_MAX_MINUTES`: a training saves its state and ends with status 76 after so long."""
    tracking: Tracking = "offline"
    """`YOLO_TRACKING`: what Weights & Biases does: offline, online, disabled."""
    runs: Path = Path("runs")
    """`YOLO_RUNS`: folder of the states and logs of trainings. On a disk that outlives the machine,
    or the clone that a worker makes for each run, an interrupted training goes on from there."""
    states: str | None = None
    """`YOLO_RUNS` if it is an address that fsspec knows (`s3://bucket/prefix`): `runs` is then the
    default folder, and the newest state goes to the address too, for the next machine."""
    upload_minutes: float = 10.0
    """`YOLO_UPLOAD_MINUTES`: least time between two uploads to such an address. The last state goes
    up when the training is told to stop, too."""
    price_per_hour: float | None = None
    """`YOLO_PRICE_PER_HOUR`: of the machine, in any currency; the flow shows what stages cost."""
    max_price: float | None = None
    """`YOLO_MAX_PRICE`: a run of the flow ends with status 76 when it has cost so much, counted by
    its time and `YOLO_PRICE_PER_HOUR`; trainings save their states."""


def from_environment(environ: Mapping[str, str] = os.environ) -> Runtime:
    """Read the settings; raise `UserError` naming the variable, its value and what is allowed."""
    is_auto = environ.get("YOLO_MICRO_BATCH") == "auto"
    runs = environ.get("YOLO_RUNS") or "runs"
    is_address = "://" in runs
    price_per_hour = _amount(environ, "YOLO_PRICE_PER_HOUR")
    max_price = _positive(environ, "YOLO_MAX_PRICE")
    if max_price is not None and not price_per_hour:
        raise UserError(
            f"YOLO_MAX_PRICE is '{max_price:g}' and needs YOLO_PRICE_PER_HOUR, a number above 0"
        )
    micro_batch = 0 if is_auto else _integer(environ, "YOLO_MICRO_BATCH", default=0, minimum=0)
    return Runtime(
        device=_choice(environ, "YOLO_DEVICE", Device),
        threads=_integer(environ, "YOLO_THREADS", default=0, minimum=0) or usable_cores(),
        workers=_integer(environ, "YOLO_WORKERS", default=0, minimum=0),
        dask_scheduler=_address(environ, "YOLO_DASK_SCHEDULER"),
        processes=_integer(environ, "YOLO_PROCESSES", default=1, minimum=1),
        micro_batch="auto" if is_auto else micro_batch or None,
        save_seconds=_positive(environ, "YOLO_SAVE_SECONDS"),
        save_batches=_integer(environ, "YOLO_SAVE_BATCHES", default=0, minimum=0),
        max_minutes=_positive(environ, "YOLO_MAX_MINUTES"),
        tracking=_choice(environ, "YOLO_TRACKING", Tracking),
        runs=Path("runs" if is_address else runs).expanduser(),
        states=runs if is_address else None,
        upload_minutes=_positive(environ, "YOLO_UPLOAD_MINUTES") or Runtime.upload_minutes,
        price_per_hour=price_per_hour,
        max_price=max_price,
    )


def usable_cores() -> int:
    """Number of cores that this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _address(environ: Mapping[str, str], name: str) -> str | None:
    text = environ.get(name) or None
    if text is not None and not all(text.partition("://")):
        raise UserError(f"{name} is {text!r}; allowed: an address such as tcp://host:8786")
    return text


def _integer(environ: Mapping[str, str], name: str, *, default: int, minimum: int) -> int:
    text = environ.get(name)
    if text is None or text == "":
        return default
    if not text.isdecimal() or int(text) < minimum:
        raise UserError(f"{name} is {text!r}; allowed: a whole number from {minimum} up")
    return int(text)


def _amount(environ: Mapping[str, str], name: str) -> float | None:
    text = environ.get(name)
    if not text:
        return None
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value < math.inf:
        raise UserError(f"{name} is {text!r}; allowed: a number from 0 up")
    return value


def _positive(environ: Mapping[str, str], name: str) -> float | None:
    text = environ.get(name)
    if text is None or text == "":
        return None
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number < float("inf"):
        raise UserError(f"{name} is {text!r}; allowed: a number above 0")
    return number


def _choice(environ: Mapping[str, str], name: str, kind: Any) -> Any:
    allowed = get_args(kind)
    chosen = environ.get(name) or allowed[0]
    if chosen not in allowed:
        raise UserError(f"{name} is {chosen!r}; allowed: {', '.join(allowed)}")
    return chosen
