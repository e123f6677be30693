"""One training loop for both trainings, on Accelerate.

An update is a function of the seed and its number: its images, their augmentation and its dropout.
So a training that was stopped at any update, and goes on from its saved state, ends with the same
weights as one that was not.
"""

import signal
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol

import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel
from tqdm import tqdm

from yolo.data.loader import Shares, Stream
from yolo.errors import Stopped, UserError
from yolo.params.optimisation import Optimisation
from yolo.runtime import Runtime
from yolo.training.checkpoint import StateFolder
from yolo.training.optimiser import set_rate, sgd
from yolo.training.schedule import rate
from yolo.training.tracking import Tracker

PREEMPTED = 75
"""Exit status of a training that was told to stop (EX_TEMPFAIL)."""
_SECONDS_BETWEEN_STATES = 8.0
_STATE_SHARE_OF_TIME = 0.02
_SECONDS_BETWEEN_LINES = 15.0


class Batch(Protocol):
    """What a task's loader yields."""

    names: list[str]

    def to(self, device: torch.device) -> "Batch":
        """The same batch on `device`."""
        ...


class Task(Protocol):
    """What is trained: a network, its data, its loss and its measure of success."""

    images: int
    """Number of training images."""
    metric: str
    """Name of the validation metric by which the best weights are chosen; larger is better."""

    @property
    def model(self) -> nn.Module:
        """The network."""
        ...

    def batches(self, shares: Shares, workers: int) -> Iterable[Any]:
        """The micro-batches of `shares`, each a `Batch`."""
        ...

    def loss(self, model: nn.Module, batch: Any) -> dict[str, Tensor]:
        """`loss`, to be minimised, and its terms, each a mean over the batch's images."""
        ...

    def validate(self, model: Any) -> dict[str, float]:
        """Metrics of `model` on the validation split."""
        ...


@dataclass
class Progress:
    """How far a training is: everything that the next update depends on, besides the weights."""

    batch: int = 0
    """Updates done."""
    curves: list[dict[str, float]] = field(default_factory=list)
    """A row per validation: batch, rate, means of the loss terms since the last one, metrics."""
    sums: dict[str, float] = field(default_factory=dict)
    """Sums of the loss terms since the last validation."""
    summed: int = 0
    best: dict[str, Tensor] = field(default_factory=dict)
    """Weights at the best validation; of equal ones the later counts."""
    best_batch: int = 0


@dataclass(frozen=True)
class Result:
    """The outcome of a training."""

    weights: dict[str, Tensor]
    """The weights that `keep` asks for."""
    batch: int
    """The update after which they were taken."""
    curves: list[dict[str, float]]


class Training:
    """A training in progress: what `train` keeps between updates."""

    def __init__(
        self,
        task: Task,
        optimisation: Optimisation,
        *,
        seed: int,
        validate_every: int,
        folder: StateFolder,
        runtime: Runtime,
        tracker: Tracker,
    ) -> None:
        self._task, self._optimisation = task, optimisation
        self._seed, self._validate_every = seed, validate_every
        self._folder, self._runtime, self._tracker = folder, runtime, tracker
        self._threads = runtime.threads
        self._accelerator = Accelerator(
            cpu=runtime.device == "cpu",
            mixed_precision="bf16" if optimisation.precision == "bf16" else "no",
        )
        self._micro_batch = _micro_batch(
            optimisation, self._accelerator.num_processes, runtime.micro_batch
        )
        model = task.model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._average = (
            AveragedModel(
                model,
                device=self._accelerator.device,
                avg_fn=partial(_moving_average, optimisation.ema),
                use_buffers=True,
            )
            if optimisation.ema
            else None
        )
        optimiser = sgd(model, momentum=optimisation.momentum, decay=optimisation.decay)
        self._model, self._optimiser = self._accelerator.prepare(model, optimiser)
        self._progress = Progress()
        self._saved_at = time.monotonic()
        self._saving_takes = 0.0

    def run(self, keep: str) -> Result:
        """Train to the last batch; raise `Stopped` when told to stop before."""
        self._resume()
        # The thread count decides the order of sums, so a resumed training keeps its own.
        torch.set_num_threads(self._threads)
        torch.set_flush_denormal(True)
        progress, last = self._progress, self._optimisation.batches
        with _stop_signals() as stop:
            for update, batches in self._updates(progress.batch + 1, last):
                self._update(update, batches)
                progress.batch = update
                if update % self._validate_every == 0 or update == last:
                    self._validate(update)
                if stop:
                    self._save()
                    raise Stopped(
                        f"stopped at batch {update} of {last} with the state saved; "
                        "run the same command to go on",
                        PREEMPTED,
                    )
                if self._is_time_to_save():
                    self._save()
        if keep == "best":
            return Result(progress.best, progress.best_batch, progress.curves)
        return Result(_weights(self._evaluated()), last, progress.curves)

    def _updates(self, first: int, last: int) -> Iterator[tuple[int, list[Batch]]]:
        """Number and micro-batches of each update, with progress on standard error."""
        if first > last:
            return
        accelerator, batch = self._accelerator, self._optimisation.batch
        shares = Shares(
            Stream(self._task.images, self._seed),
            first,
            last,
            batch,
            self._micro_batch,
            accelerator.process_index,
            accelerator.num_processes,
        )
        per_update = batch // accelerator.num_processes // self._micro_batch
        loaded = iter(self._task.batches(shares, self._runtime.workers))
        numbers = range(first, last + 1)
        is_terminal = sys.stderr.isatty() and accelerator.is_main_process
        bar = tqdm(
            numbers, disable=not is_terminal, dynamic_ncols=True, initial=first - 1, total=last
        )
        started = shown = time.monotonic()
        for update in bar:
            yield update, [next(loaded) for _ in range(per_update)]
            if is_terminal:
                bar.set_postfix_str(self._summary())
            elif time.monotonic() - shown >= _SECONDS_BETWEEN_LINES:
                shown = time.monotonic()
                speed = (update - first + 1) / (shown - started)
                print(
                    f"batch {update}/{last}  {self._summary()}  {speed * batch:.1f} images/s  "
                    f"{(last - update) / speed:.0f} s left",
                    file=sys.stderr,
                    flush=True,
                )

    def _update(self, update: int, batches: list[Batch]) -> None:
        """One step of gradient descent on the mean loss over all images of the batch."""
        accelerator, optimisation = self._accelerator, self._optimisation
        # Dropout, too, is a function of the seed and the update.
        key = np.random.SeedSequence((self._seed, update, accelerator.process_index))
        torch.manual_seed(int(key.generate_state(1)[0]))
        self._model.train()
        set_rate(self._optimiser, rate(optimisation.schedule, update, optimisation.batches))
        terms: dict[str, Tensor] = {}
        for number, batch in enumerate(batches, 1):
            moved = batch.to(accelerator.device)
            with _without_sync(accelerator, self._model, is_last=number == len(batches)):
                with accelerator.autocast():
                    losses = self._task.loss(self._model, moved)
                accelerator.backward(losses["loss"] / len(batches))
            for name, value in losses.items():
                share = value.detach() / len(batches)
                terms[name] = terms[name] + share if name in terms else share
        values = {name: value.item() for name, value in terms.items()}
        self._check_finite(update, values, batches)
        if optimisation.clip_norm is not None:
            accelerator.clip_grad_norm_(self._model.parameters(), optimisation.clip_norm)
        self._optimiser.step()
        self._optimiser.zero_grad(set_to_none=True)
        if self._average is not None:
            self._average.update_parameters(accelerator.unwrap_model(self._model))
        sums = self._progress.sums
        for name, value in values.items():
            sums[name] = sums.get(name, 0.0) + value
        self._progress.summed += 1

    def _check_finite(self, update: int, terms: Mapping[str, float], batches: list[Batch]) -> None:
        if all(abs(value) < float("inf") for value in terms.values()):
            return
        shown = ", ".join(f"{name} {value:g}" for name, value in terms.items())
        names = ", ".join(name for batch in batches for name in batch.names)
        raise UserError(
            f"the loss is not finite at batch {update}: {shown}. Images of the batch: {names}. "
            "Lower optimisation.schedule.learning_rate, lengthen its burn_in or set clip_norm."
        )

    def _validate(self, update: int) -> None:
        progress, accelerator = self._progress, self._accelerator
        row: dict[str, float] = {
            "batch": update,
            "learning_rate": self._optimiser.param_groups[0]["lr"],
        }
        row |= {name: value / progress.summed for name, value in progress.sums.items()}
        progress.sums, progress.summed = {}, 0
        model = self._evaluated().eval()
        if accelerator.is_main_process:
            with torch.inference_mode():
                row |= self._task.validate(model)
            metric = row[self._task.metric]
            if not progress.curves or metric >= max(r[self._task.metric] for r in progress.curves):
                progress.best, progress.best_batch = _weights(model), update
            progress.curves.append(row)
            self._tracker.log(update, row)
            shown = "  ".join(f"{name} {value:.4g}" for name, value in row.items())
            tqdm.write(shown, file=sys.stderr)
        accelerator.wait_for_everyone()

    def _evaluated(self) -> nn.Module:
        """The network that is validated and kept: the moving average where there is one."""
        if self._average is not None:
            return self._average.module
        return self._accelerator.unwrap_model(self._model)

    def _summary(self) -> str:
        progress = self._progress
        if not progress.summed:
            return ""
        loss = progress.sums["loss"] / progress.summed
        return f"loss {loss:.4f}  rate {self._optimiser.param_groups[0]['lr']:.2g}"

    def _is_time_to_save(self) -> bool:
        waited = time.monotonic() - self._saved_at
        return waited >= max(_SECONDS_BETWEEN_STATES, self._saving_takes / _STATE_SHARE_OF_TIME)

    def _save(self) -> None:
        started = time.monotonic()
        if self._accelerator.is_main_process:
            state = {
                "progress": vars(self._progress),
                "threads": self._threads,
                "model": self._accelerator.unwrap_model(self._model).state_dict(),
                "optimiser": self._optimiser.state_dict(),
                "average": self._average.state_dict() if self._average is not None else None,
            }
            self._folder.save(state)
        self._accelerator.wait_for_everyone()
        self._saved_at = time.monotonic()
        self._saving_takes = self._saved_at - started

    def _resume(self) -> None:
        state = self._folder.load()
        if state is None:
            if self._folder.others_unfinished:
                print(
                    "parameters, code or data have changed since an unfinished training: "
                    "starting from the first batch",
                    file=sys.stderr,
                )
            return
        self._progress = Progress(**state["progress"])
        self._threads = state["threads"]
        self._accelerator.unwrap_model(self._model).load_state_dict(state["model"])
        self._optimiser.load_state_dict(state["optimiser"])
        if self._average is not None:
            self._average.load_state_dict(state["average"])
        print(f"going on after batch {self._progress.batch}", file=sys.stderr)


def _moving_average(decay: float, average: Tensor, value: Tensor, averaged: Tensor | int) -> Tensor:
    """The average after `averaged` updates takes up one more; at first it forgets faster."""
    count = int(averaged)
    return average.lerp(value, 1 - min(decay, (1 + count) / (10 + count)))


def _micro_batch(optimisation: Optimisation, processes: int, wanted: int | None) -> int:
    """Images of a forward pass: the largest that fits the wish and whole normalisation groups."""
    share, group = optimisation.batch // processes, optimisation.batch_norm_images
    if optimisation.batch % processes or share % group:
        raise UserError(
            f"a batch of {optimisation.batch} in groups of batch_norm_images {group} "
            f"cannot be shared by {processes} processes"
        )
    limit = min(wanted or share, share)
    sizes = [size for size in range(group, limit + 1, group) if share % size == 0]
    if not sizes:
        raise UserError(
            f"YOLO_MICRO_BATCH is {wanted}; it must be at least batch_norm_images, {group}"
        )
    return sizes[-1]


def _weights(model: nn.Module) -> dict[str, Tensor]:
    return {name: value.detach().cpu().clone() for name, value in model.state_dict().items()}


@contextmanager
def _without_sync(accelerator: Accelerator, model: nn.Module, *, is_last: bool) -> Iterator[None]:
    """Processes exchange gradients in the last micro-batch only."""
    if is_last:
        yield
    else:
        with accelerator.no_sync(model):
            yield


@contextmanager
def _stop_signals() -> Iterator[list[int]]:
    """A list that a SIGTERM or SIGINT makes non-empty."""
    received: list[int] = []
    numbers = (signal.SIGTERM, signal.SIGINT)
    before = [signal.signal(number, lambda got, _: received.append(got)) for number in numbers]
    try:
        yield received
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)
