"""From a folder of images and labels to a `params.yaml` that trains on it."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from stages.project.preset import compose
from yolo.errors import UserError
from yolo.files import replacing
from yolo.inspection.dataset import SetReport, check
from yolo.params.base import PARAMS_FILE
from yolo.training.detect_train.object_size import SMALL

PRESET = "custom"
_LARGEST = 448
"""Input size that is proposed at most (pixels): the paper's."""


@dataclass(frozen=True)
class Proposal:
    """The parameters for a set, and what was found of it."""

    report: SetReport
    changes: Mapping[str, Any]
    """Values in place of the preset's."""
    text: str
    """The whole of `params.yaml`."""
    reason: str
    """Why this input size."""

    def write(self, path: Path = PARAMS_FILE) -> None:
        """Rewrite `params.yaml`."""
        with replacing(path) as temporary:
            temporary.write_text(self.text, encoding="utf-8")


def propose(
    source: Path, classification: Path | None = None, presets: Path = Path("presets")
) -> Proposal:
    """Read a detection set and propose parameters for it.

    Args:
        source: The set: a folder or an archive.
        classification: A set to pre-train the backbone on; None: the preset's.
        presets: Folder of the presets.

    Raises:
        UserError: The set is refused by the rules, or has no boxes.
    """
    (report,) = check([source]).sets
    if report.kind == "classification":
        raise UserError(
            f"{source} has no boxes ({report.layout}); a detector needs images with boxes. "
            "To pre-train on it, name it with --classification"
        )
    if not report.admitted:
        raise UserError(
            f"{source} is not admitted; `yolov1 check {source}` says why, and docs/data.md what "
            "each rule means"
        )
    preset = YAML(typ="safe", pure=True).load(compose(PRESET, presets))
    size, grid, reason = _input_size(report, preset["model"])
    data: dict[str, Any] = {"detection": {"source": str(source)}}
    if classification is not None:
        data["classification"] = {"source": str(classification)}
    changes: dict[str, Any] = {"data": data, "model": {"input_size": size, "grid": grid}}
    shorter_side = preset["data"]["detection"]["shorter_side"]
    if shorter_side is not None and shorter_side < size:
        data["detection"]["shorter_side"] = size
    return Proposal(report, changes, compose(PRESET, presets, changes), reason)


def _input_size(report: SetReport, model: Mapping[str, Any]) -> tuple[int, int, str]:
    """Input size and grid at which the objects of no class are small, and the reason.

    The pixels per cell stay the preset's.
    """
    size, grid = model["input_size"], model["grid"]
    smallest = min(report.class_sides, key=lambda name: report.class_sides[name])
    share = report.class_sides[smallest]
    stride = size / grid
    needed = math.ceil(SMALL / share / stride - 1e-9)
    cells = max(grid, min(needed, math.floor(_LARGEST / stride)))
    side = round(cells * stride)
    reason = (
        f"half of the objects of class {smallest}, the smallest, have a side of "
        f"{share * side:.0f} pixels or more at this size"
    )
    return side, cells, reason
