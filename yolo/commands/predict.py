"""Detect objects in pictures."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from yolo.commands.console import Json, print_json

app = typer.Typer()


@app.command()
def predict(
    paths: Annotated[
        list[Path], typer.Argument(metavar="PATH", help="Pictures, or folders of them.")
    ],
    weights: Annotated[Path, typer.Option(help="Detector weights.")] = Path(
        "models/detector.safetensors"
    ),
    out: Annotated[
        Path | None, typer.Option(help="Folder for pictures; predictions, or none with --json.")
    ] = None,
    as_json: Json = False,
    score_threshold: Annotated[
        float, typer.Option(min=0, max=1, help="Least score, exclusive.")
    ] = 0.2,
    nms_iou: Annotated[
        float, typer.Option(min=0, max=1, help="Overlap above which the worse of two goes.")
    ] = 0.4,
) -> None:
    """Detect objects in pictures and draw them.

    A box is xmin ymin xmax ymax in pixels as in Pascal VOC: the first is 1, both ends belong to it.
    """
    from yolo.evaluation.predict_files import predict_files

    folder = out if out is not None or as_json else Path("predictions")
    results, problems = predict_files(
        paths, weights, folder, score_threshold=score_threshold, nms_iou=nms_iou
    )
    if as_json:
        print_json(results)
    else:
        for result in results:
            found = ", ".join(f"{d['label']} {d['score']:.2f}" for d in result["detections"])
            print(f"{result['image']}: {found or 'nothing'}")
        if folder is not None and results:
            print(f"pictures: {folder}")
    for problem in problems:
        print(f"error: {problem}", file=sys.stderr)
    if problems:
        raise typer.Exit(1)
