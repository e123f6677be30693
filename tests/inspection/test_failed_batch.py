"""`yolov1 inspect batch`: what a training saved when it met something not finite."""

import json

import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from yolo.cli import app
from yolo.errors import UserError
from yolo.training.detect_train.samples import Batch
from yolo.training.monitoring import failed_batch


@pytest.fixture
def saved(tmp_path):
    path = tmp_path / failed_batch.FILE
    batch = Batch(
        names=["a.jpg", "b.jpg"],
        images=torch.full((2, 32, 32, 3), 7, dtype=torch.uint8),
        boxes=torch.tensor([[1, 0, 0.5, 0.5, 0.5, 0.5]]),
        colour=torch.tensor([[0.0, 1.0, 1.0], [0.1, 1.5, 0.5]]),
    )
    weights = {"good": torch.tensor([-3.0, 1.0]), "bad": torch.tensor([float("inf")])}
    terms = {"loss": float("nan"), "coord": 2.0}
    failed_batch.save(path, update=12, terms=terms, batches=[batch], model=weights)
    return path


def test_terms_images_and_weights_are_shown(saved, tmp_path):
    result = CliRunner().invoke(app, ["inspect", "batch", str(saved), "--json"])
    assert result.exit_code == 0, result.output
    found = json.loads(result.output)
    assert found["batch"] == 12
    assert found["terms"] == {"loss": "nan", "coord": 2.0}
    assert [(row["name"], row["boxes"], row["most"]) for row in found["images"]] == [
        ("a.jpg", 0, 7),
        ("b.jpg", 1, 7),
    ]
    assert found["not_finite"] == ["bad"]
    assert found["largest"] == [{"name": "good", "magnitude": 3.0}]


def test_the_pictures_are_drawn_with_their_boxes(saved, tmp_path):
    out = tmp_path / "sheet.png"
    result = CliRunner().invoke(app, ["inspect", "batch", str(saved), "--out", str(out)])
    assert result.exit_code == 0, result.output
    # the second image, 6 pixels from the first: its box's corner is a quarter in
    assert Image.open(out).getpixel((6 + 32 + 6 + 8, 6 + 8)) == (255, 0, 0)


def test_another_file_is_refused(tmp_path):
    path = tmp_path / "other.pt"
    path.write_bytes(b"rubbish")
    with pytest.raises(UserError, match=r"other\.pt cannot be read as a batch"):
        failed_batch.load(path)
