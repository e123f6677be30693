"""The batch at which a training stopped because a loss or gradient was not finite, as a file."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from yolo.errors import UserError
from yolo.files import replacing

FILE = "not_finite.pt"


@dataclass(frozen=True)
class FailedBatch:
    """Everything that repeats the failed update."""

    update: int
    terms: dict[str, float]
    """Loss terms and norm of the gradient of that update."""
    batches: list[dict[str, Any]]
    """The update's micro-batches by field: `names`, `images` (N, H, W, 3) uint8, ..."""
    model: dict[str, Tensor]
    """The weights before the update."""

    @property
    def names(self) -> list[str]:
        """Names of the images, in order."""
        return [name for batch in self.batches for name in batch["names"]]


def save(
    path: Path,
    *,
    update: int,
    terms: Mapping[str, float],
    batches: Sequence[Any],
    model: Mapping[str, Tensor],
) -> None:
    """Write a failed batch; OSError or RuntimeError if that cannot be done."""
    content = {
        "update": update,
        "terms": dict(terms),
        "batches": [_fields(batch) for batch in batches],
        "model": {name: value.cpu() for name, value in model.items()},
    }
    with replacing(path) as temporary, temporary.open("wb") as file:
        torch.save(content, file)


def load(path: Path) -> FailedBatch:
    """Read a failed batch; `UserError` if the file is not one."""
    try:
        return FailedBatch(**torch.load(path, map_location="cpu", weights_only=True))
    except FileNotFoundError:
        raise UserError(f"{path} does not exist") from None
    except Exception as error:
        first = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UserError(
            f"{path} cannot be read as a batch that a training saved ({first})"
        ) from None


def _fields(batch: Any) -> dict[str, Any]:
    return {field.name: getattr(batch, field.name) for field in fields(batch)}
