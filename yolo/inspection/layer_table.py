"""The layers of a network: output shapes, parameters and operations."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from yolo.model.network.build import make_layer
from yolo.model.network.layer_specs import Shape
from yolo.model.network.layers import (
    Convolutional,
    FullyConnected,
    InputRange,
    Layer,
    LocallyConnected2d,
)
from yolo.model.network.mobile_layers import SameConvolution


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
    """Operations for one image in convolutions, connected and locally connected layers, as the
    original counts them: a multiplication and an addition are two."""


def layer_table(module: nn.Module, input_size: int | tuple[int, int]) -> list[LayerRow]:
    """Return the layers in the order of the forward pass; input_size: side, or (height, width).

    Our layers are not run, so a network on the meta device (`with torch.device("meta"):
    build_detector(spec)`) will do, which needs neither memory nor time. A torchvision backbone runs
    once, on the device of its weights.
    """
    height, width = (input_size, input_size) if isinstance(input_size, int) else input_size
    shape: Shape = (3, height, width)
    table: list[LayerRow] = []
    for name, part in _parts(module, ""):
        if isinstance(part, Layer):
            with torch.device("meta"):
                shape = make_layer(part.row, shape).output_shape
            table.append(_row(name, part, shape))
        else:
            shape = _run(name, part, shape, table)
    return table


def _parts(module: nn.Module, name: str) -> Iterator[tuple[str, nn.Module]]:
    """Yield our innermost layers, and every module that contains none of them as a whole."""
    if isinstance(module, InputRange):
        return
    if not any(isinstance(part, Layer) for child in module.children() for part in child.modules()):
        yield name, module
        return
    for key, child in module.named_children():
        yield from _parts(child, f"{name}.{key}" if name else key)


@torch.no_grad()
def _run(name: str, module: nn.Module, shape: Shape, table: list[LayerRow]) -> Shape:
    """Run a module on zeros and add a row for each innermost module with an output of its own."""

    def record(inner: str, part: nn.Module, _inputs: object, output: Tensor) -> None:
        path = f"{name}.{inner}" if name and inner else name or inner
        table.append(_row(path, part, tuple(output.shape[1:])))

    handles = [
        part.register_forward_hook(partial(record, inner))
        for inner, part in module.named_modules()
        if not any(part.children()) and not isinstance(part, InputRange | nn.Sequential)
    ]
    tensors = [*module.parameters(), *module.buffers()]
    training = module.training
    try:
        device = tensors[0].device if tensors else None
        output = module.eval()(torch.zeros(1, *shape, device=device))
    finally:
        module.train(training)
        for handle in handles:
            handle.remove()
    return tuple(output.shape[1:])


def _row(name: str, part: nn.Module, output: Shape) -> LayerRow:
    kind = str(part.row) if isinstance(part, Layer) else type(part).__name__
    parameters = sum(parameter.numel() for parameter in part.parameters())
    return LayerRow(name, kind, output, parameters, _flops(part, output))


def _flops(part: nn.Module, output: Shape) -> int:
    if isinstance(part, Convolutional | SameConvolution | nn.Conv2d):
        return 2 * part.weight.numel() * math.prod(output[1:])
    if isinstance(part, FullyConnected | LocallyConnected2d | nn.Linear):
        return 2 * part.weight.numel()
    return 0
