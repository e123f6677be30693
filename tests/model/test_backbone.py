from pathlib import Path

import pytest
import torch

from yolo.errors import UserError
from yolo.model.backbone import extract
from yolo.model.classifier.classifier import ClassifierSpec, build_classifier, save_classifier
from yolo.model.detector.detector import Detector, DetectorSpec, build_detector
from yolo.model.detector.warm_start import load_backbone
from yolo.model.network import weights

CLASSES = ("cat", "dog", "emu")


def backbone_file(folder: Path, network: str = "nano", width: float = 0.5) -> Path:
    classifier = build_classifier(ClassifierSpec(network, width, 64, CLASSES), seed=1)
    save_classifier(folder / "c", classifier)
    extract(folder / "c", folder / "b")
    return folder / "b"


def detector(network: str = "nano", width: float = 0.5) -> Detector:
    return build_detector(DetectorSpec(network, width, 64, 4, 2, ("a",)), seed=2)


def test_extraction_keeps_the_backbone_to_the_bit_and_counts_it(tmp_path: Path) -> None:
    classifier = build_classifier(ClassifierSpec("yolov1-darknet", 0.125, 64, CLASSES), seed=1)
    save_classifier(tmp_path / "c", classifier)
    summary = extract(tmp_path / "c", tmp_path / "b")
    assert summary == {
        "layers": 20,
        "parameters": sum(p.numel() for p in classifier.backbone.parameters()),
        "stride": 32,
    }
    tensors, card = weights.read(tmp_path / "b")
    assert card["kind"] == "backbone"
    assert tensors.keys() == classifier.backbone.state_dict().keys()
    for name, tensor in classifier.backbone.state_dict().items():
        assert torch.equal(tensors[name], tensor), name


@pytest.mark.parametrize("network", ["nano", "yolov1", "resnet18"])
def test_a_detector_takes_over_the_backbone_and_nothing_else(tmp_path: Path, network: str) -> None:
    path = backbone_file(tmp_path, network, 0.02)
    module, fresh = detector(network, 0.02), detector(network, 0.02)
    load_backbone(module, path)
    tensors, _ = weights.read(path)
    for name, tensor in module.backbone.state_dict().items():
        assert torch.equal(tensors[name], tensor), name
    for name, tensor in module.head.state_dict().items():
        assert torch.equal(fresh.head.state_dict()[name], tensor), name


@pytest.mark.parametrize(
    ("network", "width", "message"),
    [
        ("nano", 1.0, "width is 0.5 in the file, 1.0 in the detector"),
        ("yolov1", 0.5, "network is nano in the file, yolov1 in the detector"),
        ("resnet18", 0.5, "input_range is signed in the file, imagenet in the detector"),
    ],
)
def test_a_backbone_of_another_network_is_an_error_that_says_what_differs(
    tmp_path: Path, network: str, width: float, message: str
) -> None:
    module = detector(network, width)
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    with pytest.raises(UserError, match=message):
        load_backbone(module, backbone_file(tmp_path))
    assert all(torch.equal(before[name], tensor) for name, tensor in module.state_dict().items())


def test_a_layer_that_differs_is_named(tmp_path: Path) -> None:
    path = backbone_file(tmp_path)
    tensors, card = weights.read(path)
    card["backbone"][3] = {**card["backbone"][3], "stride": 5}
    weights.write(path, tensors, card)
    with pytest.raises(UserError, match="stride of layer 3 is 5 in the file, 1 in the detector"):
        load_backbone(detector(), path)
    weights.write(path, tensors, {**card, "backbone": card["backbone"][:-1]})
    with pytest.raises(UserError, match="9 layers in the file, 10 in the detector"):
        load_backbone(detector(), path)


def test_a_tensor_that_differs_is_named(tmp_path: Path) -> None:
    path = backbone_file(tmp_path)
    tensors, card = weights.read(path)
    tensors.pop("0.weight")
    weights.write(path, tensors, card)
    with pytest.raises(UserError, match=r"0\.weight is missing"):
        load_backbone(detector(), path)


def test_only_a_classifier_is_cut_and_only_a_backbone_loaded(tmp_path: Path) -> None:
    path = backbone_file(tmp_path)
    with pytest.raises(UserError, match="holds a backbone, not a classifier"):
        extract(path, tmp_path / "x")
    with pytest.raises(UserError, match="holds a classifier, not a backbone"):
        load_backbone(detector(), tmp_path / "c")
    with pytest.raises(UserError, match="no weights file"):
        extract(tmp_path / "none", tmp_path / "x")
    weights.write(tmp_path / "d", {"backbone.0.weight": torch.zeros(1)}, {"kind": "classifier"})
    with pytest.raises(UserError, match="d does not describe a network"):
        extract(tmp_path / "d", tmp_path / "x")
    assert not (tmp_path / "x").exists()
