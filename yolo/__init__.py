"""YOLO v1 (arXiv 1506.02640): the library behind the pipeline.

`yolo.load("models/detector.safetensors").predict("photo.jpg")` gives boxes, scores and labels.
"""

import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from yolo.hub import load as load

# GNU's OpenMP reads this when PyTorch is imported. Threads that wait for each other then spin for
# some microseconds before they sleep. By default they spin for milliseconds, hundreds of times in a
# training step, and where other programs run, the awaited thread does not get their core.
if "OMP_WAIT_POLICY" not in os.environ:
    os.environ.setdefault("GOMP_SPINCOUNT", "2000")


def __getattr__(name: str) -> Any:
    """Import `load` when it is asked for: `import yolo` alone imports nothing."""
    if name == "load":
        from importlib import import_module

        return import_module("yolo.hub").load
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
