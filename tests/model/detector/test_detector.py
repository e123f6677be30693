from pathlib import Path

import pytest
import torch

from yolo.errors import UserError
from yolo.model.detector import heads
from yolo.model.detector.detector import (
    DetectorSpec,
    build_detector,
    load_detector,
    save_detector,
)
from yolo.model.network import weights

CLASSES = ("cat", "dog", "emu")


def spec(network: str, grid: int = 3, width: float = 0.02, side: int = 64) -> DetectorSpec:
    return DetectorSpec(network, width, side, grid, 2, CLASSES)


@pytest.mark.parametrize(
    ("network", "grid"),
    [("yolov1", 3), ("yolov1-darknet", 5), ("yolov1-fast", 3), ("nano", 4), ("resnet18", 3)],
)
def test_a_saved_detector_is_read_back_to_the_bit(tmp_path: Path, network: str, grid: int) -> None:
    detector = build_detector(spec(network, grid), seed=1)
    save_detector(tmp_path / "d", detector, voc_map=0.25)
    again = load_detector(tmp_path / "d")
    images = torch.rand(2, 3, 64, 64)
    output = again(images)
    assert again.spec == detector.spec
    assert not again.training
    assert output.shape == (2, grid * grid * 13)
    assert torch.equal(output, detector.eval()(images))
    assert weights.read_card(tmp_path / "d")["voc_map"] == 0.25
    assert {name for name, _ in again.named_parameters()} == {
        name for name, _ in detector.named_parameters()
    }
    assert all(parameter.requires_grad for parameter in again.parameters())


def test_a_file_is_read_as_written_after_the_tables_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    detector = build_detector(spec("nano", 4)).eval()
    save_detector(tmp_path / "d", detector)
    monkeypatch.delitem(heads._STRIDES, "nano")
    images = torch.rand(1, 3, 64, 64)
    assert torch.equal(load_detector(tmp_path / "d")(images), detector(images))


def test_inputs_are_mapped_to_what_the_network_was_made_for() -> None:
    """The paper's network sees [-1, 1], today's configuration [0, 1] (spec 1.2)."""
    images = torch.rand(1, 3, 64, 64)
    for network, seen in [("yolov1", 2 * images - 1), ("yolov1-darknet", images)]:
        detector = build_detector(spec(network)).eval()
        torch.testing.assert_close(detector(images), detector.head(detector.backbone(seen)))


def test_a_convolutional_head_starts_near_zero() -> None:
    detector = build_detector(spec("nano", 4, width=1.0)).eval()
    last = detector.head[-2]
    assert last.weight.std().item() == pytest.approx(0.01, rel=0.05)
    assert not last.bias.any()
    assert detector(torch.rand(1, 3, 64, 64)).abs().max() < 0.5


def test_a_cells_numbers_depend_on_its_own_place_with_the_convolutional_head() -> None:
    """A change in the bottom right corner moves the vector's entries of that cell."""
    detector = build_detector(spec("nano", 16, width=0.1, side=256)).eval()
    images = torch.zeros(1, 3, 256, 256)
    before = detector(images)[0]
    images[:, :, 248:, 248:] = 1
    moved = (detector(images)[0] - before).abs() > 0
    classes, confidence, boxes = moved.split([256 * 3, 256 * 2, 256 * 8])
    for part in (classes, confidence, boxes):
        cells = part.view(16, 16, -1).any(2)
        assert cells[15, 15]
        assert not cells[:4].any()
        assert not cells[:, :4].any()


def test_gradients_reach_every_parameter() -> None:
    for network, grid in [("yolov1", 3), ("yolov1-darknet", 3), ("nano", 4), ("resnet18", 3)]:
        detector = build_detector(spec(network, grid)).train()
        detector(torch.rand(4, 3, 64, 64)).square().sum().backward()
        for name, parameter in detector.named_parameters():
            assert parameter.grad is not None, name
            assert torch.isfinite(parameter.grad).all(), name


def test_weights_that_decay_are_those_of_more_than_one_dimension() -> None:
    """So the optimiser can tell weights from biases, shifts and scales (spec section 7)."""
    detector = build_detector(spec("yolov1-darknet"))
    for name, parameter in detector.named_parameters():
        is_weight = name.endswith(".weight") and ".norm." not in name
        assert is_weight == (parameter.dim() > 1), name


def test_an_input_that_is_too_small_is_an_error() -> None:
    with pytest.raises(UserError, match="yolov1-fast-darknet at 0 pixels"):
        build_detector(DetectorSpec("yolov1-fast-darknet", 0.1, 0, 3, 2, CLASSES))


def test_a_file_of_another_kind_is_an_error(tmp_path: Path) -> None:
    weights.write(tmp_path / "d", {}, {"kind": "backbone"})
    with pytest.raises(UserError, match="holds a backbone, not a detector"):
        load_detector(tmp_path / "d")
