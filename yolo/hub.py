"""Models by file or by name and version."""

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
        repo: For a released model: the Git repository, as a path or an address; by default that
            of the working folder.
        backend: What runs it, `torch`, or ONNX Runtime on the CPU, see `load_model`.

    Raises:
        UserError: There is no such file or version, or it is no detector.
    """
    return load_model(find(source, repo), backend)


def find(source: str | PathLike[str], repo: str | PathLike[str] | None = None) -> Path:
    """The weights file on this machine that `source` names, as for `load`."""
    path = Path(source)
    if not path.exists() and _VERSIONED.fullmatch(fspath(source)):
        return fetch(fspath(source), None if repo is None else fspath(repo))
    return path
