"""What the detector adds to a backbone: tables of the layers that are trained on boxes only.

Connected output: the last layer sees the whole map, so the grid S is a free choice. Convolutional
output: each location of the last map is a cell, so S is the input's side divided by the stride.
Sources: as for `yolo.model.network.networks`.
"""

from dataclasses import dataclass
from typing import Literal

from yolo.model.network.layer_specs import (
    CellMap,
    Connected,
    Conv,
    Detection,
    Dropout,
    Local,
    MaxPool,
    Row,
    scaled,
)
from yolo.model.network.networks import TORCHVISION, check_name, conv


@dataclass(frozen=True)
class Head:
    """Hidden layers and the kind of the output layer."""

    hidden: tuple[Row, ...]
    output: Literal["connected", "convolutional"] = "connected"


def _four_convolutions(batch_norm: bool) -> tuple[Row, ...]:
    """Convolutions 21 to 24; the second halves the map."""
    return tuple(conv(1024, 3, stride, batch_norm=batch_norm) for stride in (1, 2, 1, 1))


def _paper(batch_norm: bool) -> Head:
    """Four convolutions and the first connected layer of figure 3."""
    return Head((*_four_convolutions(batch_norm), Connected(4096, "leaky"), Dropout(0.5)))


_HEADS = {
    "yolov1": _paper(batch_norm=False),
    "yolov1-bn": _paper(batch_norm=True),
    "yolov1-darknet": Head((*_four_convolutions(True), Local(256), Dropout(0.5))),
    "yolov1-fast": Head(
        (
            conv(1024, batch_norm=False),
            conv(1024, batch_norm=False),
            Connected(256, "linear"),
            Connected(4096, "leaky"),
            Dropout(0.5),
        )
    ),
    "yolov1-fast-darknet": Head((conv(256, batch_norm=True),)),
    "nano": Head((conv(256, batch_norm=True),), "convolutional"),
    **{name: _paper(batch_norm=True) for name in TORCHVISION},
}


def head(name: str) -> Head:
    """The detection head of a network; UserError lists the names there are."""
    check_name(name)
    return _HEADS[name]


def head_rows(name: str, width: float, *, grid: int, boxes: int, classes: int) -> tuple[Row, ...]:
    """Rows that follow the backbone, with `width` times the published channels.

    They end with the flat vector of S*S*(C + 5B) values in the original's layout.
    """
    values = classes + 5 * boxes
    hidden = scaled(head(name).hidden, width)
    if head(name).output == "convolutional":
        return *hidden, Conv(values, 1, padding=0, activation="linear"), CellMap(boxes, classes)
    return *hidden, Connected(grid * grid * values), Detection(grid, boxes, classes)


def head_stride(name: str) -> int:
    """Factor by which the head's hidden layers reduce the map."""
    stride = 1
    for row in head(name).hidden:
        if isinstance(row, Conv | Local | MaxPool):
            stride *= row.stride
    return stride
