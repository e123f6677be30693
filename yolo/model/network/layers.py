"""The layers of the original program as modules, one per row of a network table.

No layer changes its input, and none changes its output after returning it: what a layer has
returned stays as it was. A layer works in place only on what it has itself just computed.
"""

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from yolo.model.network.layer_specs import (
    AvgPool,
    Connected,
    Conv,
    Crop,
    Dropout,
    Local,
    MaxPool,
    Row,
    Shape,
    Softmax,
    UpsampleConcat,
)

_ACTIVATE: dict[str, Callable[[Tensor], Tensor]] = {
    "linear": lambda x: x,
    "leaky": lambda x: F.leaky_relu(x, 0.1, inplace=True),
    "relu": lambda x: F.relu(x, inplace=True),
    "ramp": lambda x: F.relu(x) + 0.1 * x,
    "logistic": torch.sigmoid,
    "tanh": torch.tanh,
}


class BatchNorm(nn.Module):
    """Batch normalisation of (N, C) or (N, C, H, W) with the original's constants.

    While training, the batch is cut into consecutive groups of `images` samples, each normalised
    by its own mean and variance, as the original's sub-batches are; the running statistics take up
    the groups in order, with momentum .01 and the variance of divisor n - 1. `images` None: one
    group. At inference (x - mean) / sqrt(variance + 1e-5), as the original does on a GPU;
    `cpu_rule` gives (x - mean) / (sqrt(variance) + 1e-6), as it does on a CPU (blas.c:
    normalize_cpu).

    Other networks were published with another `eps`.
    """

    momentum = 0.01

    def __init__(self, channels: int, eps: float = 1e-5) -> None:
        super().__init__()
        self.eps = eps
        self.images: int | None = None
        self.cpu_rule = False
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.register_buffer("running_mean", torch.zeros(channels))
        self.register_buffer("running_var", torch.ones(channels))
        self.running_mean: Tensor
        self.running_var: Tensor

    def forward(self, x: Tensor) -> Tensor:
        """Normalise; ValueError when the batch is not a whole number of groups."""
        if not self.training:
            return self._by_cpu_rule(x) if self.cpu_rule else self._normalise(x)
        if self.images is None or len(x) == self.images:
            return self._normalise(x)
        if len(x) % self.images:
            raise ValueError(
                f"a batch of {len(x)} images is not a whole number of groups of {self.images}, over"
                " which batch normalisation takes its statistics (batch_norm_images); "
                "change one of the two"
            )
        return torch.cat([self._normalise(group) for group in x.split(self.images)])

    def _normalise(self, x: Tensor) -> Tensor:
        return F.batch_norm(
            x,
            self.running_mean,
            self.running_var,
            self.weight,
            self.bias,
            self.training,
            self.momentum,
            self.eps,
        )

    def _by_cpu_rule(self, x: Tensor) -> Tensor:
        shape = (1, -1) + (1,) * (x.dim() - 2)
        normal = (x - self.running_mean.view(shape)) / (self.running_var.sqrt().view(shape) + 1e-6)
        return normal * self.weight.view(shape) + self.bias.view(shape)

    def extra_repr(self) -> str:
        """Channels, epsilon and group size."""
        return f"{len(self.weight)}, eps={self.eps:g}, images={self.images}"


def set_batch_norm_images(module: nn.Module, images: int | None) -> None:
    """Set the group size of every batch normalisation inside `module`; None: the whole batch."""
    if images is not None and images < 1:
        raise ValueError(f"batch normalisation needs groups of 1 image at least, not {images}")
    for part in module.modules():
        if isinstance(part, BatchNorm):
            part.images = images


class InputRange(nn.Module):
    """From RGB in [0, 1] to what the first layer takes, by name (`networks.InputRange`)."""

    def __init__(self, name: str) -> None:
        super().__init__()
        try:
            mean, deviation = {
                "unit": ((0.0,), (1.0,)),
                # 2x - 1 (crop_layer.c)
                "signed": ((0.5,), (0.5,)),
                # torchvision's ImageNet weights
                "imagenet": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
                # EfficientNet-Lite: (255x - 127) / 128
                "lite": ((127 / 255,), (128 / 255,)),
            }[name]
        except KeyError:
            raise ValueError(f"unknown input range {name!r}") from None
        self.name = name
        scale = [1 / value for value in deviation]
        self.register_buffer("mean", torch.tensor(mean).reshape(-1, 1, 1), persistent=False)
        self.register_buffer("scale", torch.tensor(scale).reshape(-1, 1, 1), persistent=False)
        self.mean: Tensor
        self.scale: Tensor

    def forward(self, images: Tensor) -> Tensor:
        """Map (N, 3, H, W) in [0, 1]."""
        return images if self.name == "unit" else (images - self.mean) * self.scale

    def extra_repr(self) -> str:
        """Name of the range."""
        return self.name


class Layer(nn.Module):
    """A layer made from a row: it knows its row and the shapes it takes and gives."""

    def __init__(self, row: Row, input_shape: Shape, output_shape: Shape) -> None:
        super().__init__()
        self.row = row
        self.input_shape = input_shape
        self.output_shape = output_shape

    def as_map(self, x: Tensor) -> Tensor:
        """The input as (N, C, H, W), also where a vector comes in."""
        return x if x.dim() == 4 else x.reshape(-1, *self.input_shape)

    def extra_repr(self) -> str:
        """The row and the shapes."""
        return f"{self.row}: {shape_text(self.input_shape)} -> {shape_text(self.output_shape)}"


class Convolutional(Layer):
    """Cross-correlation, then batch normalisation (whose shift is the bias) or bias, activation."""

    row: Conv

    def __init__(self, row: Conv, shape: Shape) -> None:
        channels, height, width = shape
        if channels % row.groups or row.filters % row.groups:
            raise ValueError(
                f"{row.groups} groups do not divide {channels} channels and {row.filters} filters"
            )
        reach = row.size - 2 * row.padding
        if min(height, width) < reach:
            raise ValueError(f"a window of {row.size} does not fit an input of {shape_text(shape)}")
        out = ((height - reach) // row.stride + 1, (width - reach) // row.stride + 1)
        super().__init__(row, shape, (row.filters, *out))
        self.weight = nn.Parameter(
            torch.empty(row.filters, channels // row.groups, row.size, row.size)
        )
        self.bias = None if row.batch_norm else nn.Parameter(torch.empty(row.filters))
        self.norm = BatchNorm(row.filters) if row.batch_norm else None

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to (N, filters, H', W')."""
        row = self.row
        x = F.conv2d(
            self.as_map(x), self.weight, self.bias, row.stride, row.padding, groups=row.groups
        )
        return _ACTIVATE[row.activation](x if self.norm is None else self.norm(x))


class MaxPooling(Layer):
    """Maximum; windows start at i * stride - floor(padding / 2) and may reach outside the map."""

    row: MaxPool

    def __init__(self, row: MaxPool, shape: Shape) -> None:
        if min(shape[1:]) + row.padding < row.size:
            raise ValueError(f"a window of {row.size} does not fit an input of {shape_text(shape)}")
        out = ((side + row.padding - row.size) // row.stride + 1 for side in shape[1:])
        super().__init__(row, shape, (shape[0], *out))

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to (N, C, H', W')."""
        row, x = self.row, self.as_map(x)
        if row == MaxPool():
            return F.max_pool2d(x, 2, 2, ceil_mode=True)
        before = row.padding // 2
        after = []
        for side in x.shape[2:]:
            windows = (side + row.padding - row.size) // row.stride + 1
            after.append(max(0, (windows - 1) * row.stride + row.size - before - side))
        margins = (before, after[1], before, after[0])
        x = F.pad(x, margins, value=torch.finfo(x.dtype).min)
        return F.max_pool2d(x, row.size, row.stride)


class LocallyConnected2d(Layer):
    """Convolution whose weights differ from location to location.

    `weight` (locations, filters, C * size * size), `bias` (filters * locations,) in the order of
    the original's file, local_layer.c. The output has floor((n - 1) / stride) + 1 rows when padded,
    else floor((n - size) / stride) + 1; ValueError where the padded windows are not as many, for
    the original reads beside its buffer then (`pad` 1 goes with `size` 3).
    """

    row: Local

    def __init__(self, row: Local, shape: Shape) -> None:
        channels = shape[0]
        sides = []
        for side in shape[1:]:
            out = (side - (1 if row.pad else row.size)) // row.stride + 1
            windows = (side + 2 * row.pad - row.size) // row.stride + 1
            if out < 1:
                raise ValueError(
                    f"a window of {row.size} does not fit an input of {shape_text(shape)}"
                )
            if out != windows:
                raise ValueError(
                    f"size {row.size} with pad {row.pad} gives {windows} windows for {out} outputs "
                    f"on an input of {shape_text(shape)}; with pad 1 the size must be 3"
                )
            sides.append(out)
        super().__init__(row, shape, (row.filters, *sides))
        locations = math.prod(sides)
        self.weight = nn.Parameter(torch.empty(locations, row.filters, channels * row.size**2))
        self.bias = nn.Parameter(torch.empty(row.filters * locations))

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to (N, filters, H', W')."""
        row = self.row
        patches = F.unfold(self.as_map(x), row.size, padding=row.pad, stride=row.stride)
        # (locations, filters, K) @ (locations, K, N)
        x = torch.bmm(self.weight, patches.permute(2, 1, 0))
        x = x.permute(2, 1, 0).reshape(-1, *self.output_shape)
        x = x + self.bias.view(self.output_shape)
        return _ACTIVATE[row.activation](x)


class FullyConnected(Layer):
    """W x + b on the input flattened channel by channel; `weight` (outputs, inputs)."""

    row: Connected

    def __init__(self, row: Connected, shape: Shape) -> None:
        super().__init__(row, shape, (row.outputs,))
        self.weight = nn.Parameter(torch.empty(row.outputs, math.prod(shape)))
        self.bias = None if row.batch_norm else nn.Parameter(torch.empty(row.outputs))
        self.norm = BatchNorm(row.outputs) if row.batch_norm else None

    def forward(self, x: Tensor) -> Tensor:
        """(N, ...) to (N, outputs)."""
        x = F.linear(x.flatten(1), self.weight, self.bias)
        return _ACTIVATE[self.row.activation](x if self.norm is None else self.norm(x))


class DropoutLayer(Layer):
    """Inverted dropout while training, nothing at inference."""

    row: Dropout

    def __init__(self, row: Dropout, shape: Shape) -> None:
        super().__init__(row, shape, shape)

    def forward(self, x: Tensor) -> Tensor:
        """Same shape."""
        return F.dropout(x, self.row.probability, self.training)


class AveragePooling(Layer):
    """Mean of each channel."""

    def __init__(self, row: AvgPool, shape: Shape) -> None:
        super().__init__(row, shape, shape[:1])

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to (N, C)."""
        return self.as_map(x).mean((2, 3))


class SoftmaxLayer(Layer):
    """Softmax of each group of values."""

    row: Softmax

    def __init__(self, row: Softmax, shape: Shape) -> None:
        values = math.prod(shape)
        if values % row.groups:
            raise ValueError(f"{row.groups} groups do not divide {values} values")
        super().__init__(row, shape, (values,))

    def forward(self, x: Tensor) -> Tensor:
        """(N, ...) to (N, values)."""
        groups = x.flatten(1).unflatten(1, (self.row.groups, -1))
        return (groups / self.row.temperature).softmax(2).flatten(1)


class CentreCrop(Layer):
    """Centre crop and, unless switched off, 2x - 1."""

    row: Crop

    def __init__(self, row: Crop, shape: Shape) -> None:
        if row.height > shape[1] or row.width > shape[2]:
            raise ValueError(f"{row} does not fit an input of {shape_text(shape)}")
        super().__init__(row, shape, (shape[0], row.height, row.width))

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to (N, C, height, width)."""
        row = self.row
        top, left = (x.shape[2] - row.height) // 2, (x.shape[3] - row.width) // 2
        x = x[:, :, top : top + row.height, left : left + row.width]
        return 2 * x - 1 if row.adjust else x


class Merge(Layer):
    """A map of twice the sides, with the channels of an earlier map behind its own."""

    row: UpsampleConcat

    def __init__(self, row: UpsampleConcat, shape: Shape) -> None:
        channels, height, width = shape
        super().__init__(row, shape, (channels + row.channels, 2 * height, 2 * width))

    def forward(self, maps: tuple[Tensor, Tensor]) -> Tensor:
        """(N, C, H, W) and the earlier (N, E, 2H, 2W) to (N, C + E, 2H, 2W)."""
        coarse, fine = maps
        return torch.cat([F.interpolate(coarse, scale_factor=2.0, mode="nearest"), fine], dim=1)


def shape_text(shape: Shape) -> str:
    """`3x224x224`."""
    return "x".join(map(str, shape))
