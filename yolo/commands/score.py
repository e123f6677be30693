"""Score detection files by the VOC rules, and what `yolov1 compare` reads and prints."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from yolo.commands.console import Json, defined, percent, print_json
from yolo.errors import UserError

if TYPE_CHECKING:
    from yolo.evaluation.analysis.comparison import Comparison, Difference
    from yolo.evaluation.analysis.devkit import Annotations
    from yolo.metrics.voc_ap import Detections

Devkit = Annotated[
    Path, typer.Option(help="A data set with boxes of any layout: a folder or an archive.")
]
SplitName = Annotated[str, typer.Option(help="Split of the set.")]

app = typer.Typer()


@app.command()
def score(
    annotations: Devkit,
    detections: Annotated[Path, typer.Option(help="Folder of comp4_det_<split>_<class>.txt.")],
    split: SplitName = "test",
    as_json: Json = False,
) -> None:
    """Score detection files by the VOC rules."""
    from yolo.metrics import voc_ap

    known, (found,) = read_devkit(annotations, split, [detections])
    scores = voc_ap.score(found, known.truth, len(known.classes))
    per_class = dict(zip(known.classes, scores.per_class, strict=True))
    if as_json:
        print_json(
            {
                "voc07_map": defined(scores.voc07_map),
                "voc_map": defined(scores.voc_map),
                "images": len(known.images),
                "objects": len(known.truth.image),
                "per_class": {
                    name: {
                        "voc07_ap": defined(result.ap07),
                        "voc_ap": defined(result.ap),
                        "positives": result.positives,
                    }
                    for name, result in per_class.items()
                },
            }
        )
        return
    print(f"{'class':<20} {'VOC07 AP':>9} {'VOC AP':>9} {'objects':>8}")
    for name, result in per_class.items():
        print(f"{name:<20} {percent(result.ap07):>9} {percent(result.ap):>9} {result.positives:>8}")
    positives = sum(result.positives for result in scores.per_class)
    print(
        f"{'mean':<20} {percent(scores.voc07_map):>9} {percent(scores.voc_map):>9} {positives:>8}"
    )


def print_comparison(
    known: "Annotations", of_a: "Detections", of_b: "Detections", as_json: bool
) -> None:
    """Print B - A with its 95 % interval over resampled images.

    Raises:
        UserError: There is no image.
    """
    from yolo.evaluation.analysis.comparison import compare as compare_detections

    if not known.images:
        raise UserError("the split lists no image: there is nothing to compare")
    result = compare_detections(of_a, of_b, known.truth, len(known.images), known.classes)
    if as_json:
        print_json(_comparison(result, known.classes))
        return
    rows = [("mean, VOC07", result.voc07_map), ("mean, VOC10+", result.voc_map)]
    rows += [(f"{name}, VOC07", d) for name, d in zip(known.classes, result.ap07, strict=True)]
    print(f"{'':<28} {'A':>6} {'B':>6}  {'B - A':>6}  95 % interval")
    for name, row in rows:
        low, high = (percent(bound, sign=True) for bound in row.interval)
        print(
            f"{name:<28} {percent(row.a):>6} {percent(row.b):>6} "
            f"{percent(row.difference, sign=True):>7}  {low} to {high}"
        )


def read_devkit(
    folder: Path, split: str, detections: list[Path]
) -> "tuple[Annotations, list[Detections]]":
    """Objects of a split of a data set of any layout, and detections in its images."""
    from yolo.evaluation.analysis import devkit
    from yolo.inspection.published_truth import read_annotations

    known = read_annotations(folder, split)
    files = [devkit.detection_files(path, split) for path in detections]
    for own in files:
        for note in devkit.check_classes(own, known.classes):
            print(f"note: {note}", file=sys.stderr)
    known = devkit.with_classes(known, [name for own in files for name in own])
    return known, [devkit.read_detections(own, known.images, known.classes) for own in files]


def read_clean(
    folder: Path, split: str, detections: list[Path]
) -> "tuple[Annotations, list[Detections]]":
    """Objects of a split of a clean set, and detections in its images."""
    from yolo.data.store.clean_set import CleanSet
    from yolo.evaluation.analysis import devkit
    from yolo.metrics.inputs import read_truth

    clean = CleanSet(folder)
    records = clean.split(split)
    names = tuple(records.name(index) for index in range(len(records)))
    known = devkit.Annotations(names, clean.classes, read_truth(records))
    files = [devkit.detection_files(path, split) for path in detections]
    return known, [devkit.read_detections(own, names, clean.classes) for own in files]


def _comparison(result: "Comparison", classes: tuple[str, ...]) -> dict[str, Any]:
    def entry(row: "Difference") -> dict[str, Any]:
        return {
            "a": defined(row.a),
            "b": defined(row.b),
            "difference": defined(row.difference),
            "interval": [defined(bound) for bound in row.interval],
        }

    return {
        "voc07_map": entry(result.voc07_map),
        "voc_map": entry(result.voc_map),
        "per_class": {
            name: {"voc07_ap": entry(ap07), "voc_ap": entry(ap)}
            for name, ap07, ap in zip(classes, result.ap07, result.ap, strict=True)
        },
    }
