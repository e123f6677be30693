"""What each layer of a network costs: shapes, parameters and operations."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from yolo.model.layers import Convolutional, FullyConnected, Layer, LocallyConnected2d


@dataclass(frozen=True)
class LayerRow:
    """One layer of a network."""

    name: str
    """Its path inside the network: `backbone.3`."""
    kind: str
    output: tuple[int, ...]
    """(channels, height, width) or (values,), without the batch."""
    parameters: int
    """Trained values (without the running statistics of batch normalisation)."""
    flops: int
    """Operations for one image, a multiplication and an addition counted as two, in convolutions,
    connected and locally connected layers (as the original counts)."""


@torch.no_grad()
def layer_table(module: nn.Module, input_size: int | tuple[int, int]) -> list[LayerRow]:
    """Rows in the order in which one image of `input_size` (side, or height and width) passes.

    Runs the network once on the device that its weights are on; on the meta device
    (`with torch.device("meta"): build_detector(spec)`) that takes neither memory nor time.
    """
    table: list[LayerRow] = []
    handles = [
        part.register_forward_hook(
            lambda part, _, out, name=name: table.append(_row(name, part, out))
        )
        for name, part in _layers(module, "")
    ]
    height, width = (input_size, input_size) if isinstance(input_size, int) else input_size
    parameter = next(module.parameters())
    training = module.training
    try:
        module.eval()(torch.zeros(1, 3, height, width, device=parameter.device))
    finally:
        module.train(training)
        for handle in handles:
            handle.remove()
    return table


def _layers(module: nn.Module, name: str) -> list[tuple[str, nn.Module]]:
    """Our layers, and the innermost modules of others'."""
    children = list(module.named_children())
    if isinstance(module, Layer) or not children:
        return [(name, module)]
    return [
        found
        for key, child in children
        for found in _layers(child, f"{name}.{key}" if name else key)
    ]


def _row(name: str, part: nn.Module, output: Tensor) -> LayerRow:
    kind = str(part.row) if isinstance(part, Layer) else type(part).__name__
    parameters = sum(parameter.numel() for parameter in part.parameters())
    return LayerRow(name, kind, tuple(output.shape[1:]), parameters, _flops(part, output))


def _flops(part: nn.Module, output: Tensor) -> int:
    if isinstance(part, Convolutional | nn.Conv2d):
        return 2 * part.weight.numel() * math.prod(output.shape[2:])
    if isinstance(part, FullyConnected | LocallyConnected2d | nn.Linear):
        return 2 * part.weight.numel()
    return 0
