"""Items read ahead of their use, in order."""

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")


def read_ahead(read: Callable[[int], Item], count: int, threads: int) -> Iterator[Item]:
    """Yield read(0), read(1) … read(count - 1), up to 4 * `threads` of them read in advance.

    Threads suffice where `read` releases the interpreter lock, as decoding an image does.
    """
    waiting: deque[Future[Item]] = deque()
    with ThreadPoolExecutor(threads) as pool:
        try:
            for index in range(count):
                waiting.append(pool.submit(read, index))
                if len(waiting) > 4 * threads:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()
