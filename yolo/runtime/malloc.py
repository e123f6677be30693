"""How the process treats memory that it has freed."""

import ctypes
import platform

_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4
"""Options of mallopt(3)."""


def keep_freed() -> None:
    """Keep what is freed for the next allocation instead of giving it back to the kernel.

    Every update and every prediction allocates and frees the same large buffers. glibc maps each of
    them anew, and the kernel then clears it page by page. With another C library nothing happens.
    """
    if platform.libc_ver()[0] == "glibc":
        libc = ctypes.CDLL(None)
        libc.mallopt(_M_MMAP_MAX, 0)
        # never
        libc.mallopt(_M_TRIM_THRESHOLD, -1)
