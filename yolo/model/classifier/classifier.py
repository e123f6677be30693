"""The network of the pre-training: a backbone and what classifies (paper section 2.2)."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from yolo.model.network import backbones, layer_specs, weights
from yolo.model.network.backbones import Backbone, Torchvision
from yolo.model.network.build import initialise, make_network, stack
from yolo.model.network.layer_specs import Row
from yolo.model.network.layers import InputRange
from yolo.model.network.networks import classifier_rows, input_range


@dataclass(frozen=True)
class ClassifierSpec:
    """What determines a classifier but its weights."""

    network: str
    """A name of `yolo.model.network.networks`."""
    width: float
    """Factor on the channels; torchvision's backbones take no notice of it."""
    input_size: int
    """Side in pixels that it is trained with; it takes other sizes, too."""
    classes: tuple[str, ...]


class Classifier(nn.Module):
    """`forward`: images (N, 3, H, W), RGB in [0, 1], to logits (N, classes)."""

    def __init__(
        self,
        spec: ClassifierSpec,
        input_range: str,
        backbone: Backbone,
        head: tuple[Row, ...] | None,
    ) -> None:
        """Make the layers, weights not set; `head` None: that of torchvision's model."""
        super().__init__()
        self.spec = spec
        self._backbone, self._head = backbone, head
        self.input_range = InputRange(input_range)
        side = spec.input_size
        self.backbone, shape = backbones.make_backbone(backbone, (3, side, side))
        if head is not None:
            self.head, _ = stack(head, shape)
        else:
            from yolo.model.network.torchvision_models import make_classifier_head

            self.head = make_classifier_head(spec.network, len(spec.classes))

    def forward(self, images: Tensor) -> Tensor:
        """Class scores before the softmax."""
        return self.head(self.backbone(self.input_range(images)))

    def card(self) -> dict[str, Any]:
        """All that is needed to build the classifier again, as plain values."""
        return {
            "kind": "classifier",
            **asdict(self.spec),
            "input_range": self.input_range.name,
            "stride": backbones.stride_of(self._backbone),
            "backbone": backbones.to_json(self._backbone),
            "head": None if self._head is None else layer_specs.to_json(self._head),
        }


def build_classifier(spec: ClassifierSpec, seed: int = 0) -> Classifier:
    """Make a classifier with the original's random initial weights.

    UserError for an unknown network and for an input that is too small for it.
    """
    backbone = backbones.backbone_of(spec.network, spec.width)
    head = None
    if not isinstance(backbone, Torchvision):
        head = classifier_rows(spec.network, len(spec.classes))
    classifier = make_network(
        lambda: Classifier(spec, input_range(spec.network), backbone, head),
        f"network {spec.network} at {spec.input_size} pixels",
        seed,
    )
    initialise(classifier, torch.Generator().manual_seed(seed))
    return classifier


def save_classifier(path: Path, classifier: Classifier, **extras: Any) -> None:
    """Write weights and card, with `extras` (plain values) added to the card."""
    weights.write(path, classifier.state_dict(), {**extras, **classifier.card()})


def load_classifier(path: Path) -> Classifier:
    """The classifier of a file, in evaluation mode; UserError when the file is no classifier's."""
    tensors, card = weights.read(path)
    weights.expect_kind(path, card, "classifier")
    with weights.reading_card(path), torch.device("meta"):
        spec = ClassifierSpec(
            card["network"], card["width"], card["input_size"], tuple(card["classes"])
        )
        head = None if card["head"] is None else layer_specs.from_json(card["head"])
        backbone = backbones.from_json(card["backbone"])
        classifier = Classifier(spec, card["input_range"], backbone, head)
    classifier.input_range = InputRange(card["input_range"])
    weights.load_into(classifier, tensors, path, assign=True)
    return classifier.eval()
