"""The price of a run: what its time costs, and how much of it is left."""

import math
import time
from typing import Self

from yolo.runtime.settings import Runtime


class Budget:
    """Prices seconds, and limits the time of a run from the moment that this object is made.

    The machine is paid while it is held, so the time of the run counts, whatever runs side by side.
    """

    def __init__(self, price_per_hour: float | None = None, most: float | None = None) -> None:
        """`price_per_hour`: of the machine; `most`: what the run may cost. None: not known."""
        self.price_per_hour = price_per_hour
        self._deadline = math.inf
        if price_per_hour and most is not None:
            self._deadline = time.monotonic() + 3600 * most / price_per_hour

    @classmethod
    def of(cls, settings: Runtime) -> Self:
        """The budget by the runtime settings."""
        return cls(settings.price_per_hour, settings.max_price)

    def price(self, seconds: float) -> float | None:
        """What `seconds` cost, in the currency of the price per hour."""
        if self.price_per_hour is None:
            return None
        return round(seconds / 3600 * self.price_per_hour, 4)

    def seconds_left(self) -> float:
        """Time left, never below 0; infinite without a limit."""
        return max(0.0, self._deadline - time.monotonic())

    def is_spent(self) -> bool:
        """Whether no time is left."""
        return self.seconds_left() == 0
