"""The original's own learning rates, at which re-implementations end in NaN, on real images."""

import csv
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from project_copy import Project
from ruamel.yaml import YAML

from stages.project import preset

# the ramps of yolo.cfg of November 2015 and of yolov1-tiny.cfg, a tenth as long, and 50 batches at
# 1e-2. That of yolo-tiny.cfg of 2015 would be 8 batches long; from a backbone that has seen only
# 1,500 images the weights then run away, by batch 24 (docs/learning-rate.md).
PAPER = {"learning_rate": 0.001, "steps": [20, 40, 60], "scales": [2.5, 2.0, 2.0]}
FAST = {"learning_rate": 0.0005, "steps": [20, 40, 60, 80], "scales": [2.5, 2.0, 2.0, 2.0]}
PEAK = 0.01

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]


def settings(network: str, width: float, size: int, schedule: dict[str, Any]) -> dict[str, Any]:
    """Preset `paper` but for the data, the size, and lengths that a test can wait for."""
    batches = schedule["steps"][-1] + 50
    return {
        "data": {
            "classification": {"splits": {"train": ["train"], "val": ["val"]}, "shorter_side": 128},
            "detection": {
                "splits": {
                    "train": ["VOC2007/train", "VOC2012/train"],
                    "val": ["VOC2007/val"],
                    "test": ["VOC2007/test"],
                },
            },
        },
        "model": {"network": network, "width": width, "input_size": size},
        "pretrain": {
            "input_size": 64,
            "validate_every": 200,
            "optimisation": {
                "batch": 32,
                "batches": 600,
                "schedule": {"learning_rate": 0.02, "burn_in": 50, "power": 1.0},
            },
            "augmentation": {"min_crop": 64, "max_crop": 80},
        },
        "detect_train": {
            "keep": "last",
            "validation": {"every": 10},
            "optimisation": {"batches": batches, "schedule": schedule | {"policy": "steps"}},
            "augmentation": {"hue": 0.0},
        },
    }


@pytest.fixture
def real_project(fresh: Callable[[], Project], real_data: Path) -> Callable[..., Project]:
    """Make a project on real images with a backbone of its own short pre-training."""

    def make(overlay: dict[str, Any]) -> Project:
        project = fresh()
        data = overlay["data"]
        data["classification"]["source"] = str(real_data / "imagenet-mini.tar")
        data["detection"]["source"] = str(real_data / "voc-mini.tar")
        with (project.root / "presets/peak.yaml").open("w") as file:
            YAML().dump(overlay, file)
        preset.write("peak", project.root / "presets", project.root / "params.yaml")
        return project

    return make


def trained(project: Project) -> list[dict[str, float]]:
    """Train the detector, 64 images a batch in parts of 8; return its curve."""
    project.run("dvc", "repro", "extract_backbone", YOLO_THREADS="1")
    project.run("dvc", "repro", "detect_train", YOLO_THREADS="1", YOLO_MICRO_BATCH="8")
    with (project.root / "reports/detect_train/curves.csv").open() as file:
        return [{k: float(v or "nan") for k, v in row.items()} for row in csv.DictReader(file)]


@pytest.mark.parametrize(
    ("network", "width", "size", "schedule"),
    [("yolov1", 0.25, 224, PAPER), ("yolov1-fast", 1.0, 128, FAST)],
)
def test_the_loss_falls_at_the_peak_rate_of_the_original(
    real_project, network, width, size, schedule
):
    curve = trained(real_project(settings(network, width, size, schedule)))
    rates = [row["learning_rate"] for row in curve]
    assert rates[-1] == pytest.approx(PEAK)
    assert sum(rate == pytest.approx(PEAK) for rate in rates) * 10 >= 50
    losses = [row["loss"] for row in curve]
    assert all(math.isfinite(row[name]) for row in curve for name in ("loss", "coord", "classes"))
    assert losses[-1] < min(losses[0], losses[-5])


def test_the_paper_s_network_in_full_makes_finite_updates(real_project):
    overlay = settings("yolov1", 1.0, 224, PAPER)
    overlay["pretrain"]["optimisation"]["batches"] = 20
    overlay["detect_train"]["validation"]["every"] = 5
    overlay["detect_train"]["optimisation"]["batches"] = 5
    (row,) = trained(real_project(overlay))
    assert all(math.isfinite(row[name]) for name in ("loss", "coord", "object", "noobject"))
