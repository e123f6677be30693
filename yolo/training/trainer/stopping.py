"""Why a training ends before its last batch."""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager

PREEMPTED = 75
"""Exit status of a training that was told to stop (EX_TEMPFAIL)."""
OUT_OF_TIME = 76
"""Exit status of a training whose minutes (`YOLO_MAX_MINUTES`) are spent."""
LAUNCHER = "YOLO_LAUNCHER"
"""Names, to a process that the stage has started, the process that started it."""


_NUMBERS = (signal.SIGTERM, signal.SIGINT)
_noted: list[int] = []


def note_signals() -> None:
    """From now on SIGTERM and SIGINT are noted, for the training of this process to answer.

    Before it has begun, and while it writes its results, a signal would otherwise end the process
    without a word.
    """
    for number in _NUMBERS:
        signal.signal(number, lambda got, _: _noted.append(got))


class Stopping:
    """What may end this process's training: a signal, its budget, the loss of its launcher."""

    def __init__(self, max_minutes: float | None) -> None:
        """`max_minutes`: from now on; None: no limit."""
        self._deadline = time.monotonic() + 60 * max_minutes if max_minutes else float("inf")
        self._launcher = int(os.environ.get(LAUNCHER, "0"))
        self._received: list[int] = []

    @contextmanager
    def listening(self) -> Iterator[None]:
        """SIGTERM and SIGINT are noted inside the block instead of ending the process.

        Once one has come they are also noted after it: a launcher passes on what the process group
        has got already, and the process must still be able to say how it ended.
        """
        before = [
            signal.signal(number, lambda got, _: self._received.append(got)) for number in _NUMBERS
        ]
        try:
            yield
        finally:
            if not self._received:
                for number, handler in zip(_NUMBERS, before, strict=True):
                    signal.signal(number, handler)

    def is_told(self) -> bool:
        """Whether a signal came, or the process that started this one is gone."""
        return bool(self._received or _noted) or bool(
            self._launcher and os.getppid() != self._launcher
        )

    def is_out_of_time(self) -> bool:
        """Whether the budget is spent."""
        return time.monotonic() >= self._deadline
