"""Pictures decoded ahead of the network, in order."""

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

from yolo.evaluation.predict import Picture


def read_ahead(read: Callable[[int], Picture], count: int, threads: int) -> Iterator[Picture]:
    """Yield read(0), read(1) … read(count - 1), up to 4 * `threads` of them read in advance.

    Decoding lets go of the interpreter, so that threads are enough.
    """
    waiting: deque[Future[Picture]] = deque()
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
