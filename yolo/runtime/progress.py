"""Progress of long work: a bar on a terminal, sparse lines in a log."""

import sys
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

from tqdm import tqdm

T = TypeVar("T")
_SECONDS_BETWEEN_LINES = 15.0


def progress(items: Iterable[T], label: str, total: int | None = None) -> Iterator[T]:
    """Yield `items`, showing on standard error how many are done."""
    if sys.stderr.isatty():
        yield from tqdm(items, desc=label, total=total, dynamic_ncols=True)
        return
    if total is None and hasattr(items, "__len__"):
        total = len(items)  # type: ignore[arg-type]
    started = shown = time.monotonic()
    of_total = f"/{total}" if total is not None else ""
    for done, item in enumerate(items, 1):
        yield item
        now = time.monotonic()
        if now - shown >= _SECONDS_BETWEEN_LINES:
            shown = now
            rate = done / (now - started)
            print(f"{label}: {done}{of_total}, {rate:.1f}/s", file=sys.stderr, flush=True)
