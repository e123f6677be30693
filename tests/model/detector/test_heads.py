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


WITH_STRIDE_32 = [name for name in NAMES if name != "nano"]


@pytest.mark.parametrize("network", WITH_STRIDE_32)
def test_a_pyramid_head_has_cells_of_16_pixels_on_any_backbone_of_stride_32(network: str) -> None:
    detector = meta(network, "pyramid", 224, 14)
    assert detector.eval()(torch.zeros(1, 3, 224, 224, device="meta")).shape == (1, 14 * 14 * 12)
    detector.check()


def test_a_pyramid_head_sees_the_coarse_map_and_the_fine_one() -> None:
    """The vector of a cell depends on both maps; a detector read from its file gives the same."""
    detector = build_detector(
        DetectorSpec("efficientnet_lite0", 1.0, 64, 4, 1, ("a",)), 0, "pyramid"
    ).eval()
    generator = torch.Generator().manual_seed(0)
    coarse = torch.randn(1, 1280, 2, 2, generator=generator).requires_grad_()
    fine = torch.randn(1, 112, 4, 4, generator=generator).requires_grad_()
    reduced = detector.head[0](coarse)
    merged = detector.head[1]((reduced, fine))
    assert merged.shape == (1, 256 + 112, 4, 4)
    assert torch.equal(merged[:, 256:], fine)
    assert torch.equal(merged[:, :256, 2:, :2], reduced[:, :, 1:, :1].expand(-1, -1, 2, 2))
    detector.head[2:](merged).sum().backward()
    assert coarse.grad is not None and coarse.grad.abs().min() > 0
    assert fine.grad is not None and fine.grad.abs().min() > 0


@pytest.mark.parametrize(
    ("network", "size", "grid", "said"),
    [
        ("nano", 320, 20, "no map of stride 32; take head convolutional"),
        ("efficientnet_lite0", 336, 21, "take grid 20 with input_size 320, or grid 22"),
        ("efficientnet_lite0", 320, 10, "grid 20 with input_size 320 would fit"),
    ],
)
def test_a_pyramid_head_that_cannot_be_says_what_fits(
    network: str, size: int, grid: int, said: str
) -> None:
    with pytest.raises(UserError, match=said):
        meta(network, "pyramid", size, grid)


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
    expected = {names[id(t)] for layer in layers for t in layer.state_dict(keep_vars=True).values()}
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


@pytest.mark.parametrize("size", [224, 320, 300])
def test_freezing_folds_batch_normalisation_without_changing_what_is_predicted(size: int) -> None:
    """Of even and of odd maps, whose margins differ; what is saved stays as it was."""
    spec = DetectorSpec("efficientnet_lite0", 1.0, size, 5, 1, ("a",))
    detector = build_detector(spec, 0, "paper").eval()
    generator = torch.Generator().manual_seed(1)
    for name, value in detector.state_dict().items():
        if "running_mean" in name:
            value.normal_(0, 0.5, generator=generator)
        if "running_var" in name:
            value.uniform_(0.5, 2, generator=generator)
    images = torch.rand(2, 3, size, size, generator=generator)
    saved = {name: value.clone() for name, value in detector.state_dict().items()}
    with torch.no_grad():
        plain = detector(images)
        detector.freeze(5)
        assert not torch.equal(detector(images), plain), "nothing was folded"
        assert torch.allclose(detector(images), plain, rtol=1e-5, atol=1e-5 * plain.abs().max())
    assert detector.state_dict().keys() == saved.keys()
    assert all(torch.equal(value, saved[name]) for name, value in detector.state_dict().items())
