"""The layers of EfficientNet-Lite as modules: convolutions padded as TensorFlow pads them."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from yolo.model.network.layer_specs import Expansion, InvertedResidual, SameConv, Shape
from yolo.model.network.layers import BatchNorm, Layer

_EPS = 1e-3
"""Of batch normalisation, in TensorFlow's published networks."""


class SameConvolution(Layer):
    """Convolution without bias, batch normalisation, ReLU6 or nothing.

    A map of side n becomes one of ceil(n / stride). Of an odd number of rows or columns of padding
    the larger half goes below and to the right, so at stride 2 an even side is padded unevenly.
    """

    row: SameConv

    def __init__(self, row: SameConv, shape: Shape) -> None:
        channels, height, width = shape
        out = (-(-height // row.stride), -(-width // row.stride))
        super().__init__(row, shape, (row.filters, *out))
        self.weight = nn.Parameter(
            torch.empty(row.filters, channels // row.groups, row.size, row.size)
        )
        self.norm = BatchNorm(row.filters, _EPS)
        self.register_buffer("folded_weight", None, persistent=False)
        self.register_buffer("folded_bias", None, persistent=False)
        self.folded_weight: Tensor | None
        self.folded_bias: Tensor | None

    @torch.no_grad()
    def fold(self) -> None:
        """From now on compute with today's weights and statistics, at inference and in training.

        Batch normalisation becomes part of the convolution, which spares a pass over the map. A row
        and a column of zeros before the weights take the place of uneven padding, which copies it.
        """
        scale = self.norm.weight / (self.norm.running_var + self.norm.eps).sqrt()
        weight = self.weight * scale[:, None, None, None]
        self.folded_weight = F.pad(weight, (1, 0, 1, 0)) if self.row.stride == 2 else weight
        self.folded_bias = self.norm.bias - self.norm.running_mean * scale

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to (N, filters, ceil(H / stride), ceil(W / stride))."""
        row = self.row
        above, below = _margins(x.shape[2], row)
        left, right = _margins(x.shape[3], row)
        weight, bias = self.weight, self.folded_bias
        if self.folded_weight is not None:
            weight = self.folded_weight
            above, left = (above + 1, left + 1) if row.stride == 2 else (above, left)
        padding = (above, left)
        if (above, left) != (below, right):
            x, padding = F.pad(x, (left, right, above, below)), (0, 0)
        x = F.conv2d(x, weight, bias, row.stride, padding, groups=row.groups)
        x = x if self.folded_weight is not None else self.norm(x)
        return F.relu6(x, inplace=True) if row.activation == "relu6" else x


class InvertedResidualBlock(Layer):
    """Expand, convolve each channel, project; add the input where the shape stays."""

    row: InvertedResidual

    def __init__(self, row: InvertedResidual, shape: Shape) -> None:
        inner = shape[0] * row.expansion
        self.expand: SameConvolution | None
        if row.expansion == 1:
            expand, expanded = None, shape
        else:
            expand = SameConvolution(SameConv(inner), shape)
            expanded = expand.output_shape
        depthwise = SameConvolution(SameConv(inner, row.size, row.stride, inner), expanded)
        project = SameConvolution(
            SameConv(row.filters, activation="linear"), depthwise.output_shape
        )
        super().__init__(row, shape, project.output_shape)
        self.expand, self.depthwise, self.project = expand, depthwise, project
        self._has_shortcut = shape == project.output_shape

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to (N, filters, ceil(H / stride), ceil(W / stride))."""
        inner = x if self.expand is None else self.expand(x)
        out = self.project(self.depthwise(inner))
        return out + x if self._has_shortcut else out


class ExpansionOnly(Layer):
    """The first convolution of a block, under the name that it has in the block."""

    row: Expansion

    def __init__(self, row: Expansion, shape: Shape) -> None:
        expand = SameConvolution(SameConv(shape[0] * row.expansion), shape)
        super().__init__(row, shape, expand.output_shape)
        self.expand = expand

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to (N, C * expansion, H, W)."""
        return self.expand(x)


def _margins(side: int, row: SameConv) -> tuple[int, int]:
    """Padding before and after a map's side."""
    total = max((-(-side // row.stride) - 1) * row.stride + row.size - side, 0)
    return total // 2, total - total // 2
