"""A detector that starts from weights of ours instead of random ones."""

from pathlib import Path
from typing import Any

import torch
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


def start_from(detector: Detector, path: Path) -> str:
    """Take the weights of a backbone or detector of ours; return what was taken and what was left.

    The backbone is taken always. Of a detector's head the hidden layers are taken if they are the
    same, and then the outputs of every class that both know by name, and of the boxes. UserError,
    and nothing taken, when the backbone is another.
    """
    tensors, card = weights.read(path)
    if card.get("kind") != "detector":
        weights.expect_kind(path, card, "backbone")
        take_backbone(detector, tensors, card, path)
        return "the backbone is taken, the head starts anew: the file holds a backbone alone"
    take_backbone(detector, _below("backbone.", tensors), card, path)
    with weights.reading_card(path):
        reason = _unlike_head(detector, _below("head.", tensors), card)
        known = list(card["classes"])
    if reason:
        return f"the backbone is taken, the head starts anew: {reason}"
    _take_head(detector, _below("head.", tensors), known)
    new = [name for name in detector.spec.classes if name not in known]
    gone = [name for name in known if name not in detector.spec.classes]
    said = "backbone and head are taken"
    if new:
        said += f"; classes that start anew: {', '.join(new)}"
    if gone:
        said += f"; classes of the file that are left: {', '.join(gone)}"
    return said


def _below(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {
        name.removeprefix(prefix): tensor
        for name, tensor in tensors.items()
        if name.startswith(prefix)
    }


def _unlike_head(detector: Detector, theirs: dict[str, Tensor], card: dict[str, Any]) -> str:
    """Why nothing of a head can be taken; empty where it can."""
    wanted, spec = detector.card(), detector.spec
    if card["boxes"] != spec.boxes:
        return f"it predicts {card['boxes']} boxes a cell, not {spec.boxes}"
    is_connected = wanted["head"][-1]["layer"] == "detection"
    if is_connected and card["grid"] != spec.grid:
        return f"its grid is {card['grid']}, not {spec.grid}"
    # the last two rows are the output, which differs with the classes
    if [row["layer"] for row in card["head"]] != [row["layer"] for row in wanted["head"]] or (
        card["head"][:-2] != wanted["head"][:-2]
    ):
        return "it has other layers"
    output = f"{_output(detector)}."
    for name, tensor in detector.head.state_dict().items():
        if name not in theirs or theirs[name].shape[1:] != tensor.shape[1:]:
            return f"{name} has another shape"
        if not name.startswith(output) and theirs[name].shape != tensor.shape:
            return f"{name} has another shape"
    return ""


def _output(detector: Detector) -> str:
    """Name of the layer that gives the outputs; the last one orders them."""
    return str(len(detector.head) - 2)


@torch.no_grad()
def _take_head(detector: Detector, theirs: dict[str, Tensor], known: list[str]) -> None:
    output = f"{_output(detector)}."
    classes = list(detector.spec.classes)
    cells = detector.spec.grid**2 if detector.card()["head"][-1]["layer"] == "detection" else 1
    both = [(classes.index(name), known.index(name)) for name in classes if name in known]
    for name, own in detector.head.state_dict().items():
        if not name.startswith(output):
            own.copy_(theirs[name])
            continue
        for cell in range(cells):
            for here, there in both:
                own[cell * len(classes) + here] = theirs[name][cell * len(known) + there]
        own[cells * len(classes) :] = theirs[name][cells * len(known) :]
