"""That the demo learns, and that its score is not had for nothing."""

import json
from collections.abc import Callable

import numpy as np
import pytest
from project_copy import Project

from stages.project import preset
from yolo.data.store import images
from yolo.data.store.clean_set import CleanSet
from yolo.metrics.inputs import read_truth, to_columns
from yolo.metrics.voc_ap import Truth, score
from yolo.model.detector.detector import load_detector
from yolo.model.detector.predict import detect


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_the_demo_learns_and_strangers_objects_score_nothing(
    fresh: Callable[[], Project],
) -> None:
    project = fresh()
    preset.write("demo", project.root / "presets", project.root / "params.yaml")
    project.run("dvc", "repro", YOLO_THREADS="2")
    metrics = json.loads((project.root / "reports/evaluate/details.json").read_text())
    assert metrics["voc07_map"] >= 0.80
    pretrained = json.loads((project.root / "reports/pretrain/details.json").read_text())
    assert pretrained["top1"] >= 3 / 8  # eight classes: three times chance

    detector = load_detector(project.root / "models/detector.safetensors")
    clean = CleanSet(project.root / "data/clean/detection")
    split = clean.split("test")
    numbers = range(len(split))
    found = to_columns(
        detect(
            detector,
            (images.decode(split.image(number), split.name(number)) for number in numbers),
            score_threshold=0.001,
            nms_iou=0.5,
            sizes=[split.size(number) for number in numbers],
        )
    )
    truth = read_truth(split)
    own = score(found, truth, len(clean.classes)).voc07_map
    assert own == pytest.approx(metrics["voc07_map"], abs=1e-3)
    # Every image is scored by the objects of another.
    moved = (truth.image + len(split) // 2) % len(split)
    order = np.argsort(moved, kind="stable")
    strange = Truth(moved[order], truth.label[order], truth.box[order], truth.difficult[order])
    assert score(found, strange, len(clean.classes)).voc07_map < 0.10
