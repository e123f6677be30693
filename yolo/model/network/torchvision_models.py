"""Torchvision's ImageNet models as backbones: the only file that imports torchvision's models."""

import urllib.error
from pathlib import Path
from typing import TYPE_CHECKING, Any

import safetensors.torch
import torch
from torch import Tensor, nn

from yolo.errors import UserError
from yolo.model.network import weights
from yolo.model.network.layers import BatchNorm

if TYPE_CHECKING:
    from yolo.model.classifier.classifier import Classifier

STRIDE = 32
INPUT_SIZE = 224


def channels(name: str) -> int:
    """Channels of the backbone's last map."""
    return {"resnet18": 512, "resnet34": 512, "resnet50": 2048, "resnet101": 2048}.get(name, 512)


def make_backbone(name: str) -> nn.Sequential:
    """The model without what classifies; (N, 3, H, W) to (N, channels, H / 32, W / 32)."""
    model = _make(name, classes=1)
    if name.startswith("vgg"):
        return model.features
    return _named(model, [key for key, _ in model.named_children() if key not in _CLASSIFIES])


def make_classifier_head(name: str, classes: int) -> nn.Sequential:
    """What follows the backbone in the model: pooling, flattening, connected layers."""
    model = _make(name, classes)
    head = nn.Sequential()
    head.add_module("avgpool", model.avgpool)
    head.add_module("flatten", nn.Flatten())
    last = "classifier" if name.startswith("vgg") else "fc"
    head.add_module(last, getattr(model, last))
    return head


def load_pretrained(name: str, path: Path | None = None) -> "Classifier":
    """ImageNet classifier with torchvision's weights (IMAGENET1K_V1).

    `path` is a file of the model's state dictionary (.pth or .safetensors); None fetches it from
    the hub, checked by the hash in its name. UserError when it cannot be had, is damaged, is of
    another model, or holds a value that is not finite.
    """
    from torchvision.models import get_model_weights

    from yolo.model.classifier.classifier import ClassifierSpec, build_classifier
    from yolo.model.network.networks import TORCHVISION

    if name not in TORCHVISION:
        raise UserError(
            f"there are no ImageNet weights for network {name!r}; "
            f"there are for: {', '.join(TORCHVISION)}"
        )
    published = get_model_weights(name)["IMAGENET1K_V1"]
    state = _from_hub(published) if path is None else _from_file(path)
    origin = path or Path(published.url)
    broken = [key for key, tensor in state.items() if not torch.isfinite(tensor).all()]
    if broken:
        raise UserError(f"{origin}: {broken[0]} holds values that are not finite")
    spec = ClassifierSpec(name, 1.0, INPUT_SIZE, tuple(published.meta["categories"]))
    classifier = build_classifier(spec)
    weights.load_into(classifier, _renamed(state), origin)
    return classifier


_CLASSIFIES = ("avgpool", "fc", "classifier")


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


def _renamed(state: dict[str, Tensor]) -> dict[str, Tensor]:
    renamed = {}
    for key, tensor in state.items():
        if key.endswith(".num_batches_tracked"):
            continue
        classifies = key.split(".")[0] in _CLASSIFIES
        key = key.removeprefix("features.")
        renamed[f"{'head' if classifies else 'backbone'}.{key}"] = tensor
    return renamed


def _from_hub(published: Any) -> dict[str, Tensor]:
    try:
        return published.get_state_dict(progress=False, check_hash=True)
    except (urllib.error.URLError, OSError, RuntimeError) as error:
        raise UserError(
            f"cannot fetch {published.url}: {error}; fetch it elsewhere and give its path"
        ) from None


def _from_file(path: Path) -> dict[str, Tensor]:
    if not path.is_file():
        raise UserError(f"there is no weights file {path}")
    try:
        if path.suffix == ".safetensors":
            state = safetensors.torch.load_file(path)
        else:
            state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # on a damaged file the readers raise whatever they stumble over
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UserError(f"{path} cannot be read as weights: {reason}") from None
    if not isinstance(state, dict) or not all(isinstance(v, Tensor) for v in state.values()):
        raise UserError(f"{path} holds no dictionary of tensors; save model.state_dict()")
    return state
