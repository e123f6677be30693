"""What classifier and detector have in common: a backbone, by its rows or torchvision's name."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch import nn

from yolo.model.network import layer_specs, torchvision_models
from yolo.model.network.build import layer_shapes, stack
from yolo.model.network.layer_specs import Expansion, InvertedResidual, Row, Shape
from yolo.model.network.networks import TORCHVISION, backbone_rows, check_name

COARSE = 32
"""Stride of the map that a pyramid head enlarges."""
_SIDE = 256
"""Of the image on which strides are found."""


@dataclass(frozen=True)
class Torchvision:
    """A model of torchvision up to its last map of a stride."""

    name: str
    stride: int = torchvision_models.STRIDE


Backbone = tuple[Row, ...] | Torchvision


def backbone_of(network: str, width: float) -> Backbone:
    """The whole backbone of a network; UserError for an unknown name."""
    check_name(network)
    return Torchvision(network) if network in TORCHVISION else backbone_rows(network, width)


def cut(backbone: Backbone, stride: int) -> Backbone:
    """The backbone up to its last map of this stride, or the whole where it reduces less.

    Where the next block begins by expanding the map, the expanded map is the end: it is the widest
    of its stride, and the one from which the block goes on.
    """
    if stride_of(backbone) <= stride:
        return backbone
    if isinstance(backbone, Torchvision):
        return Torchvision(backbone.name, stride)
    count = next(
        count
        for count in range(len(backbone), -1, -1)
        if layer_specs.stride_of(backbone[:count]) <= stride
    )
    following = backbone[count]
    if isinstance(following, InvertedResidual) and following.expansion > 1:
        return *backbone[:count], Expansion(following.expansion)
    return backbone[:count]


def make_backbone(backbone: Backbone, shape: Shape) -> tuple[nn.Sequential, Shape]:
    """The module for inputs of `shape` (3, H, W), weights not set, and the shape of its map.

    ValueError where the input is too small.
    """
    if not isinstance(backbone, Torchvision):
        return stack(backbone, shape)
    module = torchvision_models.make_backbone(backbone.name, backbone.stride)
    return module, layer_shapes(module, shape)[-1]


def stride_of(backbone: Backbone) -> int:
    """Factor by which the backbone reduces the image."""
    if isinstance(backbone, Torchvision):
        return backbone.stride
    return layer_specs.stride_of(backbone)


def stages(module: nn.Sequential) -> list[list[nn.Module]]:
    """The layers of a backbone by stages: stage n holds those whose map has stride 2^n or, in the
    first, no stride.
    """
    found: list[list[nn.Module]] = []
    shapes: Sequence[Shape] = layer_shapes(module, (3, _SIDE, _SIDE))
    for layer, (_, side, _) in zip(module, shapes, strict=True):
        stage = max(1, (_SIDE // side).bit_length() - 1)
        found += [[] for _ in range(stage - len(found))]
        found[stage - 1].append(layer)
    return found


def fine_map(module: nn.Sequential) -> tuple[int, int]:
    """How many layers give the last map of stride 16, and its channels.

    ValueError unless the backbone goes on to stride 32.
    """
    found = stages(module)
    if len(found) != COARSE.bit_length() - 1:
        raise ValueError(f"its stride is not {COARSE}")
    count = sum(len(stage) for stage in found[:-1])
    return count, layer_shapes(module, (3, _SIDE, _SIDE))[count - 1][0]


def to_json(backbone: Backbone) -> Any:
    """The backbone as plain values."""
    if not isinstance(backbone, Torchvision):
        return layer_specs.to_json(backbone)
    if backbone == Torchvision(backbone.name):
        return backbone.name
    return {"torchvision": backbone.name, "stride": backbone.stride}


def from_json(value: Any) -> Backbone:
    """Inverse of `to_json`; KeyError, TypeError or ValueError where a value is no backbone."""
    if isinstance(value, list):
        return layer_specs.from_json(value)
    found = Torchvision(value if isinstance(value, str) else value["torchvision"])
    if found.name not in TORCHVISION:
        raise ValueError(f"unknown backbone {found.name!r}")
    return found if isinstance(value, str) else Torchvision(found.name, int(value["stride"]))
