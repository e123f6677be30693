"""One training loop for both trainings, on Accelerate.

An update is a function of the seed and its number: its images, their augmentation and its dropout.
So a training that was stopped at any update, and goes on from its saved state, ends with the same
weights as one that was not.
"""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import DistributedDataParallelKwargs
from torch import Tensor, nn

from yolo.data.loading.loader import Shares, Stream
from yolo.errors import Stopped
from yolo.params.optimisation import Optimisation
from yolo.runtime.device import pick_device
from yolo.runtime.malloc import keep_freed
from yolo.runtime.settings import Runtime
from yolo.training.monitoring import nonfinite
from yolo.training.monitoring.console import Console
from yolo.training.monitoring.tracking import Tracker
from yolo.training.trainer import micro_batch
from yolo.training.trainer.agreement import in_any_process
from yolo.training.trainer.checkpoint import StateFolder
from yolo.training.trainer.ema import MovingAverage
from yolo.training.trainer.loss_terms import Terms
from yolo.training.trainer.optimiser import set_rate, sgd
from yolo.training.trainer.running_statistics import RunningStatistics
from yolo.training.trainer.saving import Saving
from yolo.training.trainer.schedule import rate
from yolo.training.trainer.state import Course, Result, weights_of
from yolo.training.trainer.stopping import OUT_OF_TIME, PREEMPTED, Stopping
from yolo.training.trainer.task import Batch, Task

_UPDATES_BETWEEN_READINGS = 50
"""How often the host waits for an accelerator to ask whether all was finite."""


class Training:
    """A training in progress: what is kept between updates.

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
        self._seed, self._validate_every = seed, validate_every
        self._folder = folder.path if folder is not None else None
        self._runtime, self._tracker = runtime, tracker
        self._threads = runtime.threads
        self._accelerator = accelerator = Accelerator(
            # said, for Accelerate sees one process only where it is not and there is no accelerator
            cpu=pick_device(runtime.device).type == "cpu",
            mixed_precision="bf16" if optimisation.precision == "bf16" else "no",
            # they are joined exactly, by RunningStatistics
            kwargs_handlers=[DistributedDataParallelKwargs(broadcast_buffers=False)],
        )
        sizes = micro_batch.possible(optimisation, accelerator.num_processes)
        self._share = sizes[-1]
        self._network: Any = task.model.to(accelerator.device)
        self._network.to(memory_format=torch.channels_last)
        self._terms = Terms(accelerator.device)
        self._stopping = Stopping(runtime.max_minutes)
        self._course = Course()
        self._optimiser = sgd(
            self._network, momentum=optimisation.momentum, decay=optimisation.decay
        )
        ema = optimisation.ema
        self._average = MovingAverage(self._network, ema) if ema else None
        self._saving = Saving(folder, runtime, accelerator)
        state = self._saving.load()
        if state is not None:
            self._go_on_from(state)
            # What fitted once may not be outgrown: another cut of the batch rounds differently.
            sizes = [size for size in sizes if size <= state["micro_batch"]]
        # The thread count decides the order of sums, so a resumed training keeps its own.
        torch.set_num_threads(self._threads)
        keep_freed()
        self._micro_batch = (
            micro_batch.largest_that_fits(sizes, self._network, self._attempt, accelerator.device)
            if runtime.micro_batch == "auto"
            else micro_batch.chosen(sizes, runtime.micro_batch)
        )
        self._model = accelerator.prepare_model(self._network)
        groups = self._share // optimisation.batch_norm_images
        self._statistics = (
            RunningStatistics(self._network, groups) if accelerator.num_processes > 1 else None
        )
        self._read_every = 1 if accelerator.device.type == "cpu" else _UPDATES_BETWEEN_READINGS
        self._started = time.monotonic()

    def run(self, keep: str) -> Result:
        """Train to the last batch; raise `Stopped` when told to stop before."""
        course, last = self._course, self._optimisation.batches
        with self._stopping.listening(), self._console() as console:
            for update, batches in self._updates(course.batch + 1, last):
                self._update(update, batches)
                course.batch = update
                is_validated = update % self._validate_every == 0 or update == last
                console.advance(update, self._shown)
                if is_validated:
                    self._validate(update, console)
                if self._is_over(update, is_validated):
                    break
        seconds = course.seconds + time.monotonic() - self._started
        kept, batch = course.best, course.best_batch
        if keep == "last":
            kept, batch = weights_of(self._evaluated()), course.batch
        return Result(kept, batch, course.curves, course.batch, seconds)

    def _updates(self, first: int, last: int) -> Iterator[tuple[int, list[Batch]]]:
        """Number and micro-batches of each update."""
        loaded = iter(self._task.batches(self._shares(first, last), self._runtime.workers))
        for update in range(first, last + 1):
            yield update, [next(loaded) for _ in range(self._share // self._micro_batch)]

    def _shares(self, first: int, last: int) -> Shares:
        accelerator = self._accelerator
        return Shares(
            Stream(self._task.images, self._seed),
            first,
            last,
            self._optimisation.batch,
            self._micro_batch,
            accelerator.process_index,
            accelerator.num_processes,
        )

    def _update(self, update: int, batches: list[Batch]) -> None:
        """One step of gradient descent on the mean loss over all images of the batch.

        The host does not wait for the device: an update that is not finite sets a flag there,
        which keeps the optimiser from changing the weights until the host reads it.
        """
        accelerator, optimisation = self._accelerator, self._optimisation
        # Dropout, too, is a function of the seed and the update.
        key = np.random.SeedSequence((self._seed, update, accelerator.process_index))
        torch.manual_seed(int(key.generate_state(1)[0]))
        self._model.train()
        set_rate(self._optimiser, rate(optimisation.schedule, update, optimisation.batches))
        terms: dict[str, Tensor] = {}
        for number, batch in enumerate(batches, 1):
            with _without_sync(accelerator, self._model, is_last=number == len(batches)):
                for name, value in self._backward(self._model, batch, len(batches)).items():
                    terms[name] = terms[name] + value if name in terms else value
        gradients = [p.grad for p in self._network.parameters() if p.grad is not None]
        norm = torch.nn.utils.get_total_norm(gradients)
        self._terms.add(update, terms, norm)
        is_last = update == optimisation.batches
        if update % self._read_every == 0 or update % self._validate_every == 0 or is_last:
            self._check_finite()
        if optimisation.clip_norm is not None:
            torch.nn.utils.clip_grads_with_norm_(
                self._network.parameters(), optimisation.clip_norm, norm
            )
        self._optimiser.found_inf = self._terms.failed  # type: ignore[attr-defined]
        self._optimiser.step()
        self._optimiser.zero_grad(set_to_none=True)
        if self._statistics is not None:
            self._statistics.join()
        if self._average is not None:
            self._average.follow(self._network)

    def _backward(self, model: nn.Module, batch: Batch, parts: int) -> dict[str, Tensor]:
        """Add the gradients of one of `parts` micro-batches; return its share of the terms."""
        moved = batch.to(self._accelerator.device)
        with self._accelerator.autocast():
            losses = self._task.loss(model, moved)
        (losses["loss"] / parts).backward()
        return {name: value.detach() / parts for name, value in losses.items()}

    def _attempt(self, size: int) -> None:
        """A forward and backward pass on `size` images of the next update."""
        self._micro_batch = size
        first = self._course.batch + 1
        self._network.train()
        batch = next(iter(self._task.batches(self._shares(first, first), 0)))
        self._backward(self._network, batch, 1)

    def _check_finite(self) -> None:
        nonfinite.check(self._terms, self._network, self._task, self._whole, self._folder)

    def _whole(self, update: int) -> Shares:
        """The micro-batches of an update, those of all processes."""
        stream = Stream(self._task.images, self._seed)
        return Shares(stream, update, update, self._optimisation.batch, self._micro_batch)

    def _validate(self, update: int, console: Console) -> None:
        accelerator = self._accelerator
        started, speed = time.monotonic(), console.images_per_second(update)
        row: dict[str, float] = {
            "batch": update,
            "learning_rate": self._optimiser.param_groups[0]["lr"],
        }
        row |= self._terms.means_of_all()
        self._terms.reset()
        if accelerator.is_main_process:
            model = self._evaluated().eval()
            with torch.inference_mode():
                row |= self._task.validate(model)
            self._course.add(row, self._task.metric, model)
            if self._tracker is not None:
                self._tracker.log(update, row | {"images_per_second": speed})
                self._tracker.log_examples(update, self._task.examples())
            console.say("  ".join(f"{name} {value:.4g}" for name, value in row.items()))
        accelerator.wait_for_everyone()
        console.pause(time.monotonic() - started)

    def _evaluated(self) -> nn.Module:
        """The network that is validated and kept: the moving average where there is one."""
        return self._network if self._average is None else self._average.model

    @contextmanager
    def _console(self) -> Iterator[Console]:
        console = Console(
            batch=self._optimisation.batch,
            images=self._task.images,
            first=self._course.batch + 1,
            last=self._optimisation.batches,
            is_shown=self._accelerator.is_main_process,
        )
        try:
            yield console
        finally:
            console.close()

    def _shown(self) -> dict[str, float]:
        return self._terms.means() | {"learning_rate": self._optimiser.param_groups[0]["lr"]}

    def _is_over(self, update: int, is_validated: bool) -> bool:
        """Whether nothing is left to gain; save when it is time, raise `Stopped` when told to.

        What one process has seen, all do: they ask each other, rarely where that costs waiting.
        """
        accelerator, last = self._accelerator, self._optimisation.batches
        if accelerator.num_processes > 1 and update % self._read_every and not is_validated:
            return False
        orders = [
            self._stopping.is_told(),
            self._stopping.is_out_of_time(),
            self._saving.is_due(update),
            self._course.is_settled(self._optimisation.patience, self._task.metric),
        ]
        told, out_of_time, is_time_to_save, is_settled = in_any_process(accelerator, orders)
        if is_settled or update == last:
            return True
        if told or out_of_time or is_time_to_save:
            self._check_finite()
            self._saving.save(self._state)
        if told or out_of_time:
            why = "stopped" if told else "YOLO_MAX_MINUTES is spent: stopped"
            raise Stopped(
                f"{why} at batch {update} of {last} with the state saved; "
                "resume with the same command",
                PREEMPTED if told else OUT_OF_TIME,
            )
        return False

    def _state(self) -> dict[str, Any]:
        """All from which the training goes on; what only the main process saves, it alone has."""
        state: dict[str, Any] = {"terms": self._terms.state_dict()}
        if not self._accelerator.is_main_process:
            return state
        course, now = self._course, time.monotonic()
        course.seconds += now - self._started
        self._started = now
        return state | {
            "course": vars(course),
            "threads": self._threads,
            "micro_batch": self._micro_batch,
            "model": self._network.state_dict(),
            "optimiser": self._optimiser.state_dict(),
            "average": self._average.state_dict() if self._average is not None else None,
        }

    def _go_on_from(self, state: dict[str, Any]) -> None:
        accelerator = self._accelerator
        self._course = Course(**state["course"])
        self._threads = state["threads"]
        self._network.load_state_dict(state["model"])
        self._optimiser.load_state_dict(state["optimiser"])
        if self._average is not None:
            self._average.load_state_dict(state["average"])
        self._terms.load_state_dict(
            state["terms"], accelerator.process_index, accelerator.num_processes
        )
        if accelerator.is_main_process:
            print(f"going on after batch {self._course.batch}", file=sys.stderr)


@contextmanager
def _without_sync(accelerator: Accelerator, model: nn.Module, *, is_last: bool) -> Iterator[None]:
    """Processes exchange gradients in the last micro-batch only."""
    if is_last:
        yield
    else:
        with accelerator.no_sync(model):
            yield
