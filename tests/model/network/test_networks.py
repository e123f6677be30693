"""Counts are those of the spec's tables (sections 1.1 to 1.3), which come from the original."""

import pytest
import torch

from yolo.errors import UserError
from yolo.inspection.layer_table import layer_table
from yolo.model.classifier.classifier import ClassifierSpec, build_classifier
from yolo.model.detector.detector import Detector, DetectorSpec, build_detector
from yolo.model.network.layers import BatchNorm, DropoutLayer, LocallyConnected2d
from yolo.model.network.networks import NAMES


def names(count: int) -> tuple[str, ...]:
    return tuple(f"class {index}" for index in range(count))


def detector(network: str, boxes: int = 2) -> Detector:
    with torch.device("meta"):
        return build_detector(DetectorSpec(network, 1.0, 448, 7, boxes, names(20)))


def floats(module: torch.nn.Module) -> int:
    """Numbers that the original's file would hold: parameters and running statistics."""
    return sum(tensor.numel() for tensor in module.state_dict().values())


def gflops(module: torch.nn.Module, size: int) -> float:
    return sum(row.flops for row in layer_table(module, size)) / 1e9


@pytest.mark.parametrize(
    ("network", "boxes", "outputs", "expected_floats", "expected_gflops"),
    [
        ("yolov1", 2, 1470, 271_703_550, 40.570),
        ("yolov1-darknet", 3, 1715, 197_328_243, 40.421),
        ("yolov1-fast", 2, 1470, 45_089_374, 4.837),
        ("yolov1-fast-darknet", 2, 1470, 27_099_950, 3.216),
    ],
)
def test_detector_has_the_originals_size(
    network: str, boxes: int, outputs: int, expected_floats: int, expected_gflops: float
) -> None:
    module = detector(network, boxes)
    assert floats(module) == expected_floats
    assert gflops(module, 448) == pytest.approx(expected_gflops, abs=5e-4)
    assert layer_table(module, 448)[-1].output == (outputs,)


@pytest.mark.parametrize(
    ("network", "classes", "expected_floats", "expected_gflops"),
    [
        ("yolov1", 1000, 23_428_136, 8.420),
        ("yolov1", 100, 22_505_636, 8.4185),
        ("yolov1-bn", 1000, 23_455_400, 8.420),
        ("yolov1-bn", 100, 22_532_900, 8.4185),
        ("yolov1-darknet", 1000, 23_455_400, 8.519),
    ],
)
def test_classifier_has_the_originals_size(
    network: str, classes: int, expected_floats: int, expected_gflops: float
) -> None:
    with torch.device("meta"):
        module = build_classifier(ClassifierSpec(network, 1.0, 224, names(classes)))
    assert floats(module) == expected_floats
    assert gflops(module, 224) == pytest.approx(expected_gflops, abs=5e-4)


def test_backbone_has_the_originals_size_with_and_without_batch_normalisation() -> None:
    plain, normalised = detector("yolov1").backbone, detector("yolov1-darknet").backbone
    assert floats(plain) == 22_403_136
    assert floats(normalised) == 22_430_400
    assert sum(parameter.numel() for parameter in normalised.parameters()) == 22_412_224
    assert gflops(plain, 224) == pytest.approx(8.418, abs=5e-4)
    assert gflops(plain, 448) == pytest.approx(33.673, abs=5e-4)
    assert layer_table(plain, 224)[-1].output == (1024, 7, 7)
    assert layer_table(plain, 448)[-1].output == (1024, 14, 14)


def test_each_backbone_layer_has_the_tables_shape_floats_and_operations() -> None:
    """Section 1.1: output side and channels, floats with batch normalisation, GFLOP at 448."""
    expected = [
        (224, 64, 9_664, 0.944),
        (112, 64, 0, 0.0),
        (112, 192, 111_360, 2.775),
        (56, 192, 0, 0.0),
        (56, 128, 25_088, 0.154),
        (56, 256, 295_936, 1.850),
        (56, 256, 66_560, 0.411),
        (56, 512, 1_181_696, 7.399),
        (28, 512, 0, 0.0),
        *[(28, 256, 132_096, 0.206), (28, 512, 1_181_696, 1.850)] * 4,
        (28, 512, 264_192, 0.411),
        (28, 1024, 4_722_688, 7.399),
        (14, 1024, 0, 0.0),
        *[(14, 512, 526_336, 0.206), (14, 1024, 4_722_688, 1.850)] * 2,
    ]
    backbone = detector("yolov1-darknet").backbone
    table = layer_table(backbone, 448)
    found = [
        (row.output[1], row.output[0], floats(layer), round(row.flops / 1e9, 3))
        for row, layer in zip(table, backbone, strict=True)
    ]
    for index, (one, other) in enumerate(zip(found, expected, strict=True)):
        assert one[:3] == other[:3], index
        assert one[3] == pytest.approx(other[3], abs=1.1e-3), index


def test_fast_networks_layers_have_the_tables_floats() -> None:
    module = detector("yolov1-fast-darknet")
    layers = [*module.backbone, *module.head]
    assert [count for layer in layers if (count := floats(layer))] == [
        496,
        4_736,
        18_688,
        74_240,
        295_936,
        1_181_696,
        4_722_688,
        2_360_320,
        18_441_150,
    ]


def test_batch_normalisation_dropout_and_local_layers_are_where_the_spec_puts_them() -> None:
    def count(network: str, kind: type) -> int:
        return sum(isinstance(part, kind) for part in detector(network).modules())

    assert [count(name, BatchNorm) for name in ("yolov1", "yolov1-fast")] == [0, 0]
    assert count("yolov1-darknet", BatchNorm) == 24
    assert count("yolov1-bn", BatchNorm) == 24
    assert count("yolov1-fast-darknet", BatchNorm) == 8
    assert [count(name, DropoutLayer) for name in NAMES[:5]] == [1, 1, 1, 1, 0]
    assert [count(name, LocallyConnected2d) for name in NAMES[:5]] == [0, 0, 1, 0, 0]


def test_first_connected_layer_has_the_tables_parameters() -> None:
    (connected,) = [row for row in layer_table(detector("yolov1"), 448) if "4096" in row.kind]
    assert connected.parameters == 205_524_992


def test_nano_is_small() -> None:
    with torch.device("meta"):
        module = build_detector(DetectorSpec("nano", 1.0, 224, 14, 2, names(3)))
    assert floats(module) < 2_000_000
    assert gflops(module, 224) < 1.0


def test_width_scales_hidden_channels_and_keeps_the_outputs() -> None:
    with torch.device("meta"):
        module = build_detector(DetectorSpec("yolov1", 0.25, 448, 7, 2, names(20)))
    shapes = [row.output for row in layer_table(module, 448) if row.parameters]
    assert shapes[0] == (16, 224, 224)
    assert shapes[1] == (48, 112, 112)
    assert shapes[-2:] == [(1024,), (1470,)]


@pytest.mark.parametrize("grid", [3, 7, 9])
def test_grid_is_free_with_the_connected_head(grid: int) -> None:
    module = build_detector(DetectorSpec("yolov1", 0.02, 224, grid, 2, names(4)))
    assert module(torch.zeros(1, 3, 224, 224)).shape == (1, grid**2 * 14)


def test_grid_of_the_convolutional_head_must_be_input_over_stride() -> None:
    with pytest.raises(
        UserError, match=r"grid 14 with input_size 224 .* input_size 112 fits grid 7"
    ):
        build_detector(DetectorSpec("nano", 1.0, 224, 7, 2, names(4)))
    with pytest.raises(
        UserError, match=r"grid 14 with input_size 224 or grid 15 with input_size 240"
    ):
        build_detector(DetectorSpec("nano", 1.0, 230, 14, 2, names(4)))


def test_unknown_network_is_an_error_that_lists_the_names() -> None:
    with pytest.raises(UserError, match=r"'yolov5'.*yolov1-darknet.*nano.*resnet50"):
        build_detector(DetectorSpec("yolov5", 1.0, 448, 7, 2, names(4)))
    with pytest.raises(UserError, match="yolov1-fast"):
        build_classifier(ClassifierSpec("yolov5", 1.0, 224, names(4)))


@pytest.mark.parametrize("network", ["yolov1", "yolov1-darknet", "yolov1-fast", "nano", "resnet18"])
def test_the_layer_table_says_what_running_the_network_shows(network: str) -> None:
    grid = 14 if network == "nano" else 3
    module = build_detector(DetectorSpec(network, 0.02, 224, grid, 2, names(4))).eval()
    shapes: dict[str, tuple[int, ...]] = {}

    def note(name: str, output: torch.Tensor) -> None:
        shapes[name] = tuple(output.shape[1:])

    for name, part in module.named_modules():
        part.register_forward_hook(lambda _, __, output, name=name: note(name, output))
    with torch.no_grad():
        module(torch.zeros(1, 3, 224, 224))
    table = layer_table(module, 224)
    assert [row.output for row in table] == [shapes[row.name] for row in table]
    assert sum(row.parameters for row in table) == sum(p.numel() for p in module.parameters())


def test_torchvision_classifier_has_its_published_parameters_and_operations() -> None:
    """torchvision's documentation: 11,689,512 parameters and 1.81 GMAC at 224 pixels."""
    module = build_classifier(ClassifierSpec("resnet18", 1.0, 224, names(1000)))
    table = layer_table(module, 224)
    assert sum(row.parameters for row in table) == 11_689_512
    assert sum(row.flops for row in table) / 2e9 == pytest.approx(1.814, abs=1e-3)
