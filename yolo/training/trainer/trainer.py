"""One trainer for both trainings, on Accelerate. `Trainer._step` is one training step.

An update is a function of the seed and its number: its images, their augmentation and its dropout.
So a training that was stopped at any update and resumed from its saved state ends with the same
weights as one that was not.
"""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import DistributedDataParallelKwargs
from torch import Tensor, nn

from yolo.data.loading.loader import BatchSampler, SampleOrder
from yolo.errors import BUDGET_SPENT, PREEMPTED, Stopped
from yolo.params.optimisation import Optimisation
from yolo.runtime.device import pick_device
from yolo.runtime.malloc import keep_freed
from yolo.runtime.settings import Runtime
from yolo.training.monitoring import nonfinite
from yolo.training.monitoring.console import Console
from yolo.training.monitoring.tracking import Tracker
from yolo.training.trainer import micro_batch
from yolo.training.trainer.checkpoint import Checkpointer, StateFolder
from yolo.training.trainer.distributed import (
    Decisions,
    RunningStatistics,
    any_process,
    gradient_exchange,
)
from yolo.training.trainer.ema import MovingAverage
from yolo.training.trainer.loss_terms import LossMeter
from yolo.training.trainer.optimiser import MOMENTS, make_optimiser, set_rate
from yolo.training.trainer.schedule import rate
from yolo.training.trainer.state import TrainResult, TrainState, weights_of
from yolo.training.trainer.stopping import Interrupted, Stopping
from yolo.training.trainer.task import Batch, Task

_UPDATES_BETWEEN_READINGS = 50
"""How often the host waits for an accelerator to read whether all losses were finite."""
_SECONDS_BETWEEN_DECISIONS = 2.0
"""Several processes on accelerators notice a signal so late, or after the update under way."""


class Trainer:
    """A training in progress.

    `folder` and `tracker` are None in all processes but the main one.
    """

    def __init__(
        self,
        task: Task,
        optimisation: Optimisation,
        *,
        seed: int,
        validate_every: int,
        folder: StateFolder | None,
        runtime: Runtime,
        tracker: Tracker | None,
    ) -> None:
        self._task, self._optimisation = task, optimisation
        self._order = SampleOrder(task.images, seed)
        self._seed, self._validate_every = seed, validate_every
        self._folder = folder.path if folder is not None else None
        self._runtime, self._tracker = runtime, tracker
        self._threads = runtime.threads
        self._accelerator = accelerator = Accelerator(
            # Accelerate sees one process only unless it is told that the CPU is meant.
            cpu=pick_device(runtime.device).type == "cpu",
            mixed_precision="bf16" if optimisation.precision == "bf16" else "no",
            # RunningStatistics joins the buffers exactly.
            kwargs_handlers=[DistributedDataParallelKwargs(broadcast_buffers=False)],
        )
        self._device = accelerator.device
        sizes = micro_batch.possible(optimisation, accelerator.num_processes)
        self._share = sizes[-1]
        self._network: Any = task.model.to(self._device)
        self._network.to(memory_format=torch.channels_last)
        self._meter = LossMeter(self._device)
        self._stopping = Stopping(runtime.max_minutes)
        self._state = TrainState()
        self._optimiser = make_optimiser(self._network, optimisation)
        ema = optimisation.ema
        self._average = MovingAverage(self._network, ema) if ema else None
        self._checkpointer = Checkpointer(folder, runtime, accelerator)
        saved = self._checkpointer.load()
        if saved is not None:
            self._resume(saved)
            # Never take a larger micro-batch than before: it would round differently.
            sizes = [size for size in sizes if size <= saved["micro_batch"]]
        # The thread count decides the order of sums, so a resumed training keeps its own.
        torch.set_num_threads(self._threads)
        keep_freed()
        self._micro_batch = (
            micro_batch.largest_that_fits(
                sizes,
                self._network,
                self._try_size,
                self._device,
                MOMENTS[optimisation.optimiser],
            )
            if runtime.micro_batch == "auto"
            else micro_batch.chosen(sizes, runtime.micro_batch)
        )
        self._parts = self._share // self._micro_batch
        self._model = accelerator.prepare_model(self._network)
        groups = self._share // optimisation.batch_norm_images
        self._statistics = (
            RunningStatistics(self._network, groups) if accelerator.num_processes > 1 else None
        )
        self._read_every = 1 if self._device.type == "cpu" else _UPDATES_BETWEEN_READINGS
        self._decisions = Decisions(
            accelerator, seconds=_SECONDS_BETWEEN_DECISIONS, most=self._read_every
        )
        self._started = time.monotonic()

    def run(self, keep: str) -> TrainResult:
        """Train to the last batch; raise `Stopped` if a signal or the time limit ends it before.

        `keep`: `best` or `last`, the weights that the result holds.
        """
        state, last = self._state, self._optimisation.batches
        batches = self._load(state.batch + 1, last)
        with self._stopping.listening(), self._console() as console:
            is_over = self._lacks_validation() and self._validate_and_save(console)
            while not is_over and state.batch < last:
                update = state.batch + 1
                self._step(update, batches)
                state.batch = update
                console.advance(update, self._shown)
                is_over = self._validate_and_save(console)
        seconds = state.seconds + time.monotonic() - self._started
        kept, batch = state.best, state.best_batch
        if keep == "last":
            kept, batch = weights_of(self._evaluated()), state.batch
        return TrainResult(kept, batch, state.curves, state.batch, seconds)

    def _lacks_validation(self) -> bool:
        """Whether the saved state is from a validation that a signal ended."""
        state = self._state
        is_validated = any(row["batch"] == state.batch for row in state.curves[-1:])
        return self._is_validated(state.batch) and not is_validated

    def _is_validated(self, update: int) -> bool:
        """Whether a validation follows the update."""
        is_due = update % self._validate_every == 0 or update == self._optimisation.batches
        return update > 0 and is_due

    def _validate_and_save(self, console: Console) -> bool:
        """What follows an update: validate and save when due; return whether the training is done.

        Raises `Stopped` if it must stop now.
        """
        update = self._state.batch
        if self._is_validated(update) and not self._validate(update, console):
            self._stop(PREEMPTED)
        return self._is_over(update)

    def _step(self, update: int, batches: Iterator[Batch]) -> None:
        """One update: gradient descent on the mean loss over all images of the batch.

        The host does not wait for the device. A loss that is not finite sets a flag there, which
        keeps the optimiser from changing the weights until the host reads it.
        """
        accelerator, optimisation = self._accelerator, self._optimisation
        micro_batches = [next(batches) for _ in range(self._parts)]
        # Only now: when the loader starts, it draws from the same generator.
        self._seed_dropout(update)
        self._model.train()
        set_rate(self._optimiser, rate(optimisation.schedule, update, optimisation.batches))

        terms: dict[str, Tensor] = {}
        for part, loaded in enumerate(micro_batches, 1):
            batch = loaded.to(self._device)
            with gradient_exchange(accelerator, self._model, now=part == self._parts):
                with accelerator.autocast():
                    outputs = self._model(self._task.inputs(batch))
                    losses = self._task.loss(outputs, batch)
                (losses["loss"] / self._parts).backward()
            for name, value in losses.items():
                terms[name] = terms.get(name, 0.0) + value.detach() / self._parts

        norm = _gradient_norm(self._network)
        self._meter.add(update, terms, norm)
        self._stop_if_not_finite(update)
        if optimisation.clip_norm is not None:
            parameters = self._network.parameters()
            torch.nn.utils.clip_grads_with_norm_(parameters, optimisation.clip_norm, norm)

        self._optimiser.found_inf = self._meter.failed  # type: ignore[attr-defined]
        self._optimiser.step()
        self._optimiser.zero_grad(set_to_none=True)
        if self._statistics is not None:
            self._statistics.join()
        if self._average is not None:
            self._average.update(self._network)

    def _load(self, first: int, last: int) -> Iterator[Batch]:
        """This process's micro-batches of the updates `first` to `last`."""
        accelerator = self._accelerator
        sampler = BatchSampler(
            self._order,
            first,
            last,
            self._optimisation.batch,
            self._micro_batch,
            accelerator.process_index,
            accelerator.num_processes,
        )
        return iter(self._task.batches(sampler, self._runtime.workers, self._device))

    def _seed_dropout(self, update: int) -> None:
        """Make dropout, too, a function of the seed and the update."""
        key = np.random.SeedSequence((self._seed, update, self._accelerator.process_index))
        torch.manual_seed(int(key.generate_state(1)[0]))

    def _try_size(self, size: int) -> None:
        """A forward and backward pass on `size` images of the next update."""
        self._micro_batch = size
        self._network.train()
        sampler = self._whole_update(self._state.batch + 1)
        batch = next(iter(self._task.batches(sampler, 0, self._device))).to(self._device)
        with self._accelerator.autocast():
            outputs = self._network(self._task.inputs(batch))
            losses = self._task.loss(outputs, batch)
        losses["loss"].backward()

    def _stop_if_not_finite(self, update: int, *, always: bool = False) -> None:
        """Raise `UserError` if a loss or gradient was not finite. On a GPU, look now and then."""
        if always or self._is_validated(update) or update % self._read_every == 0:
            nonfinite.check(
                self._meter, self._network, self._task, self._whole_update, self._folder
            )

    def _whole_update(self, update: int) -> BatchSampler:
        """The micro-batches of an update, those of all processes."""
        batch = self._optimisation.batch
        return BatchSampler(self._order, update, update, batch, self._micro_batch)

    def _validate(self, update: int, console: Console) -> bool:
        """Validate in the main process; add a row to the curves, the log and the tracker.

        Returns False, everything being as before, when a signal ended the validation. A resumed
        training begins with it again.
        """
        accelerator = self._accelerator
        started, speed = time.monotonic(), console.images_per_second(update)
        row: dict[str, float] = {
            "batch": update,
            "learning_rate": self._optimiser.param_groups[0]["lr"],
        }
        row |= self._meter.means_of_all()
        model, is_interrupted = self._evaluated().eval(), False
        if accelerator.is_main_process:
            try:
                with torch.inference_mode(), self._stopping.interrupting(model):
                    row |= self._task.validate(model)
            except Interrupted:
                is_interrupted = True
        if any_process(accelerator, [is_interrupted])[0]:
            return False
        self._meter.reset()
        if accelerator.is_main_process:
            self._state.add_validation(row, self._task.metric, model)
            if self._tracker is not None:
                self._tracker.log(update, row | {"images_per_second": speed})
                self._tracker.log_examples(update, self._task.examples())
            console.say("  ".join(f"{name} {value:.4g}" for name, value in row.items()))
        accelerator.wait_for_everyone()
        console.exclude_time(time.monotonic() - started)
        return True

    def _evaluated(self) -> nn.Module:
        """The network that is validated and kept: the moving average if there is one."""
        return self._network if self._average is None else self._average.model

    @contextmanager
    def _console(self) -> Iterator[Console]:
        console = Console(
            batch=self._optimisation.batch,
            images=self._task.images,
            first=self._state.batch + 1,
            last=self._optimisation.batches,
            is_shown=self._accelerator.is_main_process,
        )
        try:
            yield console
        finally:
            console.close()

    def _shown(self) -> dict[str, float]:
        return self._meter.means() | {"learning_rate": self._optimiser.param_groups[0]["lr"]}

    def _is_over(self, update: int) -> bool:
        """Whether the training is done. Save when due; raise `Stopped` if it must stop now.

        The processes decide together.
        """
        last, is_validated = self._optimisation.batches, self._is_validated(update)
        must_save = self._checkpointer.is_wanted(update)
        if not (is_validated or must_save or self._decisions.are_due(update)):
            return False
        flags = [
            self._stopping.is_told(),
            self._stopping.is_out_of_time(),
            self._checkpointer.is_due(update),
            self._state.has_converged(self._optimisation.patience, self._task.metric),
        ]
        told, out_of_time, is_due, has_converged = self._decisions.decide(update, flags)
        if has_converged or update == last:
            return True
        if told or out_of_time:
            self._stop(PREEMPTED if told else BUDGET_SPENT)
        if is_due:
            self._save()
        return False

    def _save(self) -> None:
        self._stop_if_not_finite(self._state.batch, always=True)
        self._checkpointer.save(self._state_dict)

    def _stop(self, status: int) -> NoReturn:
        """Save the state and end the training with an exit status."""
        self._save()
        why = "stopped" if status == PREEMPTED else "YOLO_MAX_MINUTES is spent: stopped"
        raise Stopped(
            f"{why} at batch {self._state.batch} of {self._optimisation.batches} with the state "
            "saved; resume with the same command",
            status,
        )

    def _state_dict(self) -> dict[str, Any]:
        """Everything that a resumed training needs. All but the loss terms in the main process."""
        saved: dict[str, Any] = {"loss_terms": self._meter.state_dict()}
        if not self._accelerator.is_main_process:
            return saved
        state, now = self._state, time.monotonic()
        state.seconds += now - self._started
        self._started = now
        return saved | {
            "state": vars(state),
            "threads": self._threads,
            "micro_batch": self._micro_batch,
            "model": self._network.state_dict(),
            "optimiser": self._optimiser.state_dict(),
            "average": self._average.state_dict() if self._average is not None else None,
        }

    def _resume(self, saved: dict[str, Any]) -> None:
        accelerator = self._accelerator
        self._state = TrainState(**saved["state"])
        self._threads = saved["threads"]
        self._network.load_state_dict(saved["model"])
        self._optimiser.load_state_dict(saved["optimiser"])
        if self._average is not None:
            self._average.load_state_dict(saved["average"])
        self._meter.load_state_dict(
            saved["loss_terms"], accelerator.process_index, accelerator.num_processes
        )
        if accelerator.is_main_process:
            print(f"going on after batch {self._state.batch}", file=sys.stderr)


def _gradient_norm(model: nn.Module) -> Tensor:
    gradients = [p.grad for p in model.parameters() if p.grad is not None]
    return torch.nn.utils.get_total_norm(gradients)
