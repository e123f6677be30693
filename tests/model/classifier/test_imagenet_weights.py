"""Torchvision's models with weights of our own making, for there may be no network here."""

import urllib.error
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from yolo.errors import UserError
from yolo.model.backbone import extract
from yolo.model.classifier.classifier import (
    ClassifierSpec,
    build_classifier,
    load_classifier,
    save_classifier,
)
from yolo.model.classifier.imagenet_weights import load_pretrained
from yolo.model.detector.detector import DetectorSpec, build_detector
from yolo.model.detector.warm_start import load_backbone
from yolo.model.network.layers import BatchNorm, set_batch_norm_images


def model(name: str) -> Any:
    from torchvision.models import get_model

    torch.manual_seed(0)
    module = get_model(name, weights=None)
    for key, buffer in module.named_buffers():
        if key.endswith(("running_mean", "running_var")):
            buffer.uniform_(0.5, 2.0)
    return module.eval()


@pytest.fixture(scope="module")
def resnet(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Path]:
    module = model("resnet18")
    path = tmp_path_factory.mktemp("weights") / "resnet18.pth"
    torch.save(module.state_dict(), path)
    return module, path


def normalised(images: torch.Tensor) -> torch.Tensor:
    mean = torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1)
    return (images - mean) / torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1)


def test_loaded_weights_classify_as_torchvisions_model(
    resnet: tuple[Any, Path], tmp_path: Path
) -> None:
    module, path = resnet
    images = torch.rand(2, 3, 64, 64)
    with torch.no_grad():
        expected = module(normalised(images))
        classifier = load_pretrained("resnet18", path).eval()
        torch.testing.assert_close(classifier(images), expected, rtol=1e-4, atol=1e-4)
        assert len(classifier.spec.classes) == 1000
        assert classifier.spec.classes[0] == "tench"
        save_file(module.state_dict(), tmp_path / "w.safetensors")
        again = load_pretrained("resnet18", tmp_path / "w.safetensors").eval()
        assert torch.equal(again(images), classifier(images))


def test_the_pipelines_shape_stays(resnet: tuple[Any, Path], tmp_path: Path) -> None:
    module, path = resnet
    save_classifier(tmp_path / "c", load_pretrained("resnet18", path))
    assert load_classifier(tmp_path / "c").spec.network == "resnet18"
    # 20 convolutions: 17 in the blocks' order and 3 on shortcuts
    assert extract(tmp_path / "c", tmp_path / "b") == {
        "layers": 20,
        "parameters": 11_176_512,
        "stride": 32,
    }
    detector = build_detector(DetectorSpec("resnet18", 0.02, 64, 5, 2, ("a",)))
    load_backbone(detector, tmp_path / "b")
    assert torch.equal(detector.backbone.conv1.weight, module.conv1.weight)
    images = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        expected = module.layer4(module.layer3(module.layer2(module.layer1(
            module.maxpool(module.relu(module.bn1(module.conv1(normalised(images)))))
        ))))  # fmt: skip
        found = detector.eval().backbone(detector.input_range(images))
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


def test_batch_normalisation_is_ours(resnet: tuple[Any, Path]) -> None:
    classifier = load_pretrained("resnet18", resnet[1])
    assert not any(isinstance(part, torch.nn.BatchNorm2d) for part in classifier.modules())
    set_batch_norm_images(classifier, 2)
    norms = [part for part in classifier.modules() if isinstance(part, BatchNorm)]
    assert [norm.images for norm in norms] == [2] * 20
    with pytest.raises(ValueError, match="groups of 2"):
        classifier.train()(torch.rand(3, 3, 64, 64))


@pytest.mark.parametrize(
    "name", ["mobilenet_v2", "mobilenet_v3_small", "mobilenet_v3_large", "efficientnet_b0"]
)
def test_light_models_classify_as_torchvisions(tmp_path: Path, name: str) -> None:
    """MobileNetV3's batch normalisation has an epsilon of its own, 0.001."""
    module = model(name)
    torch.save(module.state_dict(), tmp_path / "w.pth")
    classifier = load_pretrained(name, tmp_path / "w.pth").eval()
    images = torch.rand(1, 3, 96, 96)
    with torch.no_grad():
        expected = module(normalised(images))
        torch.testing.assert_close(classifier(images), expected, rtol=1e-4, atol=1e-4)
    save_classifier(tmp_path / "c", classifier)
    extract(tmp_path / "c", tmp_path / "b")
    detector = build_detector(DetectorSpec(name, 1.0, 64, 4, 2, ("a",)), 0, "convolutional")
    load_backbone(detector, tmp_path / "b")
    whole = classifier.backbone.state_dict()
    for key, tensor in detector.backbone.state_dict().items():
        assert torch.equal(tensor, whole[key]), key


def test_each_layer_keeps_its_published_epsilon() -> None:
    for name in ("resnet18", "mobilenet_v3_large", "efficientnet_b0"):
        published = [p.eps for p in model(name).modules() if isinstance(p, torch.nn.BatchNorm2d)]
        ours = build_classifier(ClassifierSpec(name, 1.0, 64, ("a",)))
        assert [p.eps for p in ours.modules() if isinstance(p, BatchNorm)] == published


@pytest.mark.slow
@pytest.mark.parametrize("name", ["vgg16_bn", "resnet50"])
def test_larger_models_load_as_well(tmp_path: Path, name: str) -> None:
    module = model(name)
    torch.save(module.state_dict(), tmp_path / "w.pth")
    classifier = load_pretrained(name, tmp_path / "w.pth").eval()
    images = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        expected = module(normalised(images))
        torch.testing.assert_close(classifier(images), expected, rtol=1e-4, atol=1e-3)
        detector = build_detector(DetectorSpec(name, 0.02, 64, 3, 2, ("a",))).eval()
        assert detector(images).shape == (1, 9 * 11)


def test_unfit_weights_are_errors_that_name_the_file(
    resnet: tuple[Any, Path], tmp_path: Path
) -> None:
    module, path = resnet
    state = module.state_dict()

    def refused(content: object, message: str, network: str = "resnet18") -> None:
        torch.save(content, tmp_path / "w.pth")
        with pytest.raises(UserError, match=message):
            load_pretrained(network, tmp_path / "w.pth")

    refused({**state, "fc.bias": state["fc.bias"][:10]}, r"w\.pth .*fc\.bias has shape \[10\]")
    refused({k: v for k, v in state.items() if k != "conv1.weight"}, r"conv1\.weight is missing")
    broken = state["conv1.weight"].clone()
    broken[0] = float("nan")
    refused({**state, "conv1.weight": broken}, r"w\.pth: conv1\.weight .*not finite")
    refused([1, 2], "no dictionary of tensors")
    # a whole pickled module would run code
    refused(module, "cannot be read as weights")
    refused(state, "do not match the network", network="resnet34")
    (tmp_path / "w.pth").write_bytes(b"junk")
    with pytest.raises(UserError, match="cannot be read as weights"):
        load_pretrained("resnet18", tmp_path / "w.pth")
    (tmp_path / "w.safetensors").write_bytes(b"junk")
    with pytest.raises(UserError, match="cannot be read as weights"):
        load_pretrained("resnet18", tmp_path / "w.safetensors")
    with pytest.raises(UserError, match="no weights file"):
        load_pretrained("resnet18", tmp_path / "none.pth")
    with pytest.raises(UserError, match=r"no ImageNet weights for network 'nano'.*resnet18"):
        load_pretrained("nano", path)


def test_a_hub_that_cannot_be_reached_is_an_error_with_the_remedy(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise urllib.error.URLError("no route")

    monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", fail)
    with pytest.raises(UserError, match=r"resnet18-.*no route.*give its path"):
        load_pretrained("resnet18")
