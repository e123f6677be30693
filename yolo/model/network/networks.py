"""The networks as tables: backbones and the classification layers they are pre-trained with.

What the detector adds to a backbone is in `yolo.model.detector.heads`. A convolution row is
filters, size, stride; padding is half the size; all are leaky. Sources: paper section 2.1 and
figure 3; the original's cfg/extraction.cfg, cfg/yolov1.cfg, cfg/yolov1-tiny.cfg of today, and
yolo.cfg and yolo-tiny.cfg of November 2015, which are the paper's. docs/deviations.md lists what is
ours, docs/networks.md says how to add one.
"""

from dataclasses import dataclass
from typing import Literal

from yolo.errors import UserError
from yolo.model.network.layer_specs import (
    AvgPool,
    Connected,
    Conv,
    InvertedResidual,
    MaxPool,
    Row,
    SameConv,
    scaled,
)

InputRange = Literal["unit", "signed", "imagenet", "lite"]
"""What the first layer takes: RGB in [0, 1], in [-1, 1], by ImageNet's mean and deviation, or
(255x - 127) / 128."""
TORCHVISION = (
    "resnet18",
    "resnet34",
    "resnet50",
    "resnet101",
    "vgg16",
    "vgg16_bn",
    "mobilenet_v2",
    "mobilenet_v3_small",
    "mobilenet_v3_large",
    "efficientnet_b0",
)
"""Backbones that torchvision has ImageNet weights for; stride 32."""


@dataclass(frozen=True)
class Network:
    """A backbone as a table and how it classifies."""

    backbone: tuple[Row, ...]
    input_range: InputRange
    classifier: Literal["connected", "convolutional"] = "connected"
    """`connected`: average pooling, then one connected layer (paper section 2.2);
    `convolutional`: one leaky 1x1 convolution, then average pooling (extraction.cfg)."""


def conv(filters: int, size: int = 3, stride: int = 1, *, batch_norm: bool) -> Conv:
    """A leaky convolution with half the size as padding."""
    return Conv(filters, size, stride, size // 2, "leaky", batch_norm)


def _extraction(batch_norm: bool) -> tuple[Row, ...]:
    """The first 20 convolutions of the paper's figure 3."""
    # fmt: off
    table: list[tuple[int, ...]] = [
        (64, 7, 2), (),
        (192, 3), (),
        (128, 1), (256, 3), (256, 1), (512, 3), (),
        *[(256, 1), (512, 3)] * 4, (512, 1), (1024, 3), (),
        *[(512, 1), (1024, 3)] * 2,
    ]
    # fmt: on
    return _rows(table, batch_norm)


def _reference(batch_norm: bool) -> tuple[Row, ...]:
    """The first 7 convolutions of Fast YOLO."""
    table: list[tuple[int, ...]] = []
    for filters in (16, 32, 64, 128, 256, 512):
        table += [(filters, 3), ()]
    return _rows([*table, (1024, 3)], batch_norm)


def _nano() -> tuple[Row, ...]:
    """Small and of stride 16, for training on two CPU cores; ours."""
    # fmt: off
    table: list[tuple[int, ...]] = [
        (16, 3, 2),
        (32, 3), (),
        (64, 3), (),
        (128, 3), (),
        (256, 3), (128, 1), (256, 3),
    ]
    # fmt: on
    return _rows(table, batch_norm=True)


def _efficientnet_lite0() -> tuple[Row, ...]:
    """EfficientNet-B0's table with the stem and the last convolution as they are, without
    squeeze-and-excitation (tensorflow/tpu: efficientnet_lite_builder.py).
    """
    # blocks, filters, size, stride of the first
    table = [
        (2, 24, 3, 2),
        (2, 40, 5, 2),
        (3, 80, 3, 2),
        (3, 112, 5, 1),
        (4, 192, 5, 2),
        (1, 320, 3, 1),
    ]
    blocks = [
        InvertedResidual(filters, size, stride if number == 0 else 1)
        for count, filters, size, stride in table
        for number in range(count)
    ]
    return SameConv(32, 3, 2), InvertedResidual(16, 3, 1, 1), *blocks, SameConv(1280)


def _rows(table: list[tuple[int, ...]], batch_norm: bool) -> tuple[Row, ...]:
    return tuple(conv(*row, batch_norm=batch_norm) if row else MaxPool() for row in table)


_TABLES = {
    "yolov1": Network(_extraction(False), "signed"),
    "yolov1-bn": Network(_extraction(True), "signed"),
    "yolov1-darknet": Network(_extraction(True), "unit", "convolutional"),
    "yolov1-fast": Network(_reference(False), "signed"),
    "yolov1-fast-darknet": Network(_reference(True), "unit", "convolutional"),
    "nano": Network(_nano(), "signed"),
    "efficientnet_lite0": Network(_efficientnet_lite0(), "lite"),
}
NAMES = (*_TABLES, *TORCHVISION)


def table(name: str) -> Network:
    """The table of a network that is not torchvision's; UserError lists the names there are."""
    check_name(name)
    return _TABLES[name]


def check_name(name: str) -> None:
    """UserError unless `name` is a network of ours or a backbone of torchvision's."""
    if name not in NAMES:
        raise UserError(f"unknown network {name!r} (model.network); there are: {', '.join(NAMES)}")


def backbone_rows(name: str, width: float) -> tuple[Row, ...]:
    """Rows of the backbone with `width` times the published channels."""
    return scaled(table(name).backbone, width)


def classifier_rows(name: str, classes: int) -> tuple[Row, ...]:
    """Rows that follow the backbone while it is pre-trained; they end with one value per class."""
    if table(name).classifier == "convolutional":
        return Conv(classes, 1, padding=0), AvgPool()
    return AvgPool(), Connected(classes)


def input_range(name: str) -> InputRange:
    """What the first layer of the network takes."""
    return "imagenet" if name in TORCHVISION else table(name).input_range
