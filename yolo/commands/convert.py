"""Formats of other programs: take their networks in, give ours out."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from yolo.commands.console import names

app = typer.Typer()


@app.command("import-darknet")
def import_darknet(
    cfg: Annotated[Path, typer.Argument(metavar="CFG", help="The original's description.")],
    weights: Annotated[Path, typer.Argument(metavar="WEIGHTS", help="The original's weights.")],
    out: Annotated[Path, typer.Argument(metavar="OUT", help="A .safetensors file to write.")],
    classes: Annotated[
        str | None,
        typer.Option(help="Names in the network's order, comma-separated; else VOC's 20."),
    ] = None,
) -> None:
    """Make a detector file of ours from the original program's .cfg and .weights.

    `predict` and the rest take it like one that was trained here.
    """
    from yolo.model.darknet import import_darknet as make

    listed = names(classes)
    spec = make(cfg, weights, out, None if listed is None else tuple(listed))
    print(
        f"{out}: {spec.input_size} px, grid {spec.grid}, {spec.boxes} boxes a cell, "
        f"{len(spec.classes)} classes: {', '.join(spec.classes)}"
    )


@app.command()
def export(
    weights: Annotated[Path, typer.Argument(metavar="WEIGHTS", help="A detector of ours.")] = Path(
        "models/detector.safetensors"
    ),
    to: Annotated[Literal["darknet"], typer.Option("--format", help="What to write.")] = "darknet",
    out: Annotated[
        Path | None, typer.Option(help="File to write; by default beside the weights.")
    ] = None,
) -> None:
    """Write a detector in another program's format.

    darknet: OUT is the .weights file; the .cfg goes beside it.
    """
    from yolo.model.darknet import export_darknet

    out = out or weights.with_suffix(".weights")
    cfg = out.with_suffix(".cfg")
    export_darknet(weights, cfg, out)
    print(f"{cfg}\n{out}")
