"""From the trained classifier to the backbone of the detector (paper section 2.2)."""

from pathlib import Path

from yolo.errors import UserError
from yolo.model.network import weights

PREFIX = "backbone."


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
