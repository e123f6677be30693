"""From rows to layers, with the original's first weights."""

import math
from collections.abc import Callable, Iterable
from itertools import chain
from typing import Any, TypeVar

import torch
from torch import nn
from torch.func import functional_call

from yolo.errors import UserError
from yolo.model.network.layer_specs import (
    AvgPool,
    BoxRoots,
    CellMap,
    Connected,
    Conv,
    Crop,
    Detection,
    Dropout,
    Expansion,
    InvertedResidual,
    Local,
    MaxPool,
    Row,
    SameConv,
    Shape,
    Softmax,
    UpsampleConcat,
)
from yolo.model.network.layers import (
    AveragePooling,
    CentreCrop,
    Convolutional,
    DropoutLayer,
    FullyConnected,
    Layer,
    LocallyConnected2d,
    MaxPooling,
    Merge,
    SoftmaxLayer,
)
from yolo.model.network.mobile_layers import (
    ExpansionOnly,
    InvertedResidualBlock,
    SameConvolution,
)
from yolo.model.network.output_layers import Cells, DetectionLayer, Roots

Network = TypeVar("Network", bound=nn.Module)

_LAYERS: dict[type[Row], Callable[[Any, Shape], Layer]] = {
    Conv: Convolutional,
    MaxPool: MaxPooling,
    Local: LocallyConnected2d,
    Connected: FullyConnected,
    Dropout: DropoutLayer,
    AvgPool: AveragePooling,
    Softmax: SoftmaxLayer,
    Crop: CentreCrop,
    Detection: DetectionLayer,
    CellMap: Cells,
    BoxRoots: Roots,
    SameConv: SameConvolution,
    InvertedResidual: InvertedResidualBlock,
    Expansion: ExpansionOnly,
    UpsampleConcat: Merge,
}
_NEED_MAPS = (Conv, MaxPool, Local, AvgPool, Crop, UpsampleConcat)


def make_layer(row: Row, shape: Shape) -> Layer:
    """The layer of a row for inputs of `shape`, weights not set; ValueError if it cannot be."""
    if isinstance(row, _NEED_MAPS) and len(shape) == 1:
        shape = (*shape, 1, 1)
    return _LAYERS[type(row)](row, shape)


def stack(rows: Iterable[Row], shape: Shape) -> tuple[nn.Sequential, Shape]:
    """The layers of `rows` one after the other, weights not set, and the shape they end with."""
    layers = nn.Sequential()
    for row in rows:
        layer = make_layer(row, shape)
        layers.append(layer)
        shape = layer.output_shape
    return layers, shape


def layer_shapes(layers: nn.Sequential, shape: Shape) -> list[Shape]:
    """Shape of the map after each layer, for images of `shape` (3, H, W); nothing is computed.

    ValueError where the image is too small.
    """
    shapes = []
    x = torch.zeros(1, *shape, device="meta")
    for layer in layers:
        tensors = chain(layer.named_parameters(), layer.named_buffers())
        try:
            x = functional_call(layer, {name: own.to("meta") for name, own in tensors}, x)
        except RuntimeError as error:
            raise ValueError(f"the input is too small: {error}") from None
        shapes.append(tuple(x.shape[1:]))
    return shapes


def make_network(make: Callable[[], Network], what: str, seed: int) -> Network:
    """The network that `make` makes, weights of ours not set, those of torchvision's from `seed`.

    UserError that begins with `what` for a ValueError: an input that is too small.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        try:
            return make()
        except UserError:
            raise
        except ValueError as error:
            raise UserError(f"{what}: {error}") from None


@torch.no_grad()
def initialise(module: nn.Module, generator: torch.Generator) -> None:
    """Draw the weights of every layer as the original does (make_*_layer).

    Convolutions normal with variance 2 / fan-in, connected and local layers uniform in
    +-sqrt(2 / fan-in), biases 0, batch normalisation 1 and 0.
    """
    for layer in module.modules():
        if not isinstance(
            layer, Convolutional | SameConvolution | LocallyConnected2d | FullyConnected
        ):
            continue
        if layer.weight.is_meta:
            continue
        if not isinstance(layer, SameConvolution) and layer.bias is not None:
            layer.bias.zero_()
        scale = math.sqrt(2 / math.prod(layer.weight.shape[1:]))
        if isinstance(layer, LocallyConnected2d):
            scale = math.sqrt(2 / layer.weight.shape[2])
        if isinstance(layer, Convolutional | SameConvolution):
            layer.weight.normal_(0, scale, generator=generator)
        else:
            layer.weight.uniform_(-scale, scale, generator=generator)
