"""Published ImageNet weights for the classifier: the only file that reads torchvision's weights."""

import urllib.error
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import Tensor

from yolo.errors import UserError
from yolo.model.classifier.classifier import Classifier, ClassifierSpec, build_classifier
from yolo.model.network import weights
from yolo.model.network.networks import TORCHVISION
from yolo.model.network.torchvision_models import CLASSIFYING

INPUT_SIZE = 224
"""Side of the images that the published weights were trained on (pixels)."""


def load_pretrained(name: str, path: Path | None = None) -> Classifier:
    """ImageNet classifier with torchvision's weights (IMAGENET1K_V1).

    `path` is a file of the model's state dictionary (.pth or .safetensors); None fetches it from
    the hub, checked by the hash in its name. UserError when it cannot be had, is damaged, is of
    another model, or holds a value that is not finite.
    """
    from torchvision.models import get_model_weights

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


def _renamed(state: dict[str, Tensor]) -> dict[str, Tensor]:
    renamed = {}
    for key, tensor in state.items():
        if key.endswith(".num_batches_tracked"):
            continue
        classifies = key.split(".")[0] in CLASSIFYING
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
