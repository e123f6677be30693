"""Presets: `params.yaml` is made of `presets/base.yaml`, with its comments, and an overlay."""

import io
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.representer import RoundTripRepresenter

from yolo.errors import UserError
from yolo.files import replacing
from yolo.params.base import PARAMS_FILE, parse, read_document
from yolo.params.root import Params

BASE = "base"


def names(folder: Path = Path("presets")) -> list[str]:
    """Return the names of the presets in `folder`, sorted."""
    return sorted(path.stem for path in folder.glob("*.yaml") if path.stem != BASE)


def write(name: str, folder: Path = Path("presets"), path: Path = PARAMS_FILE) -> None:
    """Rewrite `path` from preset `name`; on an error the file is left unchanged.

    Raises `UserError` for an unknown preset, a key that the base does not have, or a value that
    `yolo.params` does not allow.
    """
    text = compose(name, folder)
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def compose(
    name: str, folder: Path = Path("presets"), changes: Mapping[str, Any] | None = None
) -> str:
    """Return the text of `params.yaml` for preset `name`: the base with the overlay's values.

    `changes` are further values, such as the sources of the data.
    """
    if name not in names(folder):
        known = ", ".join(names(folder)) or f"none in {folder.absolute()}"
        raise UserError(f"no preset is named {name!r}; there are: {known}")
    overlay_path = folder / f"{name}.yaml"
    yaml = YAML()
    yaml.preserve_quotes = True
    yaml.width = 10_000
    yaml.Representer = _Plain
    document = yaml.load(folder / f"{BASE}.yaml")
    overlay(document, read_document(overlay_path), str(overlay_path))
    overlay(document, changes or {}, "the changes")
    buffer = io.StringIO()
    yaml.dump(document, buffer)
    parse(Params, YAML(typ="safe", pure=True).load(buffer.getvalue()), str(overlay_path))
    return buffer.getvalue()


def overlay(base: CommentedMap, values: Mapping[str, Any], name: str, above: str = "") -> None:
    """Merge `values` into `base`: blocks are merged, other values replaced, comments kept."""
    for key, value in values.items():
        full = f"{above}{key}"
        if key not in base:
            allowed = ", ".join(base)
            raise UserError(f"{name}: unknown key {full}; presets/base.yaml has here: {allowed}")
        if isinstance(base[key], CommentedMap) and isinstance(value, Mapping):
            overlay(base[key], value, name, f"{full}.")
        elif isinstance(base[key], CommentedMap):
            raise UserError(f"{name}: {full} is {value!r}; it must be a block")
        else:
            base[key] = CommentedSeq(value) if isinstance(value, list) else value


class _Plain(RoundTripRepresenter):
    """Writes floats as 0.00001, not 1e-05, which PyYAML reads as text.

    Null is written as an empty value, as `dvc exp run -S` does, so that a diff shows no other line.
    """

    def plain_float(self, value: float) -> Any:
        text = format(Decimal(repr(value)), "f")
        text = text if "." in text else f"{text}.0"
        return self.represent_scalar("tag:yaml.org,2002:float", text)


_Plain.add_representer(float, _Plain.plain_float)
