"""Formats of other programs: take their networks in, give ours out."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from yolo.commands.console import names
from yolo.errors import UserError

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
    from yolo.model.darknet.convert import import_darknet as make

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
    to: Annotated[
        Literal["darknet", "onnx", "torchscript"], typer.Option("--format", help="What to write.")
    ] = "darknet",
    out: Annotated[
        Path | None, typer.Option(help="File to write; by default beside the weights.")
    ] = None,
    nms: Annotated[
        bool, typer.Option("--nms", help="onnx: decode and suppress inside the graph.")
    ] = False,
) -> None:
    """Write a detector in another program's format.

    darknet: OUT is the .weights file; the .cfg goes beside it. onnx and torchscript take images
    (N, 3, side, side), RGB in [0, 1], and hold classes and preprocessing in their metadata.
    """
    ending = {"darknet": ".weights", "onnx": ".onnx", "torchscript": ".pt"}[to]
    out = out or weights.with_suffix(ending)
    if nms and to != "onnx":
        raise UserError(f"--nms goes with --format onnx, not {to}")
    if to == "darknet":
        from yolo.model.darknet.convert import export_darknet

        export_darknet(weights, out.with_suffix(".cfg"), out)
        print(out.with_suffix(".cfg"))
    else:
        from yolo.inference.export import export_onnx, export_torchscript

        if to == "onnx":
            export_onnx(weights, out, nms=nms)
        else:
            export_torchscript(weights, out)
    print(out)
