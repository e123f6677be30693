"""What a training depends on, in one number: equal means that an interrupted one may go on."""

import hashlib
import json
from pathlib import Path

from ruamel.yaml import YAML

from yolo.files import digest
from yolo.params.document import View

_PIPELINE = Path("dvc.yaml")
_LENGTH = 16


def fingerprint(stage: str, inputs: View) -> str:
    """Hexadecimal number of the parameters that the stage reads and the content of its `deps`."""
    declared = YAML(typ="safe", pure=True).load(_PIPELINE)["stages"][stage]["deps"]
    contents = {dependency: _content(Path(dependency)) for dependency in declared}
    everything = json.dumps([inputs.model_dump(mode="json"), contents], sort_keys=True)
    return hashlib.sha256(everything.encode()).hexdigest()[:_LENGTH]


def _content(path: Path) -> str | dict[str, str]:
    if path.is_dir():
        files = sorted(file for file in path.rglob("*") if file.is_file())
        return {file.relative_to(path).as_posix(): digest(file) for file in files}
    return digest(path)
