"""What ends a training before its last batch: a signal, the time limit, a dead launcher."""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn

LAUNCHER = "YOLO_LAUNCHER"
"""Environment variable of a training process: the process id of the one that started it."""

_NUMBERS = (signal.SIGTERM, signal.SIGINT)
_noted: list[int] = []


def note_signals() -> None:
    """From now on note SIGTERM and SIGINT for the training of this process.

    Otherwise a signal before the training starts, or while it writes its results, would end the
    process without a message.
    """
    for number in _NUMBERS:
        signal.signal(number, lambda got, _: _noted.append(got))


class Interrupted(Exception):
    """A signal came while the network was validated."""


class Stopping:
    """Whether this process's training must stop."""

    def __init__(self, max_minutes: float | None) -> None:
        """`max_minutes`: from now on; None: no limit."""
        self._deadline = time.monotonic() + 60 * max_minutes if max_minutes else float("inf")
        self._launcher = int(os.environ.get(LAUNCHER, "0"))
        self._received: list[int] = []

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Note SIGTERM and SIGINT inside the block instead of ending the process.

        After the first signal our handlers stay installed: the launcher may send it again while
        `exit.json` is written.
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

    @contextmanager
    def interrupting(self, model: nn.Module) -> Iterator[None]:
        """Raise `Interrupted` at the next forward pass of `model` once a signal has come.

        A validation can take longer than the time between SIGTERM and SIGKILL.
        """

        def check(*_: object) -> None:
            if self.is_told():
                raise Interrupted

        hook = model.register_forward_pre_hook(check)
        try:
            yield
        finally:
            hook.remove()

    def is_told(self) -> bool:
        """Whether a signal came, or the process that started this one has ended."""
        return bool(self._received or _noted) or bool(
            self._launcher and os.getppid() != self._launcher
        )

    def is_out_of_time(self) -> bool:
        """Whether the time limit is reached."""
        return time.monotonic() >= self._deadline
