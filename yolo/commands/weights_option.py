"""Options that select a detector: a weights file, a released version, or an address."""

from pathlib import Path
from typing import Annotated

import typer

from yolo.errors import UserError

WEIGHTS = Path("models/detector.safetensors")
"""The file that stage `detect_train` writes."""

Weights = Annotated[
    Path | None,
    typer.Option(help=f"Detector weights or an exported .onnx file; default: {WEIGHTS}."),
]
Released = Annotated[
    str | None,
    typer.Option(
        metavar="NAME@VERSION",
        help="Instead of --weights: a released model (detector@v1.2.0), hf:ORG/NAME@REV, or "
        "https://HOST/FILE#sha256=DIGEST.",
    ),
]
Repo = Annotated[
    str | None,
    typer.Option(help="Folder or Git address of the project of --model; default: this one."),
]


def weights_file(weights: Path | None, model: str | None, repo: str | None) -> Path:
    """Return the file that the options select; what is not here is fetched.

    Raises:
        UserError: There is no such file or version, or the options contradict each other.
    """
    if model is None:
        if repo is not None:
            raise UserError("--repo goes with --model; give both")
        path = WEIGHTS if weights is None else weights
        if not path.is_file():
            raise UserError(
                f"{path} does not exist; train with `make repro`, or give weights with --weights "
                "or a released model with --model"
            )
        return path
    if weights is not None:
        raise UserError("--weights and --model exclude each other; give one of them")
    from yolo.published import fetch_model

    return fetch_model(model, repo)
