"""Torchvision's ImageNet models as backbones: the only file that imports torchvision's models."""

from collections import OrderedDict
from typing import Any

from torch import nn

from yolo.model.network.build import layer_shapes
from yolo.model.network.layers import BatchNorm

STRIDE = 32
CLASSIFYING = ("avgpool", "fc", "classifier")
"""Names of the layers of a model that follow its backbone."""
_SIDE = 256
"""Of the image on which strides are found."""


def make_backbone(name: str, stride: int = STRIDE) -> nn.Sequential:
    """The model up to its last map of this stride, under the names that its layers have.

    Where the next block begins with a 1x1 convolution that expands the map (MobileNet,
    EfficientNet), this convolution is the end: the widest map of the stride.
    """
    model = _make(name, classes=1)
    if hasattr(model, "features"):
        layers = dict(model.features.named_children())
    else:
        layers = {key: own for key, own in model.named_children() if key not in CLASSIFYING}
    backbone = _named(layers)
    return _cut(backbone, stride) if stride < STRIDE else backbone


def make_classifier_head(name: str, classes: int) -> nn.Sequential:
    """What follows the backbone in the model: pooling, flattening, connected layers."""
    model = _make(name, classes)
    # MobileNetV2 pools in a function
    pooling = getattr(model, "avgpool", None) or nn.AdaptiveAvgPool2d(1)
    last = "fc" if hasattr(model, "fc") else "classifier"
    return _named({"avgpool": pooling, "flatten": nn.Flatten(), last: getattr(model, last)})


def _cut(layers: nn.Sequential, stride: int) -> nn.Sequential:
    kept = nn.Sequential()
    shapes = layer_shapes(layers, (3, _SIDE, _SIDE))
    for (name, layer), (_, side, _) in zip(layers.named_children(), shapes, strict=True):
        if _SIDE // side > stride:
            if (expansion := _expansion(layer)) is not None:
                kept.add_module(name, expansion)
            break
        kept.add_module(name, layer)
    return kept


def _expansion(layer: Any) -> nn.Sequential | None:
    """The expanding convolution that a block, or the first of several, begins with."""
    if isinstance(layer, nn.Sequential):
        first = _expansion(next(iter(layer)))
        return None if first is None else _named({"0": first})
    for name in ("block", "conv"):
        first: Any = next(iter(getattr(layer, name, None) or ()), None)
        if isinstance(first, nn.Sequential) and first[0].kernel_size == (1, 1):
            return _named({name: _named({"0": first})})
    return None


def _make(name: str, classes: int) -> Any:
    from torchvision.models import get_model

    model = get_model(name, weights=None, num_classes=classes)
    _use_own_batch_norm(model)
    return model


def _use_own_batch_norm(module: nn.Module) -> None:
    for name, child in module.named_children():
        if isinstance(child, nn.BatchNorm2d):
            setattr(module, name, BatchNorm(child.num_features, child.eps))
        else:
            _use_own_batch_norm(child)


def _named(layers: dict[str, nn.Module]) -> nn.Sequential:
    return nn.Sequential(OrderedDict(layers))
