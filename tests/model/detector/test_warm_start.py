"""What a detector takes over from an earlier one."""

from pathlib import Path

import pytest
import torch

from yolo.errors import UserError
from yolo.model.backbone import extract
from yolo.model.classifier.classifier import ClassifierSpec, build_classifier, save_classifier
from yolo.model.detector.detector import Detector, DetectorSpec, build_detector, save_detector
from yolo.model.detector.warm_start import start_from


def make(
    *classes: str,
    network: str = "nano",
    size: int = 64,
    grid: int = 4,
    boxes: int = 2,
    seed: int = 1,
) -> Detector:
    return build_detector(DetectorSpec(network, 0.1, size, grid, boxes, classes), seed).eval()


def same_cells(one: Detector, other: Detector) -> tuple[torch.Tensor, torch.Tensor]:
    images = torch.rand(2, 3, one.spec.input_size, one.spec.input_size)
    with torch.no_grad():
        return one(images), other(images)


@pytest.mark.parametrize("network", ["nano", "yolov1-fast"])
def test_a_detector_of_the_same_classes_is_taken_whole(tmp_path: Path, network: str) -> None:
    old = make("a", "b", network=network)
    save_detector(tmp_path / "d", old)
    new = make("a", "b", network=network, seed=2)
    assert start_from(new, tmp_path / "d") == "backbone and head are taken"
    one, other = same_cells(old, new)
    assert torch.equal(one, other)


@pytest.mark.parametrize("network", ["nano", "yolov1-fast"])
def test_classes_are_found_by_their_names(tmp_path: Path, network: str) -> None:
    """Known classes and the boxes predict as before, wherever the class now stands."""
    old = make("cat", "dog", "emu", network=network)
    save_detector(tmp_path / "d", old)
    new = make("ant", "emu", "cat", network=network, seed=2)
    assert start_from(new, tmp_path / "d") == (
        "backbone and head are taken; classes that start anew: ant; "
        "classes of the file that are left: dog"
    )
    before, after = same_cells(old, new)
    scores = before[:, : 16 * 3].unflatten(1, (16, 3))
    taken = after[:, : 16 * 3].unflatten(1, (16, 3))
    torch.testing.assert_close(taken[..., 1], scores[..., 2])
    torch.testing.assert_close(taken[..., 2], scores[..., 0])
    torch.testing.assert_close(after[:, 16 * 3 :], before[:, 16 * 3 :])


@pytest.mark.parametrize(
    ("other", "reason"),
    [
        ({"boxes": 3}, "it predicts 2 boxes a cell, not 3"),
        ({"network": "yolov1-fast", "grid": 5}, "its grid is 4, not 5"),
        ({"network": "yolov1-fast", "size": 128}, "has another shape"),
    ],
)
def test_a_head_that_is_another_starts_anew(tmp_path: Path, other: dict, reason: str) -> None:
    old = make("a", network=other.get("network", "nano"))
    save_detector(tmp_path / "d", old)
    new, fresh = make("a", seed=2, **other), make("a", seed=2, **other)
    said = start_from(new, tmp_path / "d")
    assert said.startswith("the backbone is taken, the head starts anew: ")
    assert reason in said
    for name, tensor in new.head.state_dict().items():
        assert torch.equal(tensor, fresh.head.state_dict()[name])
    for name, tensor in new.backbone.state_dict().items():
        assert torch.equal(tensor, old.backbone.state_dict()[name])


def test_a_backbone_alone(tmp_path: Path) -> None:
    save_classifier(tmp_path / "c", build_classifier(ClassifierSpec("nano", 0.1, 64, ("x",))))
    extract(tmp_path / "c", tmp_path / "b")
    assert "holds a backbone alone" in start_from(make("a"), tmp_path / "b")


def test_another_network_is_an_error_and_nothing_is_taken(tmp_path: Path) -> None:
    save_detector(tmp_path / "d", make("a"))
    new = make("a", network="yolov1-fast")
    before = {name: tensor.clone() for name, tensor in new.state_dict().items()}
    with pytest.raises(UserError, match="network is nano in the file, yolov1-fast"):
        start_from(new, tmp_path / "d")
    assert all(torch.equal(before[name], tensor) for name, tensor in new.state_dict().items())
    with pytest.raises(UserError, match="holds a classifier, not a backbone"):
        save_classifier(tmp_path / "c", build_classifier(ClassifierSpec("nano", 0.1, 64, ("x",))))
        start_from(new, tmp_path / "c")
