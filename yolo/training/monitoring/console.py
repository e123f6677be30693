"""Progress on standard error: one line on a terminal, a line every few seconds in a log."""

import sys
import time
from collections.abc import Callable, Mapping

from tqdm import tqdm

_SECONDS_BETWEEN_LINES = 15.0
_SECONDS_BETWEEN_DRAWINGS = 0.5


class Console:
    """Progress of a training."""

    def __init__(self, *, batch: int, images: int, first: int, last: int, is_shown: bool) -> None:
        """`batch`: images per update; `images`: per epoch; `first`, `last`: updates to do."""
        self._batch, self._images, self._first, self._last = batch, images, first, last
        self._is_shown = is_shown
        self._is_terminal = is_shown and sys.stderr.isatty()
        self._bar = tqdm(
            total=last,
            initial=first - 1,
            disable=not self._is_terminal,
            dynamic_ncols=True,
            unit="batch",
        )
        self._started = self._shown = time.monotonic()
        self._rest = 0.0

    def advance(self, update: int, values: Callable[[], Mapping[str, float]]) -> None:
        """Note that an update is done. `values` (loss, learning rate) is called only to print."""
        if not self._is_shown:
            return
        now = time.monotonic()
        if now - self._shown < (
            _SECONDS_BETWEEN_DRAWINGS if self._is_terminal else _SECONDS_BETWEEN_LINES
        ):
            return
        self._shown = now
        read = values()
        numbers = f"loss {read['loss']:.4g}  rate {read['learning_rate']:.3g}"
        if self._is_terminal:
            self._bar.set_description_str(self._epoch(update), refresh=False)
            self._bar.set_postfix_str(numbers, refresh=False)
            self._bar.update(update - self._bar.n)
            return
        speed = self.images_per_second(update) / self._batch
        left = f"{(self._last - update) / speed:.0f} s left" if speed else ""
        self.say(
            f"{self._epoch(update)}  batch {update}/{self._last}  {numbers}  "
            f"{speed * self._batch:.1f} images/s  {left}"
        )

    def exclude_time(self, seconds: float) -> None:
        """Exclude `seconds` of validation from the images per second."""
        self._rest += seconds

    def images_per_second(self, update: int) -> float:
        """Training images per second up to `update` in this process's life."""
        spent = time.monotonic() - self._started - self._rest
        return (update - self._first + 1) * self._batch / spent if spent > 0 else 0.0

    def say(self, line: str) -> None:
        """Print a line, above the progress line if there is one."""
        if self._is_shown:
            tqdm.write(line, file=sys.stderr)
            sys.stderr.flush()

    def close(self) -> None:
        """Leave the progress line as it is."""
        self._bar.close()

    def _epoch(self, update: int) -> str:
        epochs = self._last * self._batch / self._images
        return f"epoch {update * self._batch / self._images:.1f}/{epochs:.1f}"
