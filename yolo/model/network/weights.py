"""Weights files: safetensors with one metadata key, `yolo`, that says all there is to say.

Several metadata keys would be written in random order, so that the same weights gave other bytes
each time; one key with canonical JSON does not.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from yolo.errors import UserError
from yolo.files import replacing

KEY = "yolo"


def write(path: Path, tensors: dict[str, Tensor], card: dict[str, Any]) -> None:
    """Write the tensors and the card; the same content gives the same bytes."""
    metadata = json.dumps(
        card, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    )
    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    with replacing(path) as temporary:
        save_file(plain, temporary, metadata={KEY: metadata})


def read(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors on the CPU, and the card; UserError when the file is not one of ours."""
    with _opened(path) as file:
        card = _card(path, file.metadata())
        # copies: as views of the file they lie at addresses on which products round differently
        return {name: file.get_tensor(name).clone() for name in file.keys()}, card  # noqa: SIM118


def read_card(path: Path) -> dict[str, Any]:
    """The card alone, without reading the tensors."""
    with _opened(path) as file:
        return _card(path, file.metadata())


def expect_kind(path: Path, card: dict[str, Any], kind: str) -> None:
    """UserError unless the card is one of a `classifier`, a `backbone`, a `detector`, as asked."""
    if card.get("kind") != kind:
        raise UserError(f"{path} holds a {card.get('kind', 'thing without a kind')}, not a {kind}")


@contextmanager
def reading_card(path: Path) -> Iterator[None]:
    """Turn what goes wrong while a card is made use of into a UserError that names the file."""
    try:
        yield
    except UserError:
        raise
    # a RuntimeError is torch's: sizes whose product overflows
    except (KeyError, TypeError, ValueError, AttributeError, RuntimeError) as error:
        raise UserError(
            f"the card (metadata) of {path} does not describe a network: "
            f"{type(error).__name__} {error}; the file is damaged or of a newer version"
        ) from None


def load_into(
    module: torch.nn.Module, tensors: dict[str, Tensor], path: Path, *, assign: bool = False
) -> None:
    """Copy the tensors into a module of the same names and shapes; else UserError on what differs.

    Nothing is copied when anything differs; real numbers of another precision take the module's.
    `assign`: put the tensors themselves in the place of
    the module's, which may then be on the meta device.
    """
    own = module.state_dict()
    problems = [f"{name} is missing" for name in own if name not in tensors]
    problems += [f"{name} is unknown" for name in tensors if name not in own]
    problems += [
        f"{name} has shape {list(tensors[name].shape)} instead of {list(own[name].shape)}"
        for name in own
        if name in tensors and tensors[name].shape != own[name].shape
    ]
    problems += [
        f"{name} holds {tensors[name].dtype}, not {own[name].dtype}"
        for name in own
        if name in tensors
        and tensors[name].dtype != own[name].dtype
        and not (tensors[name].is_floating_point() and own[name].is_floating_point())
    ]
    if problems:
        raise UserError(f"the weights in {path} do not match the network: {_some(problems)}")
    alike = {name: tensors[name].to(own[name].dtype) for name in own}
    module.load_state_dict(alike, assign=assign)


def _opened(path: Path) -> Any:
    if not path.is_file():
        raise UserError(f"there is no weights file {path}")
    try:
        return safe_open(path, framework="pt", device="cpu")
    except (SafetensorError, OSError) as error:
        raise UserError(
            f"{path} is not a whole safetensors file ({error}); make it again or fetch it again"
        ) from None


def _card(path: Path, metadata: dict[str, str] | None) -> dict[str, Any]:
    try:
        card = json.loads((metadata or {})[KEY])
    except KeyError:
        raise UserError(
            f"{path} is a safetensors file without the metadata key {KEY!r}: not made by this "
            "program; import original weights with `yolov1 import-darknet`"
        ) from None
    # ValueError: bad JSON or an endless number; RecursionError: endless nesting
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path} has metadata that is not JSON: {error}") from None
    if not isinstance(card, dict):
        raise UserError(f"{path} has metadata that is no mapping")
    return card


def _some(problems: list[str], shown: int = 4) -> str:
    more = f" and {len(problems) - shown} more" if len(problems) > shown else ""
    return "; ".join(problems[:shown]) + more
