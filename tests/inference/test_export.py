"""Exported detectors give what PyTorch gives."""

import json
import os
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from typer.testing import CliRunner

import yolo
from yolo.cli import app
from yolo.detection.decode import detections
from yolo.errors import UserError
from yolo.inference.export import export_onnx
from yolo.model.detector.detector import DetectorSpec, build_detector, load_detector, save_detector

CLASSES = ("disc", "square", "star")
# a grid of its own with a connected output, a fixed one with a convolutional output
NANO = DetectorSpec("nano", 0.5, 64, 4, 2, CLASSES)


def make(folder: Path, spec: DetectorSpec) -> Path:
    """A detector whose batch normalisation is not neutral and whose classes are told apart."""
    detector = build_detector(spec, seed=3)
    generator = torch.Generator().manual_seed(1)
    for name, values in detector.state_dict().items():
        if "running_var" in name:
            values.uniform_(0.5, 1.5, generator=generator)
        elif "running_mean" in name or name.endswith("norm.bias"):
            values.normal_(0, 0.1, generator=generator)
    save_detector(folder / "detector.safetensors", detector)
    return folder / "detector.safetensors"


def images(count: int, side: int) -> torch.Tensor:
    return torch.rand(count, 3, side, side, generator=torch.Generator().manual_seed(count))


def expect_equal(weights: Path, exported: Path) -> None:
    detector = load_detector(weights)
    session = onnxruntime.InferenceSession(exported, providers=["CPUExecutionProvider"])
    for count in (1, 3):
        inputs = images(count, detector.spec.input_size)
        (found,) = session.run(["prediction"], {"images": inputs.numpy()})
        with torch.inference_mode():
            expected = detector(inputs).numpy()
        assert found.shape == expected.shape
        assert expected.std() > 1e-4
        np.testing.assert_allclose(found, expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(
    "spec",
    [
        NANO,
        DetectorSpec("yolov1-darknet", 0.03, 128, 5, 3, CLASSES),
        DetectorSpec("yolov1-fast", 0.03, 128, 5, 2, CLASSES),
        DetectorSpec("efficientnet_lite0", 1.0, 96, 6, 2, CLASSES),
    ],
    ids=lambda spec: spec.network,
)
def test_onnx_equals_pytorch(tmp_path: Path, spec: DetectorSpec) -> None:
    weights = make(tmp_path, spec)
    export_onnx(weights, tmp_path / "d.onnx", nms=False)
    expect_equal(weights, tmp_path / "d.onnx")


@pytest.mark.slow
@pytest.mark.parametrize("network", ["yolov1", "yolov1-bn", "yolov1-fast-darknet", "resnet18"])
def test_onnx_of_the_other_networks_equals_pytorch(tmp_path: Path, network: str) -> None:
    weights = make(tmp_path, DetectorSpec(network, 0.03, 128, 3, 2, CLASSES))
    export_onnx(weights, tmp_path / "d.onnx", nms=False)
    expect_equal(weights, tmp_path / "d.onnx")


@pytest.mark.slow
@pytest.mark.parametrize("network", ["mobilenet_v3_large", "efficientnet_b0", "resnet18"])
def test_onnx_of_a_cut_backbone_equals_pytorch(tmp_path: Path, network: str) -> None:
    spec = DetectorSpec(network, 1.0, 96, 6, 2, CLASSES)
    save_detector(tmp_path / "d", build_detector(spec, 3, "convolutional"))
    export_onnx(tmp_path / "d", tmp_path / "d.onnx", nms=False)
    expect_equal(tmp_path / "d", tmp_path / "d.onnx")


@pytest.mark.parametrize("network", ["nano", "efficientnet_lite0"])
def test_export_without_options_writes_onnx(tmp_path: Path, network: str) -> None:
    weights = make(tmp_path, DetectorSpec(network, 0.25, 64, 4, 2, CLASSES))
    result = CliRunner().invoke(app, ["export", str(weights)])
    assert result.exit_code == 0, result.output
    expect_equal(weights, tmp_path / "detector.onnx")
    refused = CliRunner().invoke(app, ["export", str(weights), "--format", "darknet"])
    assert isinstance(refused.exception, UserError)
    assert "--format onnx" in str(refused.exception)
    assert not (tmp_path / "detector.weights").exists()


def test_suppression_inside_the_graph_equals_ours(tmp_path: Path) -> None:
    weights = make(tmp_path, NANO)
    exported = tmp_path / "d.onnx"
    result = CliRunner().invoke(
        app, ["export", str(weights), "--format", "onnx", "--nms", "--out", str(exported)]
    )
    assert result.exit_code == 0, result.output
    session = onnxruntime.InferenceSession(exported, providers=["CPUExecutionProvider"])
    inputs = images(5, 64)
    with torch.inference_mode():
        prediction = load_detector(weights)(inputs)
    seen = 0
    for score, iou in ((0.0, 0.3), (None, None), (1e-3, 0.05)):
        feed = {"images": inputs.numpy()}
        if score is not None:
            feed["score_threshold"] = np.array([score], np.float32)
            feed["nms_iou"] = np.array([iou], np.float32)
        image, boxes, scores, labels = session.run(["image", "boxes", "scores", "labels"], feed)
        expected = detections(
            prediction, grid=4, boxes=2, classes=3,
            score_threshold=0.2 if score is None else score,
            iou_threshold=0.4 if iou is None else iou,
        )  # fmt: skip
        for number, own in enumerate(expected):
            mine = image == number
            corners = torch.cat(
                [own.boxes[:, :2] - own.boxes[:, 2:] / 2, own.boxes[:, :2] + own.boxes[:, 2:] / 2],
                dim=1,
            )
            np.testing.assert_allclose(scores[mine], own.scores, atol=1e-4)
            np.testing.assert_allclose(boxes[mine], corners, atol=1e-4)
            np.testing.assert_array_equal(labels[mine], own.labels)
            seen += len(own.scores)
    assert seen > 20


def test_the_metadata_say_how_to_use_it(tmp_path: Path) -> None:
    export_onnx(make(tmp_path, NANO), tmp_path / "d.onnx", nms=False)
    session = onnxruntime.InferenceSession(tmp_path / "d.onnx")
    metadata = session.get_modelmeta().custom_metadata_map
    assert json.loads(metadata["classes"]) == list(CLASSES)
    assert "bilinear" in metadata["preprocessing"]
    (entry,) = session.get_inputs()
    assert entry.name == "images" and entry.shape[1:] == [3, 64, 64]


def test_a_full_disk_leaves_no_half_file(tmp_path: Path) -> None:
    weights = make(tmp_path, NANO)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            export_onnx(weights, tmp_path / "out" / "d.onnx", nms=False)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert list((tmp_path / "out").iterdir()) == []


def test_onnx_runtime_sends_and_keeps_nothing(tmp_path: Path) -> None:
    weights = make(tmp_path, NANO)
    export_onnx(weights, tmp_path / "d.onnx", nms=False)
    code = "import sys, yolo; yolo.load(sys.argv[1])"
    environment = {k: v for k, v in os.environ.items() if k != "ORT_DISABLE_TELEMETRY"}
    subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "d.onnx")],
        env=environment | {"XDG_CACHE_HOME": str(tmp_path / "kept"), "HOME": str(tmp_path)},
        check=True,
    )
    assert {path.name for path in tmp_path.iterdir()} == {"detector.safetensors", "d.onnx"}


def test_the_backend_onnx_finds_the_same_and_exports_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    weights = make(tmp_path, NANO)
    pictures = np.random.default_rng(0).integers(0, 256, (3, 50, 70, 3), np.uint8)
    expected = yolo.load(weights).predict(pictures, score_threshold=0)
    first = yolo.load(weights, backend="onnx").predict(pictures, score_threshold=0)
    assert "exporting" in capsys.readouterr().err
    (cached,) = (tmp_path / "cache").rglob("*.onnx")
    again = yolo.load(weights, backend="onnx")
    from_file = yolo.load(cached).predict(pictures, score_threshold=0)
    assert capsys.readouterr().err == ""
    assert again.classes == CLASSES
    for found in (first, from_file):
        for own, other in zip(found, expected, strict=True):
            np.testing.assert_allclose(own.scores, other.scores, atol=1e-4)
            np.testing.assert_allclose(own.boxes, other.boxes, atol=1e-2)


def test_a_foreign_or_damaged_onnx_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "text.onnx").write_text("no graph")
    with pytest.raises(UserError, match="not a readable ONNX file"):
        yolo.load(tmp_path / "text.onnx")
    with pytest.raises(UserError, match="no weights file"):
        yolo.load(tmp_path / "gone.onnx")


@pytest.fixture(scope="module")
def honest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("honest")
    export_onnx(make(folder, NANO), folder / "d.onnx", nms=False)
    return folder / "d.onnx"


@pytest.mark.parametrize("kept", [0, 7, 1000, -1000, -1])
def test_a_cut_onnx_file_is_refused(kept: int, honest: Path, tmp_path: Path) -> None:
    (tmp_path / "cut.onnx").write_bytes(honest.read_bytes()[:kept])
    with pytest.raises(UserError, match=r"cut\.onnx"):
        yolo.load(tmp_path / "cut.onnx")


@pytest.mark.parametrize(
    "card",
    [
        {"grid": 10**9},
        {"grid": "4"},
        {"input_size": 10**9},
        {"classes": ["disc"] * 1000},
        {"classes": None},
        "[" * 100_000,
        "[]",
        "{",
    ],
)
def test_an_onnx_file_whose_card_lies_is_refused(card: Any, honest: Path, tmp_path: Path) -> None:
    model = onnx.load(honest)
    (entry,) = [own for own in model.metadata_props if own.key == "yolo"]
    changed = card if isinstance(card, str) else json.dumps(json.loads(entry.value) | card)
    entry.value = changed
    onnx.save(model, tmp_path / "liar.onnx")
    with pytest.raises(UserError, match=r"liar\.onnx does not describe a network"):
        yolo.load(tmp_path / "liar.onnx")


def test_an_onnx_file_whose_card_is_no_text_is_refused(honest: Path, tmp_path: Path) -> None:
    damaged = honest.read_bytes().replace(b"input_size", b"input\xffsize")
    (tmp_path / "noise.onnx").write_bytes(damaged)
    with pytest.raises(UserError, match=r"noise\.onnx is not a readable ONNX file"):
        yolo.load(tmp_path / "noise.onnx")


def test_an_onnx_file_reads_no_other_file(honest: Path, tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(bytes(1 << 20))
    (tmp_path / "inner").mkdir()
    model = onnx.load(honest)
    weights = max(model.graph.initializer, key=lambda own: len(own.raw_data))
    weights.ClearField("raw_data")
    weights.data_location = onnx.TensorProto.EXTERNAL
    for place in ("../secret", str(tmp_path / "secret")):
        del weights.external_data[:]
        weights.external_data.add(key="location", value=place)
        onnx.save(model, tmp_path / "inner/d.onnx")
        with pytest.raises(UserError, match="not a readable ONNX file"):
            yolo.load(tmp_path / "inner/d.onnx")
