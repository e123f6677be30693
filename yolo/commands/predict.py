"""Detect objects in images, videos and what a camera sees."""

import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from yolo.commands.console import Json, print_json
from yolo.commands.weights_option import Released, Repo, Weights, weights_file

app = typer.Typer()


@app.command()
def predict(
    paths: Annotated[
        list[str] | None,
        typer.Argument(metavar="[PATH]…", help="Images, videos, folders, patterns."),
    ] = None,
    weights: Weights = None,
    model: Released = None,
    repo: Repo = None,
    camera: Annotated[
        Path | None, typer.Option(help="A camera, such as /dev/video0, until Ctrl-C or --frames.")
    ] = None,
    frames: Annotated[
        int | None, typer.Option(min=1, help="Most frames of each video and of the camera.")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="Folder for results; default: predictions, with --json none."),
    ] = None,
    form: Annotated[
        Literal["pictures", "json", "voc", "voc-xml", "coco"],
        typer.Option(
            "--format",
            help="What goes to --out: images and videos with boxes; detections.json; "
            "comp4_det_test_<class>.txt; an annotation per image; COCO results.",
        ),
    ] = "pictures",
    coco: Annotated[
        Path | None,
        typer.Option(
            "--coco", help="COCO annotations whose image and category ids --format coco uses."
        ),
    ] = None,
    backend: Annotated[
        Literal["torch", "onnx"],
        typer.Option(help="onnx: export once into the cache and run with ONNX Runtime."),
    ] = "torch",
    as_json: Json = False,
    score_threshold: Annotated[
        float, typer.Option(min=0, max=1, help="Score above which a detection counts.")
    ] = 0.2,
    nms_iou: Annotated[
        float, typer.Option(min=0, max=1, help="IoU above which the worse of two boxes is dropped.")
    ] = 0.4,
) -> None:
    """Detect objects in images and videos.

    A box is xmin ymin xmax ymax in pixels as in Pascal VOC: the first is 1, both ends belong to it.
    An unreadable file is reported and does not stop the others; the exit status is then 1.
    """
    from yolo.files import write_json
    from yolo.inference import results
    from yolo.inference.model import load_model
    from yolo.inference.run import predict_paths

    folder = out if out is not None or as_json else Path("predictions")
    detector = load_model(weights_file(weights, model, repo), backend)
    records, problems = predict_paths(
        paths or [],
        detector,
        folder if form == "pictures" else None,
        score_threshold=score_threshold,
        nms_iou=nms_iou,
        camera=camera,
        frames=frames,
    )
    if folder is not None:
        if form == "json":
            write_json(folder / "detections.json", records)
        elif form == "voc":
            results.write_voc(folder, records, detector.classes)
        elif form == "voc-xml":
            results.write_voc_xml(folder, records)
        elif form == "coco":
            results.write_coco(folder, records, detector.classes, coco)
    if as_json:
        print_json(records)
    else:
        for record in records:
            found = ", ".join(f"{d['label']} {d['score']:.2f}" for d in record["detections"])
            frame = f" frame {record['frame']}" if "frame" in record else ""
            print(f"{record['image']}{frame}: {found or 'nothing'}")
        if folder is not None and records:
            print(f"{form}: {folder}")
    for problem in problems:
        print(f"error: {problem}", file=sys.stderr)
    if problems:
        raise typer.Exit(1)
