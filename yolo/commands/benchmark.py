"""Measure a detector on every backend."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from yolo.commands.console import Json, defined, print_json
from yolo.commands.weights_option import Released, Repo, Weights, weights_file

app = typer.Typer()


@app.command()
def benchmark(
    weights: Weights = None,
    model: Released = None,
    repo: Repo = None,
    data: Annotated[
        Path, typer.Option(help="A clean detection set, written by `validate`.")
    ] = Path("data/clean/detection"),
    split: Annotated[str, typer.Option(help="Split of the set.")] = "test",
    score_threshold: Annotated[float, typer.Option(min=0, max=1, help="Of the mAP.")] = 0.001,
    nms_iou: Annotated[float, typer.Option(min=0, max=1, help="Of the mAP.")] = 0.5,
    as_json: Json = False,
) -> None:
    """Show mAP, speed, memory and size of a detector with each backend, as Markdown.

    PyTorch and ONNX Runtime on the CPU, and OpenVINO where it is installed; one image at a time,
    with YOLO_THREADS threads. Other programs on the machine make the times worthless.
    """
    from yolo.inspection.benchmark import markdown, measure
    from yolo.runtime import settings as runtime

    found = measure(
        weights_file(weights, model, repo),
        data,
        split,
        score_threshold=score_threshold,
        nms_iou=nms_iou,
        threads=runtime.from_environment().threads,
    )
    if as_json:
        values = asdict(found)
        for own in values["backends"]:
            own["voc07_map"] = defined(own["voc07_map"])
        print_json(values)
    else:
        print(markdown(found), end="")
