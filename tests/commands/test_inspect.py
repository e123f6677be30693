"""What `yolov1 inspect` shows of a small set."""

import io
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from ruamel.yaml import YAML
from typer.testing import CliRunner, Result

from yolo.cli import app
from yolo.data.store.clean_set import DETECTION_SCHEMA, Writer, split_path, write_classes
from yolo.errors import UserError

ROOT = Path(__file__).resolve().parents[2]
GREEN = (40, 200, 60)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The demo's parameters and three grey images with coloured rectangles as objects."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("YOLO_THREADS", "1")
    monkeypatch.setenv("YOLO_DEVICE", "cpu")
    shutil.copy(ROOT / "params.yaml", "params.yaml")
    folder = Path("data/clean/detection")
    folder.mkdir(parents=True)
    write_classes(folder, ("disc", "square"))
    objects = [
        [((11, 11, 40, 40), 0), ((61, 61, 90, 90), 1)],
        [((31, 21, 80, 70), 1)],
        # both centres in one cell of a 2 x 2 grid
        [((5, 5, 40, 40), 0), ((10, 10, 40, 44), 1)],
    ]
    with Writer(split_path(folder, "train"), DETECTION_SCHEMA) as writer:
        for number, own in enumerate(objects):
            pixels = np.full((100, 100, 3), 90 + 20 * number, np.uint8)
            for (left, top, right, bottom), label in own:
                pixels[top - 1 : bottom, left - 1 : right] = (220, 40, 40) if label else GREEN
            buffer = io.BytesIO()
            Image.fromarray(pixels).save(buffer, "PNG")
            writer.append(
                {
                    "name": f"image {number}",
                    "image": buffer.getvalue(),
                    "width": 100,
                    "height": 100,
                    "boxes": [box for box, _ in own],
                    "labels": [label for _, label in own],
                    "difficult": [False] * len(own),
                    "truncated": [False] * len(own),
                }
            )
    return tmp_path


def call(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["inspect", *arguments])


def test_targets_tint_the_responsible_cells(project: Path) -> None:
    result = call("targets", "--grid", "2", "--size", "100", "--count", "2", "--out", "t.png")
    assert result.exit_code == 0, result.output
    picture = np.asarray(Image.open("t.png").convert("RGB")).astype(int)
    assert picture.shape[:2] == (112, 218)
    background = np.array([90, 90, 90])
    first = picture[6:106, 6:106]
    # top left and bottom right hold a centre each; the other two cells stay as they were
    assert np.abs(first[5, 5] - background).max() > 10
    assert np.abs(first[95, 95] - background).max() > 10
    assert np.array_equal(first[5, 95], background)
    assert np.array_equal(first[95, 5], background)


def test_augmented_pictures_are_those_of_the_seed(project: Path) -> None:
    arguments = ("augment", "--count", "2", "--epochs", "3", "--size", "64", "--grid", "4")
    for name in ("a.png", "b.png"):
        assert call(*arguments, "--out", name).exit_code == 0
    assert Path("a.png").read_bytes() == Path("b.png").read_bytes()
    assert Image.open("a.png").size == (3 * 70 + 6, 2 * 70 + 6)


def test_the_schedule_names_the_peak_and_the_end(project: Path) -> None:
    result = call("schedule", "--json", "--out", "s.png")
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert set(found) == {"pretrain", "detect_train"}
    rates = found["detect_train"]["rates"]
    params = YAML(typ="safe").load(Path("params.yaml"))
    assert rates[-1]["batch"] == params["detect_train"]["optimisation"]["batches"]
    assert rates[-1]["rate"] == 0
    assert found["detect_train"]["peak"] >= max(row["rate"] for row in rates)
    assert Image.open("s.png").size[0] > 500


def test_the_layer_table_gives_the_papers_network(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    result = call("model", "--network", "yolov1", "--json")
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert found["parameters"] == 271_703_550
    assert found["layers"][-1]["output"] == [1470]
    assert sum(row["flops"] for row in found["layers"]) == found["flops"]


def test_a_grid_that_a_convolutional_head_cannot_give_is_explained(project: Path) -> None:
    result = call("model", "--network", "nano", "--size", "128", "--grid", "7")
    assert isinstance(result.exception, UserError)
    assert "grid 8 with input_size 128" in str(result.exception)


def test_a_detector_memorises_pictures_with_distinct_cells(project: Path) -> None:
    result = call(
        "overfit", "--count", "2", "--network", "nano", "--width", "0.25", "--size", "64",
        "--grid", "4", "--batches", "600",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    assert "images: image 0, image 1" in result.stdout
    assert result.stdout.splitlines()[-1] == "memorised"


def test_too_short_a_training_is_said_not_to_be_memorised(project: Path) -> None:
    result = call(
        "overfit", "--count", "2", "--network", "nano", "--width", "0.25", "--size", "64",
        "--grid", "4", "--batches", "2",
    )  # fmt: skip
    assert result.exit_code == 1
    assert "not memorised within 2 updates" in result.stdout


def test_pictures_whose_objects_share_a_cell_are_not_chosen(project: Path) -> None:
    result = call(
        "overfit", "--count", "3", "--network", "nano", "--size", "32", "--grid", "2",
        "--width", "0.25",
    )  # fmt: skip
    assert isinstance(result.exception, UserError)
    assert "only 2 of 3 images" in str(result.exception)
