"""Either head on any backbone, at any grid that it can have."""

import pytest
import torch
from torch import nn

from yolo.errors import UserError
from yolo.model.detector.detector import (
    Detector,
    DetectorSpec,
    build_detector,
    load_detector,
    save_detector,
)
from yolo.model.detector.heads import Kind
from yolo.model.network.backbones import stages
from yolo.model.network.networks import NAMES


def meta(network: str, head: Kind | None, size: int, grid: int) -> Detector:
    with torch.device("meta"):
        return build_detector(DetectorSpec(network, 1.0, size, grid, 2, ("a", "b")), 0, head)


@pytest.mark.parametrize("size", [224, 448])
@pytest.mark.parametrize("network", NAMES)
def test_grid_14_can_be_had_at_224_and_at_448_pixels(network: str, size: int) -> None:
    detector = meta(network, "convolutional", size, 14)
    assert detector.eval()(torch.zeros(1, 3, size, size, device="meta")).shape == (1, 14 * 14 * 12)
    detector.check()


@pytest.mark.parametrize("network", NAMES)
def test_the_papers_head_fits_any_backbone_and_grid(network: str) -> None:
    detector = meta(network, "paper", 224, 5)
    assert detector.eval()(torch.zeros(1, 3, 224, 224, device="meta")).shape == (1, 5 * 5 * 12)


def test_the_map_of_a_convolutional_head_is_the_widest_of_its_stride() -> None:
    """The convolution that expands the map for the first block of the next stride is taken, too."""
    channels = {
        "efficientnet_lite0": 672,
        "efficientnet_b0": 672,
        "mobilenet_v3_large": 672,
        "mobilenet_v2": 576,
        "resnet18": 256,
        "resnet50": 1024,
        "vgg16": 512,
        "yolov1": 1024,
        "nano": 256,
    }
    for network, wanted in channels.items():
        detector = meta(network, "convolutional", 224, 14)
        found = detector.backbone(torch.zeros(1, 3, 224, 224, device="meta"))
        assert found.shape[1:] == (wanted, 14, 14), network
        # a 1x1 convolution only where it reduces the map
        sizes = [part.weight.shape[-1] for part in detector.head if hasattr(part, "weight")]
        assert sizes == ([1, 3, 1] if wanted > 256 else [3, 1]), network


def test_a_grid_that_the_head_cannot_give_is_an_error_with_those_that_fit() -> None:
    with pytest.raises(
        UserError,
        match=r"one cell per 16 or 32 pixels.*grid 14 with input_size 224 or grid 7 with input_size"
        r" 224 would fit, and input_size 160 or input_size 320 fits grid 10",
    ):
        meta("resnet18", "convolutional", 224, 10)


@pytest.mark.parametrize("network", ["efficientnet_lite0", "mobilenet_v3_large", "resnet18"])
def test_a_detector_with_a_cut_backbone_is_read_back_to_the_bit(tmp_path, network: str) -> None:
    spec = DetectorSpec(network, 1.0, 64, 4, 2, ("a", "b"))
    detector = build_detector(spec, 1, "convolutional").eval()
    save_detector(tmp_path / "d", detector)
    again = load_detector(tmp_path / "d")
    images = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        assert torch.equal(again(images), detector(images))
    assert again.card() == detector.card()


def frozen(count: int, network: str = "efficientnet_lite0") -> Detector:
    detector = build_detector(DetectorSpec(network, 1.0, 64, 4, 2, ("a",)), 1, "convolutional")
    detector.freeze(count)
    return detector


@pytest.mark.parametrize(
    ("network", "count", "layers"),
    [
        ("efficientnet_lite0", 0, []),
        # the stem and its block; the two blocks at a quarter of the side; two more at an eighth
        ("efficientnet_lite0", 1, ["0", "1"]),
        ("efficientnet_lite0", 2, ["0", "1", "2", "3"]),
        ("efficientnet_lite0", 3, ["0", "1", "2", "3", "4", "5"]),
        ("resnet18", 2, ["conv1", "bn1", "relu", "maxpool", "layer1"]),
        ("mobilenet_v3_large", 2, ["0", "1", "2", "3"]),
    ],
)
def test_the_frozen_stages_are_those_up_to_a_stride(
    network: str, count: int, layers: list[str]
) -> None:
    detector = frozen(count, network)
    found = {
        name.split(".")[1]
        for name, parameter in detector.named_parameters()
        if not parameter.requires_grad
    }
    assert found == {name for name in layers if name not in ("relu", "maxpool")}


@pytest.mark.parametrize("network", ["efficientnet_lite0", "resnet18", "efficientnet_b0"])
def test_an_update_changes_nothing_of_what_is_frozen(network: str) -> None:
    detector = frozen(2, network).train()
    before = {name: value.clone() for name, value in detector.state_dict().items()}
    trained = [p for p in detector.parameters() if p.requires_grad]
    optimiser = torch.optim.SGD(trained, lr=0.1)
    detector(torch.rand(4, 3, 64, 64)).square().sum().backward()
    optimiser.step()
    kept = {
        name for name, value in detector.state_dict().items() if torch.equal(value, before[name])
    }
    layers = [layer for stage in stages(detector.backbone)[:2] for layer in stage]
    names = {id(v): name for name, v in detector.state_dict(keep_vars=True).items()}
    expected = {names[id(t)] for layer in layers for t in (*layer.parameters(), *layer.buffers())}
    assert kept == expected


def test_frozen_layers_stay_so_when_training_is_switched_on_and_off() -> None:
    detector = frozen(1)
    for module in (detector.eval().train(), detector.train()):
        first, last = module.backbone[0], module.backbone[-1]
        assert not first.training and last.training
    assert isinstance(detector.head, nn.Module) and detector.head.training


def test_more_stages_than_the_backbone_has_are_an_error() -> None:
    with pytest.raises(UserError, match=r"frozen_stages is 5; .* has 4 stages here"):
        frozen(5)
