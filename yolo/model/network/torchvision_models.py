"""Torchvision's ImageNet models as backbones: the only file that imports torchvision's models."""

from typing import Any

from torch import nn

from yolo.model.network.layers import BatchNorm

STRIDE = 32
CLASSIFYING = ("avgpool", "fc", "classifier")
"""Names of the layers of a model that follow its backbone."""


def channels(name: str) -> int:
    """Channels of the backbone's last map."""
    return {"resnet18": 512, "resnet34": 512, "resnet50": 2048, "resnet101": 2048}.get(name, 512)


def make_backbone(name: str) -> nn.Sequential:
    """The model without what classifies; (N, 3, H, W) to (N, channels, H / 32, W / 32)."""
    model = _make(name, classes=1)
    if name.startswith("vgg"):
        return model.features
    return _named(model, [key for key, _ in model.named_children() if key not in CLASSIFYING])


def make_classifier_head(name: str, classes: int) -> nn.Sequential:
    """What follows the backbone in the model: pooling, flattening, connected layers."""
    model = _make(name, classes)
    head = nn.Sequential()
    head.add_module("avgpool", model.avgpool)
    head.add_module("flatten", nn.Flatten())
    last = "classifier" if name.startswith("vgg") else "fc"
    head.add_module(last, getattr(model, last))
    return head


def _make(name: str, classes: int) -> Any:
    from torchvision.models import get_model

    model = get_model(name, weights=None, num_classes=classes)
    _use_own_batch_norm(model)
    return model


def _use_own_batch_norm(module: nn.Module) -> None:
    for name, child in module.named_children():
        if isinstance(child, nn.BatchNorm2d):
            setattr(module, name, BatchNorm(child.num_features))
        else:
            _use_own_batch_norm(child)


def _named(model: nn.Module, names: list[str]) -> nn.Sequential:
    chosen = nn.Sequential()
    for name in names:
        chosen.add_module(name, getattr(model, name))
    return chosen
