"""The fingerprint of a training: its parameters and deps. A training resumes a state of its own."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

from pathspec import GitIgnoreSpec
from ruamel.yaml import YAML

from yolo.files import digest
from yolo.params.base import View

_PIPELINE, _IGNORE = Path("dvc.yaml"), Path(".dvcignore")
_LENGTH = 16


def contents(stage: str) -> dict[str, str]:
    """SHA-256 of every file that the stage's `deps` in `dvc.yaml` name or hold.

    Files that `.dvcignore` names do not count, as they do not for DVC: compiled modules and what
    editors write.
    """
    declared = YAML(typ="safe", pure=True).load(_PIPELINE)["stages"][stage]["deps"]
    ignored = _ignored()
    files = {
        file
        for dependency in declared
        for file in _files(Path(dependency))
        if not ignored.match_file(file)
    }
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


def _ignored() -> GitIgnoreSpec:
    lines = _IGNORE.read_text(encoding="utf-8").splitlines() if _IGNORE.is_file() else []
    return GitIgnoreSpec.from_lines(lines)


def _files(path: Path) -> list[Path]:
    return [file for file in path.rglob("*") if file.is_file()] if path.is_dir() else [path]
