"""Load models by file or by name and version."""

import re
from os import PathLike, fspath
from pathlib import Path

from yolo.inference.model import Backend, Model, load_model
from yolo.versions import fetch

_VERSIONED = re.compile(r"(?P<name>[A-Za-z][\w-]*)@(?P<version>\S+)")


def load(
    source: str | PathLike[str],
    *,
    repo: str | PathLike[str] | None = None,
    backend: Backend = "torch",
) -> Model:
    """Load a detector for prediction.

    Args:
        source: A weights file, an exported .onnx file, or `name@version` of a released model.
        repo: For a released model: path or address of the Git repository; by default that of the
            current folder.
        backend: `torch`, or `onnx` for ONNX Runtime on the CPU; see `load_model`.

    Raises:
        UserError: There is no such file or version, or it is not a detector.
    """
    return load_model(find(source, repo), backend)


def find(source: str | PathLike[str], repo: str | PathLike[str] | None = None) -> Path:
    """Return the local weights file for a `source` as in `load`; fetch it if necessary."""
    path = Path(source)
    if not path.exists() and _VERSIONED.fullmatch(fspath(source)):
        return fetch(fspath(source), None if repo is None else fspath(repo))
    return path
