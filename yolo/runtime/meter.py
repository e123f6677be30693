"""Progress of a transfer in bytes: a bar on a terminal, sparse lines in a log."""

import sys
import time
from types import TracebackType
from typing import Self

from tqdm import tqdm

_SECONDS_BETWEEN_LINES = 15.0
_MIB = 1 << 20


class Meter:
    """Shows how much of a file is there, the rate, and the time left when the total is known."""

    def __init__(self, label: str, start: int, total: int | None) -> None:
        """Begin at `start` bytes of `total`."""
        self._label = label
        self._start = self._done = start
        self._total = total
        self._began = self._shown = time.monotonic()
        self._bar = (
            tqdm(desc=label, initial=start, total=total, unit="B", unit_scale=True, leave=False)
            if sys.stderr.isatty()
            else None
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.close()

    def add(self, count: int) -> None:
        """Count more bytes."""
        self._done += count
        if self._bar is not None:
            self._bar.update(count)
            return
        now = time.monotonic()
        if now - self._shown >= _SECONDS_BETWEEN_LINES:
            self._shown = now
            print(self.line(now - self._began), file=sys.stderr, flush=True)

    def line(self, seconds: float) -> str:
        """State after `seconds` of transfer."""
        rate = (self._done - self._start) / max(seconds, 1e-9)
        text = f"{self._label}: {self._done / _MIB:.1f}"
        if self._total is None:
            return f"{text} MiB, {rate / _MIB:.1f} MiB/s"
        left = (self._total - self._done) / max(rate, 1e-9)
        return (
            f"{text} of {self._total / _MIB:.1f} MiB, {rate / _MIB:.1f} MiB/s, "
            f"{int(left // 60)}:{int(left % 60):02} left"
        )
