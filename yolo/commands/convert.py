"""Import and export networks in the formats of other programs."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from yolo.commands.console import names
from yolo.errors import UserError

app = typer.Typer()


@app.command("import-darknet")
def import_darknet(
    cfg: Annotated[Path, typer.Argument(metavar="CFG", help="The network's .cfg file.")],
    weights: Annotated[
        Path, typer.Argument(metavar="WEIGHTS", help="The network's .weights file.")
    ],
    out: Annotated[Path, typer.Argument(metavar="OUT", help="The .safetensors file to write.")],
    classes: Annotated[
        str | None,
        typer.Option(help="Names in the network's order, comma-separated; else VOC's 20."),
    ] = None,
) -> None:
    """Convert the original program's .cfg and .weights to a weights file of this project.

    All commands accept the result like weights that were trained here.
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
