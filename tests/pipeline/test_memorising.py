"""The paper's network learns real images by heart: nothing between boxes and score is broken."""

from collections.abc import Callable
from pathlib import Path

import pytest
from project_copy import Project


@pytest.mark.slow
def test_eight_real_pictures_are_memorised(fresh: Callable[[], Project], real_data: Path) -> None:
    project = fresh()
    project.change("data.detection.source", str(real_data / "voc-mini.tar"))
    for split in ("train", "val", "test"):
        years = [f"VOC2007/{split}", f"VOC2012/{split}"]
        project.change(f"data.detection.splits.{split}", years)
    project.run("dvc", "repro", "validate@detection")
    said = project.run(
        "yolov1", "inspect", "overfit", "--count", "8", "--network", "yolov1", "--width", "0.25",
        "--size", "224", "--grid", "7", "--batches", "600",
    )  # fmt: skip
    assert said.splitlines()[-1] == "memorised"
    assert "VOC07 mAP 100.0 %" in said.splitlines()[-2]
