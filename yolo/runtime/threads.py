"""The images of a batch, worked on side by side in one process."""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from itertools import pairwise
from typing import TypeVar

import torch

Item = TypeVar("Item")
Result = TypeVar("Result")


def parallel_map(work: Callable[[Item], Result], items: Sequence[Item]) -> list[Result]:
    """The results of `work` on each item, in order, in as many threads as PyTorch computes with.

    Each thread takes one stretch of the items: handing them over singly costs more than the work on
    a small image. What `work` raises is raised here.
    """
    threads = torch.get_num_threads()
    parts = min(threads, len(items))
    if parts < 2:
        return [work(item) for item in items]
    ends = [len(items) * number // parts for number in range(parts + 1)]
    stretches = [items[first:last] for first, last in pairwise(ends)]
    done = _pool(threads).map(lambda stretch: [work(item) for item in stretch], stretches)
    return [result for stretch in done for result in stretch]


@cache
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads)


# the threads of a pool do not live on in a forked process
os.register_at_fork(after_in_child=_pool.cache_clear)
