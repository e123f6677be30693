"""Which detector a command uses: weights of this machine, or a released version of a project."""

from pathlib import Path
from typing import Annotated

import typer

from yolo.errors import UserError

WEIGHTS = Path("models/detector.safetensors")
"""What the pipeline's training writes."""

Weights = Annotated[
    Path | None,
    typer.Option(help=f"Detector weights, or an exported .onnx file; else {WEIGHTS}."),
]
Released = Annotated[
    str | None,
    typer.Option(
        metavar="NAME@VERSION", help="A released model in place of --weights: detector@v1.2.0."
    ),
]
Repo = Annotated[
    str | None,
    typer.Option(help="Folder or Git address of the project of --model; else this one."),
]


def chosen_weights(weights: Path | None, model: str | None, repo: str | None) -> Path:
    """The file that the three options name, fetched when it is a released model's.

    Raises:
        UserError: There is none, or the options contradict each other.
    """
    if model is None:
        if repo is not None:
            raise UserError("--repo is the project of a released --model; name that too")
        path = WEIGHTS if weights is None else weights
        if not path.is_file():
            raise UserError(
                f"{path} does not exist; train with `make repro`, or name weights with --weights "
                "or a released model with --model"
            )
        return path
    if weights is not None:
        raise UserError("--weights and --model each name a detector; give one of them")
    from yolo.versions import fetch

    return fetch(model, repo)
