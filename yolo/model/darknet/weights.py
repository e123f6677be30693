"""The original's .weights files: a header, then the sections' numbers in their order.

Source: parser.c: load_weights_upto, save_weights_upto, load_convolutional_weights,
load_connected_weights; spec section 3. Little-endian throughout.
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from yolo.errors import UserError
from yolo.model.network.layers import Convolutional, FullyConnected, Layer, LocallyConnected2d


@dataclass(frozen=True)
class Header:
    """What stands before the numbers."""

    seen: int
    """Images trained on."""
    transposed: bool
    """Connected weights are stored (inputs, outputs)."""
    size: int
    """Bytes."""


def read_header(path: Path) -> Header:
    """The header of any version: `seen` has 64 bits from 0.2 on, 32 before and in odd versions."""
    try:
        with path.open("rb") as file:
            start = file.read(20)
    except OSError as error:
        raise UserError(f"cannot read the weights {path}: {error}") from None
    if len(start) < 12:
        raise UserError(f"{path} has {len(start)} bytes; the header alone takes 16 or 20")
    major, minor, _ = struct.unpack_from("<iii", start)
    long = major * 10 + minor >= 2 and major < 1000 and minor < 1000
    size = 20 if long else 16
    if len(start) < size:
        raise UserError(f"{path} has {len(start)} bytes; its header alone takes {size}")
    (seen,) = struct.unpack_from("<Q" if long else "<i", start, 12)
    return Header(seen, major > 1000 or minor > 1000, size)


@torch.no_grad()
def load(path: Path, layers: Sequence[Layer], titles: Sequence[str], *, whole: bool) -> int:
    """Copy the file's numbers into the layers and return the images seen.

    `titles` name the sections in errors. UserError, and nothing copied, when the numbers end before
    the layers do or, where the layers are the `whole` network, go on after them.
    """
    header = read_header(path)
    bytes_left = path.stat().st_size - header.size
    held = bytes_left // 4
    used = 0
    for layer, title in zip(layers, titles, strict=True):
        wanted = sum(tensor.numel() for tensor in _stored(layer))
        if used + wanted > held:
            raise UserError(
                f"{path} is too short or of another network: {title} needs {wanted:,} floats after "
                f"{used:,} of the sections before it, the file holds {held:,}; "
                "with `upto` the first sections of a network can be loaded alone"
            )
        used += wanted
    if whole and used * 4 != bytes_left:
        last = titles[-1] if titles else "the network"
        raise UserError(
            f"{path} is too long or of another network: {last} ends after {used:,} floats, the "
            f"file holds {bytes_left / 4:,.12g}; "
            "with `upto` the first sections of a file can be loaded alone"
        )
    with path.open("rb") as file:
        file.seek(header.size)
        for layer in layers:
            for tensor in _stored(layer):
                stored = torch.from_numpy(np.fromfile(file, "<f4", tensor.numel()))
                if header.transposed and isinstance(layer, FullyConnected) and tensor.dim() == 2:
                    tensor.copy_(stored.view(tensor.shape[1], tensor.shape[0]).T)
                else:
                    tensor.copy_(stored.view(tensor.shape))
    return header.seen


def save(path: Path, layers: Sequence[Layer], seen: int) -> None:
    """Write header 0.2.0 and the numbers of the layers."""
    with path.open("wb") as file:
        file.write(struct.pack("<iiiQ", 0, 2, 0, seen))
        for layer in layers:
            for tensor in _stored(layer):
                plain = tensor.detach().cpu().contiguous().numpy()
                file.write(plain.astype("<f4", copy=False).tobytes())


def _stored(layer: Layer) -> list[Tensor]:
    """The layer's tensors in the file's order."""
    if isinstance(layer, LocallyConnected2d):
        return [layer.bias, layer.weight]
    if not isinstance(layer, Convolutional | FullyConnected):
        return []
    if layer.norm is None:
        assert layer.bias is not None
        return [layer.bias, layer.weight]
    norm = layer.norm
    statistics = [norm.weight, norm.running_mean, norm.running_var]
    if isinstance(layer, Convolutional):
        return [norm.bias, *statistics, layer.weight]
    return [norm.bias, layer.weight, *statistics]
