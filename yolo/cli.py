"""The library's commands. Imports happen inside them, so that `--help` answers at once."""

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from yolo.errors import UserError

if TYPE_CHECKING:
    from yolo.evaluation.comparison import Comparison, Difference
    from yolo.evaluation.devkit import Annotations
    from yolo.evaluation.voc_ap import Detections

app = typer.Typer(
    help="YOLO v1: predict, score, inspect, convert.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)

Json = Annotated[bool, typer.Option("--json", help="Print JSON and nothing else.")]
Devkit = Annotated[
    Path, typer.Option(help="A year's folder of a VOCdevkit: Annotations, ImageSets/Main.")
]
SplitName = Annotated[str, typer.Option(help="List of images: ImageSets/Main/<split>.txt.")]


@app.callback()
def commands() -> None:
    """Keep the command's name even while there is only one."""


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
        _print_json(results)
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


@app.command()
def check(
    paths: Annotated[
        list[Path], typer.Argument(metavar="PATH", help="Data sets: folders or archives.")
    ],
    classes: Annotated[
        str | None, typer.Option(help="Allowed names, comma-separated; by default all found.")
    ] = None,
    splits: Annotated[
        str | None, typer.Option(help="Splits that must be there; by default those that are.")
    ] = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="Too few examples of a class are errors, too.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Check data sets by the rules of the stage `validate`, outside the pipeline."""
    from yolo.data.check import check as check_sets

    report = check_sets(paths, _names(classes), _names(splits), strict=strict)
    if as_json:
        findings = [asdict(found) for found in report.findings]
        _print_json({"admitted": report.admitted, "findings": findings})
    else:
        for found in report.findings:
            place = found.file if found.object is None else f"{found.file}, object {found.object}"
            print(f"{found.severity}: {place}: {found.rule}: {found.value} ({found.action})")
        print("admitted" if report.admitted else "not admitted")
    if not report.admitted:
        raise typer.Exit(1)


@app.command()
def score(
    annotations: Devkit,
    detections: Annotated[Path, typer.Option(help="Folder of comp4_det_<split>_<class>.txt.")],
    split: SplitName = "test",
    as_json: Json = False,
) -> None:
    """Score detection files by the VOC rules."""
    from yolo.evaluation import voc_ap

    known, (found,) = _read_devkit(annotations, split, [detections])
    scores = voc_ap.score(found, known.truth, len(known.classes))
    per_class = dict(zip(known.classes, scores.per_class, strict=True))
    if as_json:
        _print_json(
            {
                "voc07_map": _defined(scores.voc07_map),
                "voc_map": _defined(scores.voc_map),
                "images": len(known.images),
                "objects": len(known.truth.image),
                "per_class": {
                    name: {
                        "voc07_ap": _defined(result.ap07),
                        "voc_ap": _defined(result.ap),
                        "positives": result.positives,
                    }
                    for name, result in per_class.items()
                },
            }
        )
        return
    print(f"{'class':<20} {'VOC07 AP':>9} {'VOC AP':>9} {'objects':>8}")
    for name, result in per_class.items():
        print(
            f"{name:<20} {_percent(result.ap07):>9} {_percent(result.ap):>9} {result.positives:>8}"
        )
    positives = sum(result.positives for result in scores.per_class)
    print(
        f"{'mean':<20} {_percent(scores.voc07_map):>9} {_percent(scores.voc_map):>9} {positives:>8}"
    )


@app.command()
def compare(
    a: Annotated[Path, typer.Argument(metavar="A", help="Folder of detection files.")],
    b: Annotated[Path, typer.Argument(metavar="B", help="Folder of detection files.")],
    annotations: Annotated[
        Path | None,
        typer.Option(help="A year's folder of a VOCdevkit; else data/clean/detection."),
    ] = None,
    split: SplitName = "test",
    as_json: Json = False,
) -> None:
    """Compare two sets of detections of the same images.

    Shows B - A with its 95 % interval over resampled images.
    """
    from yolo.evaluation.comparison import compare as compare_detections

    if annotations is None:
        known, (of_a, of_b) = _read_clean(Path("data/clean/detection"), split, [a, b])
    else:
        known, (of_a, of_b) = _read_devkit(annotations, split, [a, b])
    result = compare_detections(of_a, of_b, known.truth, len(known.images), known.classes)
    if as_json:
        _print_json(_comparison(result, known.classes))
        return
    rows = [("mean, VOC07", result.voc07_map), ("mean, VOC10+", result.voc_map)]
    rows += [(f"{name}, VOC07", d) for name, d in zip(known.classes, result.ap07, strict=True)]
    print(f"{'':<28} {'A':>6} {'B':>6}  {'B - A':>6}  95 % interval")
    for name, row in rows:
        low, high = (_percent(bound, sign=True) for bound in row.interval)
        print(
            f"{name:<28} {_percent(row.a):>6} {_percent(row.b):>6} "
            f"{_percent(row.difference, sign=True):>7}  {low} to {high}"
        )


def _read_devkit(
    folder: Path, split: str, detections: list[Path]
) -> "tuple[Annotations, list[Detections]]":
    from yolo.evaluation import devkit

    known = devkit.read_annotations(folder, split)
    files = [devkit.detection_files(path, split) for path in detections]
    for own in files:
        for note in devkit.check_classes(own, known.classes):
            print(f"note: {note}", file=sys.stderr)
    known = devkit.with_classes(known, [name for own in files for name in own])
    return known, [devkit.read_detections(own, known.images, known.classes) for own in files]


def _read_clean(
    folder: Path, split: str, detections: list[Path]
) -> "tuple[Annotations, list[Detections]]":
    from yolo.data.store import CleanSet
    from yolo.evaluation import devkit
    from yolo.evaluation.clean_truth import read_truth

    clean = CleanSet(folder)
    records = clean.split(split)
    names = tuple(records.name(index) for index in range(len(records)))
    known = devkit.Annotations(names, clean.classes, read_truth(records))
    files = [devkit.detection_files(path, split) for path in detections]
    return known, [devkit.read_detections(own, names, clean.classes) for own in files]


def _comparison(result: "Comparison", classes: tuple[str, ...]) -> dict[str, Any]:
    def entry(row: "Difference") -> dict[str, Any]:
        return {
            "a": _defined(row.a),
            "b": _defined(row.b),
            "difference": _defined(row.difference),
            "interval": [_defined(bound) for bound in row.interval],
        }

    return {
        "voc07_map": entry(result.voc07_map),
        "voc_map": entry(result.voc_map),
        "per_class": {
            name: {"voc07_ap": entry(ap07), "voc_ap": entry(ap)}
            for name, ap07, ap in zip(classes, result.ap07, result.ap, strict=True)
        },
    }


def _print_json(value: Any) -> None:
    print(json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False))


def _defined(value: float) -> float | None:
    return None if value != value else value


def _names(listed: str | None) -> list[str] | None:
    return None if listed is None else [name.strip() for name in listed.split(",")]


def _percent(value: float, *, sign: bool = False) -> str:
    if value != value:
        return "n/a"
    return f"{100 * value:+.1f}" if sign else f"{100 * value:.1f}"


def run(application: typer.Typer) -> NoReturn:
    """Run a command line; print a `UserError` as one message and exit with status 1."""
    try:
        application()
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)
    sys.exit(0)


if __name__ == "__main__":
    run(app)
