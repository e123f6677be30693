"""Who does the work on each image: this process, a pool of processes, or a Dask cluster.

The results and their order are the same, whoever does it.
"""

import multiprocessing
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack, contextmanager
from itertools import chain, islice
from threading import Thread
from typing import Any, TypeVar, cast

from yolo.errors import UserError

Job = TypeVar("Job")
Result = TypeVar("Result")
Work = Callable[[Any, Sequence[Job]], Sequence[Result]]
"""Takes what all jobs share and some jobs; gives a result for each. A function of a module."""

_JOBS_AT_A_TIME = 32
"""Enough to hide what sending costs, few enough that all have work to the end."""
_WORTH_IT = 256
"""Fewer jobs are done before the processes have started."""
_AHEAD = 4
"""Groups of jobs under way for each process, so that results that wait stay few."""


class Workers:
    """Does the same to many things.

    Args:
        count: Processes on this machine; 1: this one alone.
        scheduler: Address of a Dask scheduler (`tcp://host:8786`) whose workers do it instead.
            They need this project installed and the data at the same path.
    """

    def __init__(self, count: int = 1, scheduler: str | None = None) -> None:
        self._count = count
        self._scheduler = scheduler

    def map(self, work: Work[Job, Result], shared: Any, jobs: Iterable[Job]) -> Iterator[Result]:
        """Yield the result of each job in the order of the jobs.

        A job whose worker dies is done again on a cluster; a process that dies ends the run.

        Raises:
            UserError: No scheduler answers, or processes die.
        """
        rest = iter(jobs)
        first = list(islice(rest, _WORTH_IT))
        waiting = chain(first, rest)
        groups = iter(lambda: list(islice(waiting, _JOBS_AT_A_TIME)), [])
        if self._scheduler is None and (self._count == 1 or len(first) < _WORTH_IT):
            for group in groups:
                yield from work(shared, group)
            return
        with ExitStack() as stack:
            if self._scheduler is None:
                executor, argument, ahead = stack.enter_context(_pool(self._count, shared))
            else:
                executor, argument, ahead = stack.enter_context(_cluster(self._scheduler, shared))
            running: deque[Future[Any]] = deque()
            # What is not started yet need not be done when something fails.
            stack.callback(_cancel, running)
            for group in groups:
                running.append(executor.submit(_do, work, argument, group))
                if len(running) >= ahead * _AHEAD:
                    yield from _result(running.popleft())
            while running:
                yield from _result(running.popleft())


def _cancel(futures: Iterable[Future[Any]]) -> None:
    for future in futures:
        future.cancel()


def _result(future: Future[Any]) -> Sequence[Any]:
    try:
        return future.result()
    except BrokenProcessPool:
        raise UserError(
            "a worker process was ended from outside, perhaps because memory ran out; "
            "set YOLO_WORKERS to fewer processes and try again"
        ) from None
    except Exception as error:
        # Dask's errors are its own; its package may not be installed.
        if type(error).__name__ not in ("KilledWorker", "FutureCancelledError", "CancelledError"):
            raise
        raise UserError(
            f"the Dask cluster gave up ({error!r}); look at its workers' logs, and try again"
        ) from None


@contextmanager
def _pool(count: int, shared: Any) -> Iterator[tuple[Executor, Any, int]]:
    """Processes of this machine, each with its copy of `shared`."""
    # Not forked from this process: it has threads, whose locks a copy would hold for ever.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["yolo.data.validate.probe"])
    with ProcessPoolExecutor(count, context, _begin, (shared,)) as pool:
        yield pool, _PLACEHOLDER, count


@contextmanager
def _cluster(scheduler: str, shared: Any) -> Iterator[tuple[Executor, Any, int]]:
    """The workers of a Dask scheduler; `shared` is sent once to each."""
    try:
        from distributed import Client
    except ImportError:
        raise UserError(
            "YOLO_DASK_SCHEDULER is set, but Dask is not installed; install the extra `dask`"
        ) from None
    try:
        client = Client(scheduler, timeout=15)
    except (OSError, ValueError) as error:
        raise UserError(
            f"no Dask scheduler answers at {scheduler} (YOLO_DASK_SCHEDULER): {error}"
        ) from None
    with client:
        threads = sum(cast(dict[str, int], client.nthreads()).values())
        if not threads:
            raise UserError(f"the Dask scheduler at {scheduler} has no workers; start some")
        # `pure` would take jobs that look alike for the same one.
        yield client.get_executor(pure=False), client.scatter(shared, broadcast=True), threads


_PLACEHOLDER = None
"""Stands for what the process has already."""
_shared: list[Any] = []


def _begin(shared: Any) -> None:
    import cv2

    _shared[:] = [shared]
    # One thread each: there are as many processes as cores.
    cv2.setNumThreads(1)
    Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """Leave no orphan behind a process that was killed."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _do(work: Work[Any, Any], shared: Any, jobs: Sequence[Any]) -> Sequence[Any]:
    return work(_shared[0] if shared is _PLACEHOLDER else shared, jobs)
