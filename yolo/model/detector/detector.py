"""The detector: a backbone, and the head that predicts S x S cells (paper section 2)."""

import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor, nn

from yolo.class_names import problem_with
from yolo.errors import UserError
from yolo.model.detector import heads
from yolo.model.network import backbones, layer_specs, weights
from yolo.model.network.backbones import Backbone
from yolo.model.network.build import initialise, make_network, stack
from yolo.model.network.layer_specs import Row, UpsampleConcat
from yolo.model.network.layers import Convolutional, InputRange, Merge
from yolo.model.network.mobile_layers import SameConvolution
from yolo.model.network.networks import input_range
from yolo.model.network.output_layers import Cells

_LARGEST_INPUT = 8192


@dataclass(frozen=True)
class DetectorSpec:
    """What determines a detector but its weights."""

    network: str
    """A name of `yolo.model.network.networks`."""
    width: float
    """Factor on the channels of hidden layers; torchvision's backbones keep theirs."""
    input_size: int
    """Side in pixels of the square input."""
    grid: int
    """S. Free with a connected output; input_size / stride with a convolutional one."""
    boxes: int
    """B, boxes per cell."""
    classes: tuple[str, ...]


class Detector(nn.Module):
    """`forward`: images (N, 3, side, side), RGB in [0, 1], to the flat vector (N, S*S*(C + 5B)).

    The vector is the original's: [S*S*C class scores, cell by cell][S*S*B confidences]
    [S*S*B*4 x, y, root of w, root of h].
    """

    def __init__(
        self, spec: DetectorSpec, input_range: str, backbone: Backbone, head: tuple[Row, ...]
    ) -> None:
        """Make the layers, weights not set."""
        super().__init__()
        self.spec = spec
        self._backbone, self._head = backbone, head
        self._frozen: list[nn.Module] = []
        self.input_range = InputRange(input_range)
        side = spec.input_size
        self.backbone, shape = backbones.make_backbone(backbone, (3, side, side))
        self._fine: int | None = None
        if any(isinstance(row, UpsampleConcat) for row in head):
            self._fine, _ = backbones.fine_map(self.backbone)
        self.head, self._output = stack(head, shape)

    def forward(self, images: Tensor) -> Tensor:
        """Predict."""
        x = self.input_range(images)
        if self._fine is None:
            return self.head(self.backbone(x))
        fine = self.backbone[: self._fine](x)
        x = self.backbone[self._fine :](fine)
        for layer in self.head:
            x = layer((x, fine)) if isinstance(layer, Merge) else layer(x)
        return x

    def freeze(self, stages: int) -> None:
        """Train nothing of the first stages of the backbone, and keep their running statistics.

        A stage ends where the map is halved: the first n stages are all layers whose map has a
        stride of at most 2^n. Load weights before. UserError when the backbone has fewer.
        """
        found = backbones.stages(self.backbone)
        if stages > len(found):
            raise UserError(
                f"detect_train.frozen_stages is {stages}; the backbone of network "
                f"{self.spec.network} has {len(found)} stages here"
            )
        self._frozen = [layer for stage in found[:stages] for layer in stage]
        for layer in self._frozen:
            layer.requires_grad_(False)
            for part in layer.modules():
                if isinstance(part, SameConvolution):
                    part.fold()
        self.train(self.training)

    def train(self, mode: bool = True) -> Self:
        """Switch to training, frozen layers excepted, or to inference."""
        super().train(mode)
        for layer in self._frozen:
            layer.eval()
        return self

    def check(self) -> None:
        """ValueError unless the layers give what `spec` says, for an input that can be had."""
        spec = self.spec
        side = spec.input_size
        if side > _LARGEST_INPUT:
            raise ValueError(f"input_size {side} is above {_LARGEST_INPUT} pixels")
        given = math.prod(self._output)
        if given != spec.grid * spec.grid * (len(spec.classes) + 5 * spec.boxes):
            raise ValueError(
                f"the layers give {given} values, which is not what {spec.grid} x {spec.grid} "
                f"cells with {spec.boxes} boxes and {len(spec.classes)} classes take"
            )

    def card(self) -> dict[str, Any]:
        """All that is needed to build the detector again, as plain values."""
        return {
            "kind": "detector",
            **asdict(self.spec),
            "input_range": self.input_range.name,
            "backbone": backbones.to_json(self._backbone),
            "head": layer_specs.to_json(self._head),
        }


def build_detector(spec: DetectorSpec, seed: int = 0, head: heads.Kind | None = None) -> Detector:
    """Make a detector with the original's random initial weights.

    The last convolution of a convolutional head starts close to zero (normal, deviation .01).

    Args:
        spec: A convolutional head has the stride input_size / grid, 16 or 32.
        seed: Of the weights.
        head: None: the network's own.

    Raises:
        UserError: The network is unknown, the input is too small for it, or a convolutional head
            cannot give the grid; it says which values fit.
    """
    kind = head or heads.own_kind(spec.network)
    backbone = backbones.backbone_of(spec.network, spec.width)
    outputs = {"boxes": spec.boxes, "classes": len(spec.classes)}

    def make() -> Detector:
        if kind == "paper":
            rows = heads.paper_rows(spec.network, spec.width, grid=spec.grid, **outputs)
            return Detector(spec, input_range(spec.network), backbone, rows)
        stride = _stride(spec, heads.strides(spec.network, head))
        if kind == "pyramid":
            return _with_pyramid(spec, backbone)
        begin = backbones.cut(backbone, stride)
        with torch.device("meta"):
            _, shape = backbones.make_backbone(begin, (3, spec.input_size, spec.input_size))
        rest = stride // backbones.stride_of(begin)
        rows = heads.convolutional_rows(shape[0], spec.width, rest, **outputs)
        return Detector(spec, input_range(spec.network), begin, rows)

    detector = make_network(make, f"network {spec.network} at {spec.input_size} pixels", seed)
    generator = torch.Generator().manual_seed(seed)
    initialise(detector, generator)
    if isinstance(detector.head[-1], Cells):
        _start_near_zero(detector.head[-2], generator)
    return detector


def _with_pyramid(spec: DetectorSpec, backbone: Backbone) -> Detector:
    if spec.grid % 2:
        raise UserError(
            f"model.grid {spec.grid} does not fit model.head pyramid, which needs an even one: "
            f"take grid {spec.grid - 1} with input_size {16 * (spec.grid - 1)}, or grid "
            f"{spec.grid + 1} with input_size {16 * (spec.grid + 1)}"
        )
    begin = backbones.cut(backbone, backbones.COARSE)
    with torch.device("meta"):
        module, _ = backbones.make_backbone(begin, (3, spec.input_size, spec.input_size))
    try:
        _, channels = backbones.fine_map(module)
    except ValueError:
        raise UserError(
            f"model.head pyramid does not fit network {spec.network}: its backbone has no map of "
            "stride 32; take head convolutional"
        ) from None
    rows = heads.pyramid_rows(channels, spec.width, boxes=spec.boxes, classes=len(spec.classes))
    return Detector(spec, input_range(spec.network), begin, rows)


def save_detector(path: Path, detector: Detector, **extras: Any) -> None:
    """Write weights and card, with `extras` (plain values) added to the card."""
    weights.write(path, detector.state_dict(), {**extras, **detector.card()})


def load_detector(path: Path) -> Detector:
    """The detector of a file, in evaluation mode; UserError when the file is no detector's.

    The file alone is enough: its card holds every layer, so that it is read as it was written even
    after a network table has changed, and an imported network is read like our own.
    """
    tensors, card = weights.read(path)
    weights.expect_kind(path, card, "detector")
    with weights.reading_card(path), torch.device("meta"):
        spec = spec_of(card)
        backbone = backbones.from_json(card["backbone"])
        detector = Detector(
            spec, card["input_range"], backbone, layer_specs.from_json(card["head"])
        )
        detector.check()
    detector.input_range = InputRange(card["input_range"])
    weights.load_into(detector, tensors, path, assign=True)
    return detector.eval()


def spec_of(card: dict[str, Any]) -> DetectorSpec:
    """What a detector's card says; KeyError, TypeError or ValueError when it is none."""
    classes = card["classes"]
    if not isinstance(classes, list) or not classes:
        raise ValueError("classes is no list of names")
    if problem := problem_with(classes):
        raise ValueError(problem)
    for name in ("input_size", "grid", "boxes"):
        # a bool is an int, too
        if type(card[name]) is not int or card[name] < 1:
            raise ValueError(f"{name} is {card[name]!r} and should be a whole number from 1 up")
    return DetectorSpec(
        network=card["network"],
        width=card["width"],
        input_size=card["input_size"],
        grid=card["grid"],
        boxes=card["boxes"],
        classes=tuple(classes),
    )


def _stride(spec: DetectorSpec, allowed: tuple[int, ...]) -> int:
    """Pixels per cell of a convolutional head; UserError unless it is one of those allowed."""
    for stride in allowed:
        if spec.grid * stride == spec.input_size:
            return stride
    pairs = []
    for stride in allowed:
        side = spec.input_size // stride
        sides = [side] if spec.input_size % stride == 0 else [side, side + 1]
        pairs += [f"grid {side} with input_size {side * stride}" for side in sides if side]
    pixels = " or ".join(map(str, allowed))
    quotients = " or ".join(f"input_size / {stride}" for stride in allowed)
    sizes = " or ".join(f"input_size {spec.grid * stride}" for stride in allowed)
    raise UserError(
        f"model.grid {spec.grid} and model.input_size {spec.input_size} do not fit network "
        f"{spec.network}: its output is convolutional, one cell per {pixels} pixels, so grid must "
        f"be {quotients}; {' or '.join(pairs)} would fit, and {sizes} fits grid {spec.grid}"
    )


@torch.no_grad()
def _start_near_zero(layer: nn.Module, generator: torch.Generator) -> None:
    assert isinstance(layer, Convolutional)
    if not layer.weight.is_meta:
        layer.weight.normal_(0, 0.01, generator=generator)
