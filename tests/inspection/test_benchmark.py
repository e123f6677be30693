"""`yolov1 benchmark` on a small clean set and a random detector."""

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from yolo.cli import app
from yolo.data.store.clean_set import DETECTION_SCHEMA, Writer, split_path, write_classes
from yolo.data.store.images import encode_jpeg
from yolo.errors import UserError
from yolo.inspection.benchmark import Benchmark, Measured, markdown
from yolo.model.detector.detector import DetectorSpec, build_detector, save_detector

CLASSES = ("disc", "square")


def write_clean(folder: Path, images: int) -> None:
    rng = np.random.default_rng(1)
    write_classes(folder, CLASSES)
    with Writer(split_path(folder, "test"), DETECTION_SCHEMA) as writer:
        for number in range(images):
            writer.append(
                {
                    "name": f"image {number}",
                    "image": encode_jpeg(rng.integers(0, 256, (48, 64, 3), np.uint8)),
                    "width": 64,
                    "height": 48,
                    "boxes": np.array([[1, 1, 64, 48]]),
                    "labels": [number % 2],
                    "difficult": [False],
                    "truncated": [False],
                }
            )


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("YOLO_THREADS", "1")
    spec = DetectorSpec("nano", 0.25, 64, 4, 2, CLASSES)
    save_detector(Path("models/detector.safetensors"), build_detector(spec, seed=2))
    write_clean(Path("data/clean/detection"), 6)
    return tmp_path


def test_every_backend_is_measured_and_all_agree(project: Path) -> None:
    result = CliRunner().invoke(app, ["benchmark", "--json"])
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert found["images"] == 6 and found["threads"] == 1 and found["network"] == "nano"
    assert found["parameters"] > 0 and found["flops"] > 2 * found["parameters"]
    assert [own["backend"] for own in found["backends"]][:2] == ["PyTorch", "ONNX Runtime"]
    scores = [own["voc07_map"] for own in found["backends"]]
    assert max(scores) - min(scores) <= 1e-4
    for own in found["backends"]:
        assert 0 < own["median_ms"] <= own["p95_ms"]
        # libraries alone take more than 50 MiB
        assert own["peak_bytes"] > 50 * 2**20
    assert found["backends"][0]["file_bytes"] == Path("models/detector.safetensors").stat().st_size


def test_an_empty_split_and_other_classes_are_refused(project: Path) -> None:
    write_classes(Path("data/clean/detection"), ("disc", "ring"))
    result = CliRunner().invoke(app, ["benchmark"])
    assert isinstance(result.exception, UserError)
    assert "knows the classes disc, square" in str(result.exception)
    write_clean(Path("data/clean/detection"), 0)
    result = CliRunner().invoke(app, ["benchmark"])
    assert "has no image" in str(result.exception)


def test_the_section_has_a_row_per_backend_and_tells_of_a_difference() -> None:
    rows = [
        Measured(name, "1.0", own, 12.34, 20.06, 3 * 2**20, 2**20)
        for name, own in (("PyTorch", 0.5), ("ONNX Runtime", 0.49))
    ]
    text = markdown(Benchmark("d", "nano", 7, 1234567, 2_500_000_000, "a machine", 2, tuple(rows)))
    assert "| PyTorch 1.0 | 50.00 % | 12.3 | 20.1 | 3 | 1.0 |" in text.splitlines()
    assert "1,234,567 parameters, 2.50 GFLOPs" in text and "a machine, 2 threads" in text
    assert "differ by 0.01000" in text
