"""A bounded line of requests in front of one thread."""

import asyncio
import math
import time
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

Answer = TypeVar("Answer")


class WaitingLine:
    """Lets `room` requests in at a time and works on one after the other, in order of arrival.

    One thread works, so many clients need no more memory and processor threads than one.
    """

    def __init__(self, room: int) -> None:
        """`room`: most requests inside: those that upload, that wait, and the one in work."""
        self.room = room
        self.inside = 0
        self._turn = asyncio.Lock()
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="detect")
        self._seconds = 0.0

    @property
    def is_full(self) -> bool:
        """Whether the next request must be refused."""
        return self.inside >= self.room

    @property
    def retry_after(self) -> int:
        """Seconds after which the requests that are inside should be answered; at least 1."""
        return max(1, math.ceil(self.inside * self._seconds))

    @contextmanager
    def place(self) -> Iterator[None]:
        """Take a place for as long as the request lasts."""
        self.inside += 1
        try:
            yield
        finally:
            self.inside -= 1

    async def work(
        self, call: Callable[[], Answer], is_given_up: Callable[[], Awaitable[bool]]
    ) -> Answer | None:
        """Wait for the turn, then run `call` in the thread; None if nobody waits for it by then."""
        async with self._turn:
            if await is_given_up():
                return None
            started = time.perf_counter()
            answer = await asyncio.get_running_loop().run_in_executor(self._thread, call)
            taken = time.perf_counter() - started
            # a moving average over about ten requests
            self._seconds += (taken - self._seconds) / 10 if self._seconds else taken
            return answer
