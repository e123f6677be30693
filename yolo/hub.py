"""Load models: by file, by name and version, or by address."""

from os import PathLike, fspath
from pathlib import Path

from yolo.inference.model import Backend, Model, load_model
from yolo.published import fetch_model, is_published


def load(
    source: str | PathLike[str],
    *,
    repo: str | PathLike[str] | None = None,
    backend: Backend = "torch",
) -> Model:
    """Load a detector for prediction.

    Args:
        source: A weights file; an exported .onnx file; `name@version` of a released model;
            `hf:ORG/NAME@REV` on the Hugging Face Hub; or `https://HOST/FILE#sha256=DIGEST`.
        repo: For a released model: path or address of the Git repository; by default that of the
            current folder.
        backend: `torch`, or `onnx` for ONNX Runtime on the CPU; see `load_model`.

    Raises:
        UserError: There is no such file or version, it cannot be fetched whole, or it is not a
            detector.
    """
    return load_model(find(source, repo), backend)


def find(source: str | PathLike[str], repo: str | PathLike[str] | None = None) -> Path:
    """Return the local weights file for a `source` as in `load`; fetch it if necessary."""
    name, path = fspath(source), Path(source)
    if is_published(name) or ("@" in path.name and not path.exists()):
        return fetch_model(name, None if repo is None else fspath(repo))
    return path
