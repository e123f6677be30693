"""A detector that starts from weights of ours instead of random ones."""

from pathlib import Path
from typing import Any

from torch import Tensor

from yolo.errors import UserError
from yolo.model.detector.detector import Detector
from yolo.model.network import backbones, weights


def load_backbone(detector: Detector, path: Path) -> None:
    """Put the weights of a backbone file into `detector.backbone`.

    The file may hold more of the same network than the detector takes, whose head may begin at an
    earlier map. UserError, and nothing loaded, when the file is of another network, width or input
    range, or has other layers; it says which.
    """
    tensors, card = weights.read(path)
    weights.expect_kind(path, card, "backbone")
    take_backbone(detector, tensors, card, path)


def take_backbone(
    detector: Detector, tensors: dict[str, Tensor], card: dict[str, Any], path: Path
) -> None:
    """As `load_backbone`, from what was read from the file at `path`."""
    wanted = detector.card()
    with weights.reading_card(path):
        theirs, ours = (backbones.from_json(own["backbone"]) for own in (card, wanted))
        is_longer = theirs != ours and backbones.cut(theirs, backbones.stride_of(ours)) == ours
        differences = [] if is_longer else _differences(card, wanted)
    if differences:
        raise UserError(
            f"the backbone in {path} is not the detector's: {'; '.join(differences)}; "
            "set model.* as it was made, or make it anew: dvc repro extract_backbone"
        )
    if is_longer:
        names = detector.backbone.state_dict().keys()
        tensors = {name: tensor for name, tensor in tensors.items() if name in names}
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
    if found or not isinstance(theirs, list) or not isinstance(ours, list):
        return found or [f"it is {theirs} in the file, {ours} in the detector"]
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
