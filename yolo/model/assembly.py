"""What classifier and detector have in common: a backbone, named or written out row by row."""

from typing import Any

from torch import nn

from yolo.model import rows
from yolo.model.networks import TORCHVISION, backbone_rows, check_name
from yolo.model.rows import Conv, Local, MaxPool, Row, Shape
from yolo.model.stack import stack

Backbone = tuple[Row, ...] | str
"""Rows of ours, or the name of a torchvision model."""


def backbone_of(network: str, width: float) -> Backbone:
    """The backbone of a network; UserError for an unknown name."""
    check_name(network)
    return network if network in TORCHVISION else backbone_rows(network, width)


def make_backbone(backbone: Backbone, shape: Shape) -> tuple[nn.Module, Shape]:
    """The module for inputs of `shape` (3, H, W), weights not set, and the shape of its map."""
    if not isinstance(backbone, str):
        return stack(backbone, shape)
    from yolo.model import pretrained

    module = pretrained.make_backbone(backbone)
    sides = [-(-side // pretrained.STRIDE) for side in shape[1:]]
    return module, (pretrained.channels(backbone), *sides)


def stride_of(backbone: Backbone) -> int:
    """Factor by which the backbone reduces the image."""
    if isinstance(backbone, str):
        from yolo.model.pretrained import STRIDE

        return STRIDE
    stride = 1
    for row in backbone:
        if isinstance(row, Conv | Local | MaxPool):
            stride *= row.stride
    return stride


def to_json(backbone: Backbone) -> Any:
    """The backbone as plain values."""
    return backbone if isinstance(backbone, str) else rows.to_json(backbone)


def from_json(value: Any) -> Backbone:
    """Inverse of `to_json`."""
    return value if isinstance(value, str) else rows.from_json(value)
