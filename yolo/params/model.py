"""Block `model`: the network, shared by both trainings."""

from typing import Annotated, Literal

from pydantic import Field

from yolo.params.base import Block

Network = Annotated[str, Field(min_length=1)]
"""A name that `yolo.model.network.networks` knows."""
Width = Annotated[float, Field(gt=0, le=2)]
"""Factor on the number of channels of each hidden layer; 1 is the network as published."""
Head = Literal["paper", "convolutional", "pyramid"] | None
"""The layers that are trained on boxes only; null: the network's own (docs/networks.md)."""
InputSize = Annotated[int, Field(ge=32)]
"""Side of the square input of the detector in pixels."""
Grid = Annotated[int, Field(ge=1)]
"""S: the image is divided into S x S grid cells (paper section 2)."""
Boxes = Annotated[int, Field(ge=1)]
"""B: boxes that each grid cell predicts."""


class Model(Block):
    """The network and the detector's output grid."""

    network: Network
    width: Width
    head: Head
    input_size: InputSize
    grid: Grid
    boxes: Boxes
