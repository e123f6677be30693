"""Where the time of a training step goes: the real trainer on the real data, timed."""

import tempfile
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.optimizer import (
    register_optimizer_step_post_hook,
    register_optimizer_step_pre_hook,
)
from torch.utils.data import Dataset

from yolo.data.loading.loader import BatchSampler, SampleKey, SampleOrder
from yolo.data.store import images
from yolo.data.store.clean_set import Split
from yolo.params.optimisation import Optimisation
from yolo.runtime.settings import Runtime
from yolo.training.monitoring.tracking import Tracker
from yolo.training.trainer.checkpoint import StateFolder
from yolo.training.trainer.trainer import Trainer

PARTS = (
    "reading",
    "decoding",
    "augmentation",
    "waiting",
    "transfer",
    "forward",
    "loss",
    "backward",
    "optimiser",
)
"""Parts of a step. Without loader workers the first three run in the training process; with workers
the step only waits for them. The colour changes on the device count as augmentation."""
_WARM_UP = 2
_SAMPLES = 64


@dataclass(frozen=True)
class Loading:
    """Seconds that one process needs per image."""

    reading: float
    decoding: float
    augmentation: float

    @property
    def total(self) -> float:
        """Seconds per image."""
        return self.reading + self.decoding + self.augmentation


@dataclass(frozen=True)
class Profile:
    """The measurements."""

    seconds: dict[str, float]
    """Mean seconds of a step by part, in the order of `PARTS`."""
    loading: Loading
    steps: int
    batch: int
    """Images per step."""
    device: str

    @property
    def step(self) -> float:
        """Seconds of a step."""
        return sum(self.seconds.values())

    @property
    def shares(self) -> dict[str, float]:
        """Share of a step by part; the shares add up to 1."""
        return {part: seconds / self.step for part, seconds in self.seconds.items()}


class _Clock:
    """Adds elapsed time to the current part; on a GPU a part ends when its kernels are done."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._part: str | None = None
        self._since = 0.0

    def begin(self, part: str | None) -> None:
        """End the current part and begin another; None: stop."""
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        now = time.perf_counter()
        if self._part is not None:
            self.seconds[self._part] = self.seconds.get(self._part, 0.0) + now - self._since
        self._part, self._since = part, now


class _TimedBatch:
    """A batch that starts the part `transfer` when it is moved."""

    def __init__(self, batch: Any, clock: _Clock) -> None:
        self._batch, self._clock = batch, clock
        self.names = batch.names

    def to(self, device: torch.device) -> Any:
        self._clock.begin("transfer")
        return self._batch.to(device)


class _TimedTask:
    """A task that tells the clock which part begins, and skips validation."""

    def __init__(self, task: Any, clock: _Clock) -> None:
        self._task, self._clock = task, clock
        self.updates = 0
        self._is_warm = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._task, name)

    def batches(
        self, sampler: BatchSampler, workers: int, device: torch.device
    ) -> Iterator[_TimedBatch]:
        loaded: Iterable[Any] = self._task.batches(sampler, workers, device)
        iterator = iter(loaded)
        while True:
            self._clock.begin("loading")
            if self.updates == _WARM_UP and not self._is_warm:
                self._clock.seconds.clear()
                self._is_warm = True
            try:
                batch = next(iterator)
            except StopIteration:
                return
            yield _TimedBatch(batch, self._clock)

    def inputs(self, batch: Any) -> Tensor:
        self._clock.begin("augmentation")
        return self._task.inputs(batch)

    def loss(self, outputs: Tensor, batch: Any) -> dict[str, Tensor]:
        losses = self._task.loss(outputs, batch)
        self._clock.begin("backward")
        return losses

    def validate(self, model: nn.Module) -> dict[str, float]:
        self._clock.begin(None)
        return {self._task.metric: 0.0}


def profile(
    task: Any,
    samples: Dataset[Any],
    split: Split,
    optimisation: Optimisation,
    runtime: Runtime,
    *,
    seed: int,
    steps: int,
) -> Profile:
    """Train for some steps and measure them; nothing is kept.

    Args:
        task: a `Task` of the trainer.
        samples: its training samples, indexed by keys.
        split: what the samples are made from.
        optimisation: as in the training; the schedule has no influence on the time.
        runtime: settings under which the time is measured.
        seed: of the training.
        steps: to measure, after two that warm up.
    """
    clock = _Clock()
    timed: Any = _TimedTask(task, clock)

    def count(*_: Any) -> None:
        timed.updates += 1

    model: nn.Module = task.model
    hooks = [
        model.register_forward_pre_hook(lambda *_: clock.begin("forward")),
        model.register_forward_hook(lambda *_: clock.begin("loss")),
        register_optimizer_step_pre_hook(lambda *_: clock.begin("optimiser")),
        register_optimizer_step_post_hook(count),
    ]
    batches = steps + _WARM_UP
    try:
        with tempfile.TemporaryDirectory() as folder:
            tracker = Tracker(Path(folder), "disabled", "profile", {})
            Trainer(
                timed,
                optimisation.model_copy(update={"batches": batches}),
                seed=seed,
                validate_every=batches,
                folder=StateFolder(Path(folder) / "runs", "profile"),
                runtime=runtime,
                tracker=tracker,
            ).run("last")
            tracker.close()
    finally:
        for hook in hooks:
            hook.remove()
    loading = measure_loading(samples, split, seed)
    device = next(model.parameters()).device
    seconds = {part: 0.0 for part in PARTS}
    for part, spent in clock.seconds.items():
        if part != "loading":
            seconds[part] += spent / steps
        elif runtime.workers:
            seconds["waiting"] += spent / steps
        else:
            for name in ("reading", "decoding", "augmentation"):
                seconds[name] += spent / steps * getattr(loading, name) / loading.total
    return Profile(seconds, loading, steps, optimisation.batch, device.type)


def measure_loading(samples: Dataset[Any], split: Split, seed: int) -> Loading:
    """Time reading, decoding and augmentation of some training images, one after another."""
    reading = decoding = whole = 0.0
    keys: list[SampleKey] = SampleOrder(len(split), seed).keys(0, min(len(split), _SAMPLES))
    for key in keys:
        begun = time.perf_counter()
        data = bytes(split.image(key[1]))
        read = time.perf_counter()
        images.decode(data, split.name(key[1]))
        decoded = time.perf_counter()
        samples[key]
        reading, decoding = reading + read - begun, decoding + decoded - read
        whole += time.perf_counter() - decoded
    count = len(keys)
    # The sample reads the record again, now from memory, which takes almost no time.
    return Loading(reading / count, decoding / count, max(0.0, whole - decoding) / count)


def advise(found: Profile, runtime: Runtime, cores: int) -> tuple[str, list[str]]:
    """Return the bottleneck and what to change about it, the most promising change first.

    The bottleneck is `loading` (reading, decoding and augmentation in the training process),
    `waiting` (the same, in workers that are too slow), or the largest other part.
    """
    shares = found.shares
    groups = {part: shares[part] for part in PARTS[3:]}
    groups["loading"] = sum(shares[part] for part in PARTS[:3])
    bottleneck = max(groups, key=lambda name: groups[name])
    compute = sum(found.seconds[part] for part in PARTS[4:])
    needed = max(1, round(found.loading.total * found.batch / max(compute, 1e-9) + 0.5))
    slowest = max(PARTS[:3], key=lambda part: getattr(found.loading, part))
    of_loader = {
        "reading": "put data/clean on a faster disk (later epochs read what fits from memory)",
        "decoding": "reduce the clean images once: data.<set>.shorter_side, at least the side "
        "that the network sees (this changes the result)",
        "augmentation": "train at a smaller input_size (this changes the result)",
    }[slowest]
    if bottleneck in ("loading", "waiting"):
        changes = []
        wanted = min(max(needed, runtime.workers + 1), max(cores - 1, 1))
        if wanted > runtime.workers:
            changes.append(
                f"YOLO_WORKERS={wanted}: loading beside the training ({needed} would keep up, "
                f"this process may use {cores} cores)"
            )
        return bottleneck, [*changes, of_loader]
    changes = {
        "transfer": ["raise YOLO_MICRO_BATCH: fewer, larger transfers"],
        "optimiser": [
            "raise optimisation.batch: fewer updates per image (this changes the result)"
        ],
        "loss": ["raise YOLO_MICRO_BATCH: the loss is many small steps, whatever its size"],
    }.get(bottleneck, [])
    if bottleneck in ("forward", "backward"):
        if found.device == "cpu":
            if runtime.threads < cores:
                changes.append(f"YOLO_THREADS={cores}: it computes with {runtime.threads} now")
            if torch.cuda.is_available():
                changes.append("YOLO_DEVICE=auto: there is a GPU that is not used")
            else:
                changes.append("a machine with a GPU")
        else:
            changes.append("optimisation.precision: bf16 (this changes the result)")
            if isinstance(runtime.micro_batch, int) and runtime.micro_batch < found.batch:
                changes.append(
                    f"raise YOLO_MICRO_BATCH above {runtime.micro_batch} if memory allows"
                )
        changes.append("a smaller model.width or input_size (this changes the result)")
    return bottleneck, changes
