"""The order of training samples, and the DataLoader workers that decode them.

The training images form one endless sequence: a new permutation of all of them per epoch. Update k
(from 1) takes the positions (k - 1) * batch to k * batch - 1 of it. So an update's images depend on
the seed and k alone; workers, processes and restarts change nothing.
"""

import signal
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypeVar

import cv2
import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, Sampler

from yolo.errors import UserError
from yolo.runtime.threads import parallel_map

SampleKey = tuple[int, int]
"""(epoch, index): an image of the split, drawn in an epoch."""
Sample = TypeVar("Sample")
_HOST = torch.device("cpu")


@dataclass(frozen=True)
class SampleOrder:
    """The endless sequence of training images."""

    images: int
    seed: int

    def keys(self, first: int, last: int) -> list[SampleKey]:
        """The (epoch, index) of the positions from `first` up to, not including, `last`."""
        keys: list[SampleKey] = []
        for epoch in range(first // self.images, (last - 1) // self.images + 1):
            order = _permutation(self.images, self.seed, epoch)
            begin = max(first - epoch * self.images, 0)
            end = min(last - epoch * self.images, self.images)
            keys += [(epoch, int(index)) for index in order[begin:end]]
        return keys


@lru_cache(maxsize=2)
def _permutation(images: int, seed: int, epoch: int) -> np.ndarray:
    """Kept over the updates of an epoch: of ten million images it takes half a second."""
    return np.random.default_rng((seed, epoch)).permutation(images)


@dataclass(frozen=True)
class BatchSampler(Sampler[list[SampleKey]]):
    """One process's micro-batches of the updates `first` to `last`, in order.

    The batch is cut into one contiguous share per process, and a share into micro-batches.
    """

    order: SampleOrder
    first: int
    last: int
    batch: int
    micro_batch: int
    process: int = 0
    processes: int = 1

    def __iter__(self) -> Iterator[list[SampleKey]]:
        """Yield the micro-batches."""
        share = self.batch // self.processes
        for update in range(self.first, self.last + 1):
            begin = (update - 1) * self.batch + self.process * share
            keys = self.order.keys(begin, begin + share)
            for start in range(0, share, self.micro_batch):
                yield keys[start : start + self.micro_batch]


def load(
    samples: Dataset[Sample],
    batches: Sampler[list[SampleKey]] | Sequence[list[SampleKey]],
    collate: Callable[[list[Sample]], Any],
    workers: int,
    device: torch.device = _HOST,
) -> Iterator[Any]:
    """Iterate over collated batches, decoded by `workers` processes.

    With 0 workers this process decodes them itself, in as many threads as it computes with. For a
    GPU the batches are in pinned memory.

    Raises:
        UserError: Raised by `samples`, also in a worker.
    """
    loader = DataLoader(
        samples if workers else _InThreads(samples),
        batch_sampler=batches,  # type: ignore[arg-type]
        collate_fn=collate,
        num_workers=workers,
        prefetch_factor=4 if workers else None,
        pin_memory=device.type == "cuda",
        worker_init_fn=_start_worker,
    )
    try:
        yield from loader
    except Exception as error:
        # The frames refer to the workers and to each other. Without this nothing would end the
        # workers, and this process would wait for them for ever.
        traceback.clear_frames(error.__traceback__)
        if isinstance(error, UserError):
            # PyTorch puts a worker's traceback before the message.
            raise UserError(str(error).rpartition("UserError: ")[2].strip()) from None
        raise


class _InThreads(Dataset[Sample]):
    """The samples of a batch, made in parallel threads, so that no core is idle."""

    def __init__(self, samples: Dataset[Sample]) -> None:
        self._samples = samples

    def __getitem__(self, key: SampleKey) -> Sample:
        """One sample."""
        return self._samples[key]

    def __getitems__(self, keys: Sequence[SampleKey]) -> list[Sample]:
        """Those of a batch, in order. DataLoader calls this if it exists."""
        return parallel_map(self._samples.__getitem__, keys)


def _start_worker(worker: int) -> None:
    # Each worker uses one core; OpenCV's own threads would compete with the other workers.
    cv2.setNumThreads(0)
    # The trainer answers a signal to the process group, and still needs the next batch.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
