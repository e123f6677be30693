"""The networks as tables: backbones and the classification layers they are pre-trained with.

What the detector adds to a backbone is in `yolo.model.detector.heads`. A convolution row is
filters, size, stride; padding is half the size; all are leaky. Sources: paper section 2.1 and
figure 3; the original's cfg/extraction.cfg, cfg/yolov1.cfg, cfg/yolov1-tiny.cfg of today, and
yolo.cfg and yolo-tiny.cfg of November 2015, which are the paper's. docs/deviations.md lists what is
ours.
"""

from dataclasses import dataclass
from typing import Literal

from yolo.errors import UserError
from yolo.model.network.layer_specs import AvgPool, Connected, Conv, MaxPool, Row, scaled

InputRange = Literal["unit", "signed", "imagenet"]
"""What the first layer takes: RGB in [0, 1], in [-1, 1], or by ImageNet's mean and deviation."""
TORCHVISION = ("resnet18", "resnet34", "resnet50", "resnet101", "vgg16", "vgg16_bn")
"""Backbones that torchvision has ImageNet weights for; stride 32."""


@dataclass(frozen=True)
class Network:
    """A backbone as a table and how it classifies."""

    backbone: tuple[Row, ...]
    input_range: InputRange
    batch_norm: bool
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


def _rows(table: list[tuple[int, ...]], batch_norm: bool) -> tuple[Row, ...]:
    return tuple(conv(*row, batch_norm=batch_norm) if row else MaxPool() for row in table)


_TABLES = {
    "yolov1": Network(_extraction(False), "signed", False),
    "yolov1-bn": Network(_extraction(True), "signed", True),
    "yolov1-darknet": Network(_extraction(True), "unit", True, "convolutional"),
    "yolov1-fast": Network(_reference(False), "signed", False),
    "yolov1-fast-darknet": Network(_reference(True), "unit", True, "convolutional"),
    "nano": Network(_nano(), "signed", True),
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
