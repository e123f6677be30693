"""What classifier and detector have in common: a backbone, named or written out row by row."""

from typing import Any

from torch import nn

from yolo.model.network import layer_specs
from yolo.model.network.build import stack
from yolo.model.network.layer_specs import Conv, Local, MaxPool, Row, Shape
from yolo.model.network.networks import TORCHVISION, backbone_rows, check_name

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
    from yolo.model.network import torchvision_models

    module = torchvision_models.make_backbone(backbone)
    sides = [-(-side // torchvision_models.STRIDE) for side in shape[1:]]
    return module, (torchvision_models.channels(backbone), *sides)


def stride_of(backbone: Backbone) -> int:
    """Factor by which the backbone reduces the image."""
    if isinstance(backbone, str):
        from yolo.model.network.torchvision_models import STRIDE

        return STRIDE
    stride = 1
    for row in backbone:
        if isinstance(row, Conv | Local | MaxPool):
            stride *= row.stride
    return stride


def to_json(backbone: Backbone) -> Any:
    """The backbone as plain values."""
    return backbone if isinstance(backbone, str) else layer_specs.to_json(backbone)


def from_json(value: Any) -> Backbone:
    """Inverse of `to_json`."""
    return value if isinstance(value, str) else layer_specs.from_json(value)
