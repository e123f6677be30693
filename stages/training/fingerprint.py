"""What a training depends on, in one number: equal means that an interrupted one may go on."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

from ruamel.yaml import YAML

from yolo.files import digest
from yolo.params.base import View

_PIPELINE = Path("dvc.yaml")
_LENGTH = 16


def contents(stage: str) -> dict[str, str]:
    """SHA-256 of every file that the stage's `deps` in `dvc.yaml` name, or that lies below."""
    declared = YAML(typ="safe", pure=True).load(_PIPELINE)["stages"][stage]["deps"]
    files = {file for dependency in declared for file in _files(Path(dependency))}
    return {file.as_posix(): digest(file) for file in sorted(files)}


def fingerprint(inputs: View, sums: Mapping[str, str]) -> str:
    """Hexadecimal number of the parameters that a stage reads and the `contents` of its deps."""
    everything = json.dumps([inputs.model_dump(mode="json"), sums], sort_keys=True)
    return hashlib.sha256(everything.encode()).hexdigest()[:_LENGTH]


def within(sums: Mapping[str, str], *paths: Path) -> dict[str, str]:
    """The sums of those files that are one of `paths` or lie below one."""
    return {
        name: own
        for name, own in sums.items()
        if any(Path(name).is_relative_to(path) for path in paths)
    }


def _files(path: Path) -> list[Path]:
    return [file for file in path.rglob("*") if file.is_file()] if path.is_dir() else [path]
