"""Stage `evaluate`: score the detector on the test split."""

import csv
import hashlib
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from stages.common.entry import read_inputs, run
from yolo.data.store import images
from yolo.data.store.clean_set import CleanSet
from yolo.errors import UserError
from yolo.evaluation.analysis import analysis, devkit
from yolo.evaluation.analysis.confusion import BACKGROUND
from yolo.evaluation.report import detector_report, examples
from yolo.files import digest, replacing, replacing_folder, write_json, write_metrics
from yolo.metrics.inputs import read_truth, to_columns
from yolo.model.detector.detector import load_detector
from yolo.model.detector.predict import ImageArray, detect_split
from yolo.model.network import weights
from yolo.nested import flatten
from yolo.params.base import View
from yolo.params.evaluate import Evaluate
from yolo.runtime import settings as runtime
from yolo.runtime.device import pick_device
from yolo.runtime.malloc import keep_freed
from yolo.runtime.settings import Runtime
from yolo.training.monitoring.tracking import Example, Tracker

CLEAN = Path("data/clean/detection")
DETECTOR = Path("models/detector.safetensors")
REPORTS = Path("reports/evaluate")
SPLIT = "test"


class Inputs(View):
    """The keys of `params.yaml` that this stage reads."""

    evaluate: Evaluate


def main() -> None:
    """Predict, score, write the reports."""
    wanted = read_inputs(Inputs).evaluate
    settings = runtime.from_environment()
    torch.set_num_threads(settings.threads)
    keep_freed()
    clean = CleanSet(CLEAN)
    split = clean.split(SPLIT)
    if len(split) == 0:
        raise UserError(f"{split.path} has no image; give data.detection a test split")
    detector = load_detector(DETECTOR).to(pick_device(settings.device))
    if detector.spec.classes != clean.classes:
        raise UserError(
            f"{DETECTOR} knows the classes {', '.join(detector.spec.classes)}, "
            f"{CLEAN} has {', '.join(clean.classes)}; `dvc repro detect_train` trains on them"
        )

    found = detect_split(
        detector,
        split,
        score_threshold=wanted.score_threshold,
        nms_iou=wanted.nms_iou,
        label="evaluate",
        threads=settings.threads,
    )
    # score the rounded values that the files hold
    detections = devkit.rounded(to_columns(found))
    results = analysis.analyse(
        detections,
        read_truth(split),
        clean.classes,
        np.array([split.size(index) for index in range(len(split))]),
        wanted.picture_threshold,
    )

    def read_published(index: int) -> ImageArray:
        image = images.decode(split.image(index), split.name(index))
        return images.resize(image, *split.size(index))

    hashes = {str(path): digest(path) for path in (DETECTOR, split.path, CLEAN / "classes.json")}
    shown = examples.show(results, detections, wanted.pictures, split.name, read_published)
    origin = detector_report.Origin(
        card=weights.read_card(DETECTOR),
        parameters=wanted.model_dump(),
        hashes=hashes,
    )
    page = detector_report.render(results, shown, origin)

    with replacing_folder(REPORTS / "pictures") as folder:
        for example in shown:
            (folder / example.file).write_bytes(example.jpeg)
    with replacing_folder(REPORTS / "detections") as folder:
        names = [split.name(index) for index in range(len(split))]
        devkit.write_detections(folder, detections, names, clean.classes, SPLIT)
    with replacing(REPORTS / "precision_recall.csv") as temporary:
        _write_curves(temporary, results)
    with replacing(REPORTS / "confusion.csv") as temporary:
        _write_confusion(temporary, results)
    with replacing(REPORTS / "errors.csv") as temporary:
        _write_errors(temporary, results)
    with replacing(REPORTS / "report.html") as temporary:
        temporary.write_text(page, encoding="utf-8")
    details = analysis.details(results)
    write_json(REPORTS / "details.json", details)
    write_metrics(REPORTS / "metrics.json", analysis.headline(results))
    track(
        settings,
        wanted.model_dump() | {"sha256": hashes},
        details,
        [
            Example(
                name=own.name,
                image=read_published(own.number),
                classes=clean.classes,
                boxes=detections.box[rows := examples.rows_shown(results, detections, own.number)],
                labels=detections.label[rows],
                scores=detections.score[rows],
                true_boxes=split.boxes(own.number),
                true_labels=split.labels(own.number),
            )
            for own in shown
        ],
    )


def track(
    settings: Runtime,
    made_of: Mapping[str, Any],
    numbers: Mapping[str, Any],
    shown: Sequence[Example],
) -> None:
    """Log the numbers and images to `runs/evaluate/` and to W&B; trouble is a warning.

    An evaluation of the same weights, data and parameters (`made_of`) is the same W&B run.
    """
    if settings.tracking == "disabled":
        return
    key = hashlib.sha256(json.dumps(made_of, sort_keys=True).encode()).hexdigest()[:16]
    folder = settings.runs / "evaluate" / key
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tracker = Tracker(folder, settings.tracking, "evaluate", made_of)
    except OSError as error:
        print(f"warning: the evaluation is not logged: {error}", file=sys.stderr)
        return
    tracker.log(0, {name: value for name, value in flatten(numbers) if value is not None})
    tracker.log_examples(0, shown)
    tracker.close()


def _write_curves(path: Path, results: analysis.Analysis) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("class", "recall", "precision"))
        for name, curve in zip(results.classes, results.curves, strict=True):
            for recall, precision in zip(curve.recall, curve.precision, strict=True):
                writer.writerow((name, f"{recall:.6f}", f"{precision:.6f}"))


def _write_confusion(path: Path, results: analysis.Analysis) -> None:
    """Write a row per object, and per detection without one: the format of `dvc plots`."""
    names = (*results.classes, BACKGROUND)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("actual", "predicted"))
        found = results.confusion
        for pair in zip(found.actual.tolist(), found.predicted.tolist(), strict=True):
            writer.writerow([names[label] for label in pair])


def _write_errors(path: Path, results: analysis.Analysis) -> None:
    """Write what the N best detections of each class are, N being the number of its objects."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("class", "kind", "count"))
        for name, own in zip(results.classes, results.anatomies, strict=True):
            for kind, count in {"correct": own.correct, **own.false}.items():
                writer.writerow((name, kind, count))


if __name__ == "__main__":
    run(main)
