"""`yolo.load(...).predict(...)`."""

import platform
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import yolo
from yolo.errors import UserError
from yolo.inference.model import Model
from yolo.model.detector.detector import DetectorSpec, build_detector, load_detector, save_detector
from yolo.model.detector.predict import detect

SPEC = DetectorSpec("nano", 0.25, 64, 4, 2, ("a", "b", "c"))


@pytest.fixture
def weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("YOLO_THREADS", "1")
    monkeypatch.setenv("YOLO_DEVICE", "cpu")
    save_detector(tmp_path / "detector.safetensors", build_detector(SPEC, seed=2))
    return tmp_path / "detector.safetensors"


def pictures(count: int) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [rng.integers(0, 256, (40 + i, 60, 3), np.uint8) for i in range(count)]


def test_one_picture_gives_boxes_scores_and_labels(weights: Path, tmp_path: Path) -> None:
    model = yolo.load(weights)
    Image.fromarray(pictures(1)[0]).save(tmp_path / "a.png")
    boxes, scores, labels = model.predict(tmp_path / "a.png", score_threshold=0)
    assert boxes.shape == (len(scores), 4) and labels.shape == scores.shape and len(scores)
    assert (boxes.dtype, scores.dtype, labels.dtype) == (np.float32, np.float32, np.int64)
    assert (np.diff(scores) <= 0).all()
    assert boxes.min() >= 1 and (boxes[:, 2] <= 60).all() and (boxes[:, 3] <= 40).all()
    assert {model.classes[label] for label in labels} <= set(SPEC.classes)


def test_it_finds_what_scoring_finds(weights: Path) -> None:
    images = pictures(5)
    expected = detect(load_detector(weights), images, score_threshold=0.0, nms_iou=0.4)
    found = yolo.load(str(weights)).predict(images, score_threshold=0, batch=2)
    assert len(found) == 5
    for own, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(own.scores, other.scores, atol=1e-6)
        np.testing.assert_allclose(own.boxes, other.boxes, atol=1e-3)
        np.testing.assert_array_equal(own.labels, other.labels)


def test_batches_are_several_pictures_and_none_are_none(weights: Path) -> None:
    model = yolo.load(weights)
    batch = np.stack([pictures(1)[0]] * 3)
    as_array = model.predict(batch, score_threshold=0)
    as_tensor = model.predict(torch.from_numpy(batch).permute(0, 3, 1, 2), score_threshold=0)
    assert len(as_array) == len(as_tensor) == 3
    np.testing.assert_array_equal(as_array[2].boxes, as_tensor[0].boxes)
    assert model.predict([]) == []


def test_thresholds_keep_the_better_and_are_the_original_ones_by_default(weights: Path) -> None:
    model = yolo.load(weights)
    image = pictures(1)[0]
    everything = model.predict(image, score_threshold=0, nms_iou=1)
    some = float(np.median(everything.scores))
    kept = model.predict(image, score_threshold=some, nms_iou=1)
    assert (kept.scores > some).all() and 0 < len(kept.scores) < len(everything.scores)
    default, written_out = (
        model.predict(image),
        model.predict(image, score_threshold=0.2, nms_iou=0.4),
    )
    np.testing.assert_array_equal(default.boxes, written_out.boxes)
    with pytest.raises(ValueError, match="score_threshold is 2"):
        model.predict(image, score_threshold=2)


def test_no_pictures_at_a_time_and_an_unknown_backend_are_errors(weights: Path) -> None:
    model = yolo.load(weights)
    with pytest.raises(ValueError, match="batch is 0; a whole number from 1 up"):
        model.predict([np.zeros((9, 9, 3), np.uint8)] * 2, batch=0)
    with pytest.raises(ValueError, match="backend is 'foo'; allowed: torch, onnx"):
        yolo.load(weights, backend="foo")  # type: ignore[arg-type]


def test_files_that_are_no_models_are_refused(tmp_path: Path) -> None:
    (tmp_path / "text.safetensors").write_text("no weights")
    with pytest.raises(UserError, match="there is no weights file"):
        yolo.load(tmp_path / "gone.safetensors")
    with pytest.raises(UserError, match="not a whole safetensors file"):
        yolo.load(tmp_path / "text.safetensors")


def test_importing_yolo_imports_nothing_heavy() -> None:
    code = (
        "import sys, yolo; "
        "print(sorted({'torch', 'numpy', 'cv2', 'PIL', 'dvc', 'yolo.hub'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
    with pytest.raises(AttributeError, match="nothing"):
        _ = yolo.nothing
    assert isinstance(yolo.load, type(lambda: 0)) and Model.__module__ == "yolo.inference.model"


PAGE_FAULTS_OF_A_PREDICTION = """
import resource, sys
import numpy as np
import yolo
model = yolo.load(sys.argv[1])
image = np.zeros((448, 448, 3), np.uint8)
found = []
for _ in range(5):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    model.predict(image)
    found.append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
print(min(found[1:]))
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc is told to keep memory")
def test_a_prediction_uses_the_memory_of_the_one_before_it(weights: Path) -> None:
    """glibc would map some ten thousand pages anew each time, which took half of the time."""
    save_detector(weights, build_detector(DetectorSpec("nano", 1.0, 448, 28, 2, ("a",)), seed=2))
    done = subprocess.run(
        [sys.executable, "-c", PAGE_FAULTS_OF_A_PREDICTION, str(weights)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert int(done.stdout) < 500
