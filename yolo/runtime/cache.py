"""The folder of this user for what can be fetched or made again."""

import os
from pathlib import Path


def cache_folder() -> Path:
    """`yolov1` in `XDG_CACHE_HOME`, by default `~/.cache`; it need not exist."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "yolov1"
