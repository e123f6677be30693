"""What the detector adds to a backbone: tables of the layers that are trained on boxes only.

Connected output: the last layer sees the whole map, so the grid S is a free choice. Convolutional
output: each location of the last map is a cell, so S is the input's side divided by the stride.
Pyramid: as a convolutional output of stride 16, on the last maps of stride 16 and 32 together.
Sources: as for `yolo.model.network.networks`.
"""

from typing import Literal

from yolo.model.network.layer_specs import (
    CellMap,
    Connected,
    Conv,
    Detection,
    Dropout,
    Local,
    Row,
    UpsampleConcat,
    scaled,
)
from yolo.model.network.networks import check_name, conv

Kind = Literal["paper", "convolutional", "pyramid"]
_CHANNELS = 256
"""Of the convolutional head's hidden layers."""


def _four_convolutions(batch_norm: bool) -> tuple[Row, ...]:
    """Convolutions 21 to 24; the second halves the map."""
    return tuple(conv(1024, 3, stride, batch_norm=batch_norm) for stride in (1, 2, 1, 1))


def _paper(batch_norm: bool) -> tuple[Row, ...]:
    """Four convolutions and the first connected layer of figure 3."""
    return *_four_convolutions(batch_norm), Connected(4096, "leaky"), Dropout(0.5)


_PUBLISHED: dict[str, tuple[Row, ...]] = {
    "yolov1": _paper(batch_norm=False),
    "yolov1-darknet": (*_four_convolutions(True), Local(256), Dropout(0.5)),
    "yolov1-fast": (
        conv(1024, batch_norm=False),
        conv(1024, batch_norm=False),
        Connected(256, "linear"),
        Connected(4096, "leaky"),
        Dropout(0.5),
    ),
    "yolov1-fast-darknet": (conv(256, batch_norm=True),),
}
"""Hidden layers of the heads that were published with a network."""
_STRIDES = {"nano": (16,), "efficientnet_lite0": (16, 32)}
"""Networks of ours whose own head is convolutional: the strides it may have."""


def own_kind(network: str) -> Kind:
    """The head that a network has unless another is asked for; UserError for an unknown name."""
    check_name(network)
    return "convolutional" if network in _STRIDES else "paper"


def strides(network: str, kind: Kind | None) -> tuple[int, ...]:
    """The strides (pixels per cell) that a head of convolutions may have; `kind` None: its own."""
    if kind == "pyramid":
        return (16,)
    return (16, 32) if kind else _STRIDES[network]


def paper_rows(
    network: str, width: float, *, grid: int, boxes: int, classes: int
) -> tuple[Row, ...]:
    """The head published with the network, or the paper's with batch normalisation.

    `width` times the published channels; the rows end with the flat vector of S*S*(C + 5B) values
    in the original's layout.
    """
    hidden = _PUBLISHED.get(network, _paper(batch_norm=True))
    values = grid * grid * (classes + 5 * boxes)
    return *scaled(hidden, width), Connected(values), Detection(grid, boxes, classes)


def convolutional_rows(
    channels: int, width: float, stride: int, *, boxes: int, classes: int
) -> tuple[Row, ...]:
    """A 3x3 convolution of this stride and the output, a 1x1 convolution.

    A map of more channels than the 3x3 convolution has is first reduced to as many. The rows end
    with the flat vector of S*S*(C + 5B) values in the original's layout.
    """
    one, three = conv(_CHANNELS, 1, batch_norm=True), conv(_CHANNELS, 3, stride, batch_norm=True)
    hidden = scaled((one, three), width)
    if isinstance(hidden[0], Conv) and channels <= hidden[0].filters:
        hidden = hidden[1:]
    return *hidden, *_output(boxes, classes)


def pyramid_rows(channels: int, width: float, *, boxes: int, classes: int) -> tuple[Row, ...]:
    """A 1x1 convolution, the merge with an earlier map of these channels, a 1x1, a 3x3, the output.

    The layers between two scales of YOLOv3.
    """
    one, three = (conv(_CHANNELS, size, batch_norm=True) for size in (1, 3))
    hidden = scaled((one, UpsampleConcat(channels), one, three), width)
    return *hidden, *_output(boxes, classes)


def _output(boxes: int, classes: int) -> tuple[Row, ...]:
    output = Conv(classes + 5 * boxes, 1, padding=0, activation="linear")
    return output, CellMap(boxes, classes)
