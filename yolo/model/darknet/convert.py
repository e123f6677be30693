"""Networks of the original program: its .cfg and .weights files, read, run and written.

Source: parser.c: load_weights_upto, save_weights_upto; spec section 3.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from yolo.errors import UserError
from yolo.files import replacing
from yolo.model.darknet import cfg as darknet_cfg
from yolo.model.darknet import weights as darknet_weights
from yolo.model.detector.detector import Detector, DetectorSpec, load_detector, save_detector
from yolo.model.network.build import initialise, make_layer
from yolo.model.network.layer_specs import (
    BoxRoots,
    CellMap,
    Crop,
    Detection,
    Expansion,
    InvertedResidual,
    Row,
    SameConv,
    Shape,
    UpsampleConcat,
)
from yolo.model.network.layers import BatchNorm, Layer

VOC_CLASSES = (
    "aeroplane",
    "bicycle",
    "bird",
    "boat",
    "bottle",
    "bus",
    "car",
    "cat",
    "chair",
    "cow",
    "diningtable",
    "dog",
    "horse",
    "motorbike",
    "person",
    "pottedplant",
    "sheep",
    "sofa",
    "train",
    "tvmonitor",
)
"""Class names of the original's released detectors, in their order."""

# twice the largest network of the original's time; 4 GB
_LARGEST_NETWORK = 1_000_000_000


class Network(nn.Sequential):
    """The sections after [net], in order; `network[i]` is section i, called by `network(x)`.

    Takes (N, channels, height, width) as [net] says, RGB in [0, 1]. A section gives
    (N, C, H, W), or (N, values) from connected, avgpool, softmax and detection on.
    """

    input_shape: Shape | None = None
    """(channels, height, width)."""
    seen: int = 0
    """Images that the original had trained on."""

    def forward(self, input: Tensor) -> Tensor:
        """Output of the last section; ValueError for an input of another shape than [net]'s."""
        if self.input_shape is not None and tuple(input.shape[1:]) != self.input_shape:
            raise ValueError(
                f"the network takes inputs (N, {', '.join(map(str, self.input_shape))}), "
                f"not {tuple(input.shape)}"
            )
        return super().forward(input)


def load_network(
    cfg: str | Path,
    weights: str | Path | None = None,
    *,
    upto: int | None = None,
    cpu_rule: bool = False,
    seed: int = 0,
) -> Network:
    """Build the network of a .cfg, in evaluation mode, and load a .weights file.

    Args:
        cfg: path of the description, or its text.
        weights: path of the weights; None: the original's random start from `seed`.
        upto: load sections 0 to upto - 1 only, the rest keeps its random start; the file may end
            there or go on (`darknet partial`). None: the file must hold every section, no more.
        cpu_rule: at inference batch normalisation divides by sqrt(variance) + 1e-6, as the original
            does on a CPU, instead of sqrt(variance + 1e-5), as on a GPU.
        seed: of the random start.

    Raises:
        UserError: (a ValueError) for a section or value that is malformed or not supported, and for
            a file that is too short or too long; names the section and the counts.
    """
    shape, sections = darknet_cfg.parse(darknet_cfg.read_text(cfg))
    network = Network()
    network.input_shape = shape
    numbers = 0
    for section in sections:
        row = darknet_cfg.row(section)
        try:
            with torch.device("meta"):
                numbers += sum(tensor.numel() for tensor in make_layer(row, shape).parameters())
            if numbers > _LARGEST_NETWORK:
                raise ValueError(
                    f"the network has more than {_LARGEST_NETWORK:,} numbers up to here"
                )
            layer = make_layer(row, shape)
        except UserError:
            raise
        # a RuntimeError is torch's: sizes whose product overflows
        except (ValueError, RuntimeError) as error:
            raise UserError(f"{section}: {str(error).splitlines()[0]}") from None
        network.append(layer)
        shape = layer.output_shape
    initialise(network, torch.Generator().manual_seed(seed))
    for part in network.modules():
        if isinstance(part, BatchNorm):
            part.cpu_rule = cpu_rule
    _check_upto(network, upto)
    if weights is not None:
        titles = [str(section) for section in sections[:upto]]
        network.seen = darknet_weights.load(
            Path(weights), _layers(network)[:upto], titles, whole=upto is None
        )
    return network.eval()


def save_weights(
    network: nn.Sequential, path: str | Path, *, upto: int | None = None, seen: int = 0
) -> None:
    """Write what the original reads: header 0.2.0, `seen` images, sections 0 to upto - 1 (all)."""
    _check_upto(network, upto)
    with replacing(Path(path)) as temporary:
        darknet_weights.save(temporary, _layers(network)[:upto], seen)


def import_darknet(
    cfg_path: Path, weights_path: Path, out_path: Path, classes: tuple[str, ...] | None = None
) -> DetectorSpec:
    """Make a detector file of ours from the original's two files.

    `classes` are the names in the network's order; None: VOC's for 20 classes, else numbers.
    UserError when the network is no detector on a square RGB input or the names are not as many.
    """
    network = load_network(cfg_path, weights_path)
    layers = _layers(network)
    last = layers[-1].row if layers else None
    if not isinstance(last, Detection):
        raise UserError(f"{cfg_path} does not end with a [detection] section: it is no detector")
    assert network.input_shape is not None
    channels, height, width = network.input_shape
    if channels != 3 or height != width:
        raise UserError(
            f"{cfg_path} takes {channels} channels of {height}x{width}; "
            "a detector needs 3 channels of a square"
        )
    names = _class_names(last.classes) if classes is None else classes
    if len(names) != last.classes:
        raise UserError(f"{cfg_path} has {last.classes} classes; {len(names)} names are given")
    head = [layer.row for layer in layers]
    if not last.sqrt:
        head.append(BoxRoots(last.grid, last.boxes, last.classes))
    spec = DetectorSpec("darknet", 1.0, height, last.grid, last.boxes, tuple(names))
    with torch.device("meta"):
        detector = Detector(spec, "unit", (), tuple(head))
    detector.head.load_state_dict(network.state_dict(), assign=True)
    source = {"cfg": darknet_cfg.read_text(cfg_path), "seen": network.seen}
    save_detector(out_path, detector, darknet=source)
    return spec


def export_darknet(detector_path: Path, cfg_out: Path, weights_out: Path) -> None:
    """Write a detector file of ours as the original's .cfg and .weights.

    A network on inputs in [-1, 1] gets a [crop] section, which maps [0, 1] there, as the original's
    of 2015 have. UserError for a detector that the original has no layers for: a backbone
    of torchvision's or EfficientNet's, or a convolutional output.
    """
    detector = load_detector(detector_path)
    parts = [*detector.backbone, *detector.head]
    foreign = next((part for part in parts if not _known(part)), None)
    if foreign is not None:
        fits = "yolov1, yolov1-bn, yolov1-darknet, yolov1-fast, yolov1-fast-darknet"
        what = foreign.row if isinstance(foreign, Layer) else type(foreign).__name__
        raise UserError(
            f"{detector_path} is of network {detector.spec.network}: the original program has no "
            f"layer for {what}; it can run {fits} with the paper's head. "
            "Every network can be exported with --format onnx"
        )
    side = detector.spec.input_size
    network = _as_network(detector, side)
    described: list[Row] = [layer.row for layer in _layers(network)]
    if isinstance(described[-1], BoxRoots) and isinstance(described[-2], Detection):
        described = [*described[:-2], replace(described[-2], sqrt=False)]
    text = darknet_cfg.write(
        described, (3, side, side), f"classes: {', '.join(detector.spec.classes)}"
    )
    save_weights(network, weights_out)
    with replacing(cfg_out) as temporary:
        temporary.write_text(text, encoding="utf-8")


def _as_network(detector: Detector, side: int) -> nn.Sequential:
    layers: list[Any] = [*detector.backbone, *detector.head]  # type: ignore[misc]
    if detector.input_range.name == "signed":
        layers.insert(0, make_layer(Crop(side, side), (3, side, side)))
    return nn.Sequential(*layers)


def _known(layer: Any) -> bool:
    """Whether the original has such a layer (its [detection] reads a connected one)."""
    foreign = CellMap | SameConv | InvertedResidual | Expansion | UpsampleConcat
    return isinstance(layer, Layer) and not isinstance(layer.row, foreign)


def _layers(network: nn.Sequential) -> list[Layer]:
    return [layer for layer in network if isinstance(layer, Layer)]


def _check_upto(network: nn.Sequential, upto: int | None) -> None:
    if upto is not None and not 0 <= upto <= len(network):
        raise UserError(f"upto is {upto}; the network has {len(network)} sections")


def _class_names(count: int) -> tuple[str, ...]:
    if count == len(VOC_CLASSES):
        return VOC_CLASSES
    return tuple(f"class {number}" for number in range(count))
