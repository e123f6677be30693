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
        Literal["onnx", "darknet"], typer.Option("--format", help="What to write.")
    ] = "onnx",
    out: Annotated[
        Path | None, typer.Option(help="File to write; by default beside the weights.")
    ] = None,
    nms: Annotated[
        bool, typer.Option("--nms", help="onnx: decode and suppress inside the graph.")
    ] = False,
) -> None:
    """Write a detector in another program's format.

    onnx, for every network: takes images (N, 3, side, side), RGB in [0, 1], and holds classes and
    preprocessing in its metadata. darknet, for the networks that the original program has layers
    for: OUT is the .weights file; the .cfg goes beside it.
    """
    out = out or weights.with_suffix({"onnx": ".onnx", "darknet": ".weights"}[to])
    if nms and to != "onnx":
        raise UserError(f"--nms goes with --format onnx, not {to}")
    if to == "onnx":
        from yolo.inference.export import export_onnx

        export_onnx(weights, out, nms=nms)
    else:
        from yolo.model.darknet.convert import export_darknet

        export_darknet(weights, out.with_suffix(".cfg"), out)
        print(out.with_suffix(".cfg"))
    print(out)
