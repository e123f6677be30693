"""From the trained classifier to the backbone of the detector (paper section 2.2)."""

from pathlib import Path
from typing import Any, Protocol

from torch import nn

from yolo.errors import UserError
from yolo.model.network import weights

PREFIX = "backbone."


class HasBackbone(Protocol):
    """A detector, as far as its backbone goes (`yolo.model.detector.detector.Detector`)."""

    backbone: nn.Module

    def card(self) -> dict[str, Any]:
        """What the detector consists of."""
        ...


def extract(classifier_path: Path, backbone_path: Path) -> dict[str, int]:
    """Write the classifier file's backbone as a file of its own, dropping what classifies.

    Returns `layers` (with weights: convolutions), `parameters` (trained values) and `stride`.
    """
    tensors, card = weights.read(classifier_path)
    weights.expect_kind(classifier_path, card, "classifier")
    kept = {
        name.removeprefix(PREFIX): tensor
        for name, tensor in tensors.items()
        if name.startswith(PREFIX)
    }
    if not kept:
        raise UserError(f"{classifier_path} holds no backbone; make it again: dvc repro pretrain")
    summary = {
        "layers": sum(tensor.dim() == 4 for tensor in kept.values()),
        "parameters": sum(
            tensor.numel() for name, tensor in kept.items() if "running_" not in name
        ),
    }
    with weights.reading_card(classifier_path):
        summary["stride"] = int(card["stride"])
        names = ("network", "width", "input_range", "backbone")
        cut = {"kind": "backbone", **{name: card[name] for name in names}, **summary}
    weights.write(backbone_path, kept, cut)
    return summary


def load_backbone(detector: HasBackbone, path: Path) -> None:
    """Put the weights of a backbone file into `detector.backbone`.

    UserError, and nothing loaded, when the file is of another network, width or input range, or has
    other layers; it says which.
    """
    tensors, card = weights.read(path)
    weights.expect_kind(path, card, "backbone")
    with weights.reading_card(path):
        differences = _differences(card, detector.card())
    if differences:
        raise UserError(
            f"the backbone in {path} is not the detector's: {'; '.join(differences)}; "
            "set model.* as it was made, or make it anew: dvc repro extract_backbone"
        )
    weights.load_into(detector.backbone, tensors, path)


def _differences(file: dict[str, Any], wanted: dict[str, Any]) -> list[str]:
    if file["backbone"] == wanted["backbone"] and file["input_range"] == wanted["input_range"]:
        return []
    found = [
        f"{key} is {file[key]} in the file, {wanted[key]} in the detector"
        for key in ("network", "width", "input_range")
        if file[key] != wanted[key]
    ]
    theirs, ours = file["backbone"], wanted["backbone"]
    if found or isinstance(theirs, str) or isinstance(ours, str):
        return found
    if len(theirs) != len(ours):
        return [f"{len(theirs)} layers in the file, {len(ours)} in the detector"]
    index, one, other = next(
        (index, one, other)
        for index, (one, other) in enumerate(zip(theirs, ours, strict=True))
        if one != other
    )
    return [
        f"{key} of layer {index} is {one.get(key)} in the file, {other.get(key)} in the detector"
        for key in sorted(one.keys() | other.keys())
        if one.get(key) != other.get(key)
    ]
