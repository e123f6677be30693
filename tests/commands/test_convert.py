"""Networks of the original program in and out, as a person calls the commands."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner, Result

from yolo.cli import app
from yolo.errors import UserError
from yolo.model.darknet.convert import load_network
from yolo.model.detector.detector import DetectorSpec, build_detector, load_detector, save_detector


def call(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


def test_an_imported_detector_predicts_like_our_own(
    original: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("YOLO_THREADS", "1")
    monkeypatch.setenv("YOLO_DEVICE", "cpu")
    out = tmp_path / "tiny.safetensors"
    result = call(
        "import-darknet", str(original / "tiny.cfg"), str(original / "tiny.weights"), str(out)
    )
    assert result.exit_code == 0, result.output
    assert "192 px, grid 3, 2 boxes a cell, 20 classes: aeroplane" in result.stdout

    picture = tmp_path / "noise.png"
    pixels = np.random.default_rng(0).integers(0, 256, (60, 90, 3), np.uint8)
    Image.fromarray(pixels).save(picture)
    result = call(
        "predict", str(picture), "--weights", str(out), "--json", "--score-threshold", "0"
    )
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)[0]["detections"]
    assert found and {"label", "score", "box"} == set(found[0])


def test_classes_can_be_named(original: Path, tmp_path: Path) -> None:
    out = tmp_path / "det.safetensors"
    call(
        "import-darknet",
        str(original / "det.cfg"),
        str(original / "det_after.weights"),
        str(out),
        "--classes",
        "ant, bee,cow,dog",
    )
    assert load_detector(out).spec.classes == ("ant", "bee", "cow", "dog")


def test_a_wrong_count_of_names_writes_nothing(original: Path, tmp_path: Path) -> None:
    out = tmp_path / "det.safetensors"
    result = call(
        "import-darknet",
        str(original / "det.cfg"),
        str(original / "det_after.weights"),
        str(out),
        "--classes",
        "ant",
    )
    assert isinstance(result.exception, UserError)
    assert "4 classes; 1 names" in str(result.exception)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("change", ["truncated", "too long", "missing"])
def test_a_file_that_does_not_fit_is_one_error(original: Path, tmp_path: Path, change: str) -> None:
    weights = tmp_path / "w.weights"
    data = (original / "tiny.weights").read_bytes()
    if change != "missing":
        weights.write_bytes(data[:-400] if change == "truncated" else data + bytes(400))
    out = tmp_path / "out.safetensors"
    result = call("import-darknet", str(original / "tiny.cfg"), str(weights), str(out))
    assert isinstance(result.exception, UserError)
    assert str(weights) in str(result.exception)
    assert not out.exists()


def test_export_writes_what_the_original_reads(tmp_path: Path) -> None:
    detector = build_detector(DetectorSpec("yolov1-fast", 0.05, 96, 3, 2, ("a", "b")), seed=1)
    save_detector(tmp_path / "d.safetensors", detector)
    result = call("export", str(tmp_path / "d.safetensors"), "--format", "darknet")
    assert result.exit_code == 0, result.output
    network = load_network(tmp_path / "d.cfg", tmp_path / "d.weights")
    images = torch.rand(1, 3, 96, 96)
    with torch.no_grad():
        torch.testing.assert_close(network(images), detector.eval()(images))
