"""Which image comes when, and the processes that decode them.

The training images form one endless stream: a fresh permutation of all of them per epoch. Update
k (from 1) takes the positions (k - 1) * batch to k * batch - 1 of it, so that an update's images
depend on the seed and k alone; workers, processes and restarts change nothing.
"""

import signal
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import cv2
import numpy as np
from torch.utils.data import DataLoader, Dataset, Sampler

from yolo.errors import UserError
from yolo.runtime.threads import side_by_side

Place = tuple[int, int]
"""(epoch, index): an image of the split, drawn in an epoch."""
Sample = TypeVar("Sample")


@dataclass(frozen=True)
class Stream:
    """The endless stream of training images."""

    images: int
    seed: int

    def places(self, first: int, last: int) -> list[Place]:
        """The (epoch, index) of the positions from `first` up to, not including, `last`."""
        places: list[Place] = []
        for epoch in range(first // self.images, (last - 1) // self.images + 1):
            order = np.random.default_rng((self.seed, epoch)).permutation(self.images)
            begin = max(first - epoch * self.images, 0)
            end = min(last - epoch * self.images, self.images)
            places += [(epoch, int(index)) for index in order[begin:end]]
        return places


@dataclass(frozen=True)
class Shares(Sampler[list[Place]]):
    """One process's micro-batches of the updates `first` to `last`, in order.

    The batch is cut into one contiguous share per process, and a share into micro-batches.
    """

    stream: Stream
    first: int
    last: int
    batch: int
    micro_batch: int
    process: int = 0
    processes: int = 1

    def __iter__(self) -> Iterator[list[Place]]:
        """Yield the micro-batches."""
        share = self.batch // self.processes
        for update in range(self.first, self.last + 1):
            begin = (update - 1) * self.batch + self.process * share
            places = self.stream.places(begin, begin + share)
            for start in range(0, share, self.micro_batch):
                yield places[start : start + self.micro_batch]


def load(
    samples: Dataset[Sample],
    batches: Sampler[list[Place]] | Sequence[list[Place]],
    collate: Callable[[list[Sample]], Any],
    workers: int,
) -> Iterator[Any]:
    """Iterate over collated batches, decoded by `workers` processes.

    0: by this process itself, in as many threads as it computes with.

    Raises:
        UserError: As `samples` raise it, wherever they are read.
    """
    loader = DataLoader(
        samples if workers else _InThreads(samples),
        batch_sampler=batches,  # type: ignore[arg-type]
        collate_fn=collate,
        num_workers=workers,
        prefetch_factor=4 if workers else None,
        worker_init_fn=_start_worker,
    )
    try:
        yield from loader
    except Exception as error:
        # The frames refer to the workers and to each other, so that nothing would end the workers
        # and this process would wait for them for ever.
        traceback.clear_frames(error.__traceback__)
        if isinstance(error, UserError):
            # PyTorch puts a worker's traceback in front.
            raise UserError(str(error).rpartition("UserError: ")[2].strip()) from None
        raise


class _InThreads(Dataset[Sample]):
    """The samples of a batch, made side by side: the other cores would wait for one otherwise."""

    def __init__(self, samples: Dataset[Sample]) -> None:
        self._samples = samples

    def __getitem__(self, place: Place) -> Sample:
        """One sample."""
        return self._samples[place]

    def __getitems__(self, places: Sequence[Place]) -> list[Sample]:
        """Those of a batch, in order; DataLoader asks for them so."""
        return side_by_side(self._samples.__getitem__, places)


def _start_worker(worker: int) -> None:
    # Each worker is one core's worth of decoding; OpenCV's own threads would fight with the others.
    cv2.setNumThreads(0)
    # A signal to the process group is the trainer's to answer: it still needs the next batch.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
