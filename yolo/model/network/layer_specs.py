"""Rows of a network table: what each layer is, in numbers, without any weights.

A row carries everything that a section of the original's .cfg says about a layer. The same rows
describe our networks and imported ones, and a weights file stores them.
A shape is `(channels, height, width)` of a map or `(values,)` of a vector, without the batch.
"""

import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, get_args

Shape = tuple[int, ...]
Activation = Literal["linear", "leaky", "relu", "ramp", "logistic", "tanh"]


@dataclass(frozen=True)
class Conv:
    """Convolution, batch normalisation if asked, activation (convolutional_layer.c)."""

    filters: int
    size: int = 3
    stride: int = 1
    padding: int = 1
    activation: Activation = "leaky"
    batch_norm: bool = False
    groups: int = 1

    def __str__(self) -> str:
        return f"conv {self.size}x{self.size}x{self.filters}" + _stride(self.stride)


@dataclass(frozen=True)
class MaxPool:
    """Maximum over windows; `padding` is the sum of both sides (maxpool_layer.c)."""

    size: int = 2
    stride: int = 2
    padding: int = 1

    def __str__(self) -> str:
        return f"maxpool {self.size}x{self.size}" + _stride(self.stride)


@dataclass(frozen=True)
class Local:
    """Convolution with weights of its own at each location (local_layer.c)."""

    filters: int
    size: int = 3
    stride: int = 1
    pad: int = 1
    activation: Activation = "leaky"

    def __str__(self) -> str:
        return f"local {self.size}x{self.size}x{self.filters}" + _stride(self.stride)


@dataclass(frozen=True)
class Connected:
    """Fully connected layer on the flattened (channel-major) input (connected_layer.c)."""

    outputs: int
    activation: Activation = "linear"
    batch_norm: bool = False

    def __str__(self) -> str:
        return f"connected {self.outputs}"


@dataclass(frozen=True)
class Dropout:
    """Inverted dropout while training (dropout_layer.c)."""

    probability: float = 0.5

    def __str__(self) -> str:
        return f"dropout {self.probability:g}"


@dataclass(frozen=True)
class AvgPool:
    """Mean of each channel over the whole map (avgpool_layer.c)."""

    def __str__(self) -> str:
        return "avgpool"


@dataclass(frozen=True)
class Softmax:
    """Softmax over each of `groups` equal parts of the vector (softmax_layer.c)."""

    groups: int = 1
    temperature: float = 1.0

    def __str__(self) -> str:
        return "softmax"


@dataclass(frozen=True)
class Crop:
    """Centre crop, then 2x - 1 unless `adjust` is off (crop_layer.c at inference)."""

    height: int
    width: int
    adjust: bool = True

    def __str__(self) -> str:
        return f"crop {self.height}x{self.width}"


@dataclass(frozen=True)
class Detection:
    """The output layer: the flat vector as it is (detection_layer.c at inference)."""

    grid: int
    boxes: int
    classes: int
    softmax: bool = False
    """Softmax over the classes of each cell."""
    sqrt: bool = True
    """The vector holds the roots of width and height, not width and height themselves."""

    def __str__(self) -> str:
        return f"detection {self.grid}x{self.grid}x({self.classes}+5*{self.boxes})"


@dataclass(frozen=True)
class CellMap:
    """Reorder a map of one cell per location into the flat vector of the original's layout.

    Channels: class scores, confidence of each box, then x, y, root of w, root of h of each box.
    """

    boxes: int
    classes: int

    def __str__(self) -> str:
        return "cells"


@dataclass(frozen=True)
class BoxRoots:
    """Replace width and height in the flat vector by their roots (negative ones by 0)."""

    grid: int
    boxes: int
    classes: int

    def __str__(self) -> str:
        return "roots"


@dataclass(frozen=True)
class SameConv:
    """Convolution padded as TensorFlow's "same", batch normalisation, activation (EfficientNet)."""

    filters: int
    size: int = 1
    stride: int = 1
    groups: int = 1
    activation: Literal["relu6", "linear"] = "relu6"

    def __str__(self) -> str:
        return f"same conv {self.size}x{self.size}x{self.filters}" + _stride(self.stride)


@dataclass(frozen=True)
class InvertedResidual:
    """1x1 expansion, depthwise and 1x1 linear `SameConv`; a shortcut where the shape stays.

    The block of MobileNetV2 (Sandler et al., 2018) and EfficientNet-Lite; with `expansion` 1 it
    has no first convolution.
    """

    filters: int
    size: int = 3
    stride: int = 1
    expansion: int = 6

    def __str__(self) -> str:
        return f"residual {self.size}x{self.size}x{self.filters}" + _stride(self.stride)


@dataclass(frozen=True)
class Expansion:
    """The first convolution of an `InvertedResidual` alone: the end of a backbone cut there."""

    expansion: int = 6

    def __str__(self) -> str:
        return f"expansion x{self.expansion}"


@dataclass(frozen=True)
class UpsampleConcat:
    """Double the sides of the map (nearest) and append the channels of an earlier map of that size.

    The merge of a feature pyramid (Lin et al., 2017; YOLOv3's route and upsample layers).
    """

    channels: int
    """Of the earlier map."""

    def __str__(self) -> str:
        return f"upsample, concat {self.channels}"


Row = (
    Conv | MaxPool | Local | Connected | Dropout | AvgPool | Softmax | Crop | Detection | CellMap
    | BoxRoots | SameConv | InvertedResidual | Expansion | UpsampleConcat
)  # fmt: skip
_KINDS: dict[str, type[Any]] = {kind.__name__.lower(): kind for kind in get_args(Row)}


def stride_of(rows: Iterable[Row]) -> int:
    """Factor by which the rows reduce the sides of a map."""
    strides = (Conv, MaxPool, Local, SameConv, InvertedResidual)
    return math.prod(row.stride for row in rows if isinstance(row, strides))


def scaled(rows: Iterable[Row], width: float) -> tuple[Row, ...]:
    """Multiply the channels of every layer by `width`, to the nearest multiple of 8, at least 8."""
    return tuple(_scaled(row, width) for row in rows)


def _scaled(row: Row, width: float) -> Row:
    if isinstance(row, Conv | Local | SameConv | InvertedResidual):
        return replace(row, filters=_channels(row.filters, width))
    if isinstance(row, Connected):
        return replace(row, outputs=_channels(row.outputs, width))
    return row


def _channels(published: int, width: float) -> int:
    return max(8, 8 * int(published * width / 8 + 0.5)) if width != 1 else published


def to_json(rows: Iterable[Row]) -> list[dict[str, Any]]:
    """Rows as plain values that `from_json` reads."""
    return [{"layer": type(row).__name__.lower(), **asdict(row)} for row in rows]


def from_json(values: Iterable[dict[str, Any]]) -> tuple[Row, ...]:
    """Inverse of `to_json`; KeyError or TypeError where a value is no row."""
    return tuple(
        _KINDS[value["layer"]](**{key: item for key, item in value.items() if key != "layer"})
        for value in values
    )


def _stride(stride: int) -> str:
    return f" /{stride}" if stride != 1 else ""
