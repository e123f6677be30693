"""The keys of `params.yaml` that each stage's script reads, from its `View`."""

import importlib
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import AliasPath

from yolo.params.base import View

READ_BY_NO_STAGE = {
    "promotion": "decides about a result (stages/registry/promotion.py), changes none"
}
"""Blocks that no stage reads, and why."""


def keys(view: type[View]) -> set[str]:
    """Keys such as `model.width`, or `pretrain` for a whole block."""
    return {
        ".".join(map(str, field.validation_alias.path))
        if isinstance(field.validation_alias, AliasPath)
        else str(field.validation_alias or name)
        for name, field in view.model_fields.items()
    }


def inputs_of(stage: str, group: tuple[str, ...] = ()) -> dict[str, set[str]]:
    """Keys by the name that DVC gives the stage: `pretrain`, `validate@detection`."""
    module = importlib.import_module(f"stages.{stage}")
    if group:
        return {f"{stage}@{key}": keys(module.INPUTS[key]) for key in group}
    return {stage: keys(module.Inputs) if hasattr(module, "Inputs") else set()}


def leaves(value: Any, above: str = "") -> Iterator[tuple[str, Any]]:
    """Each key of a document that holds no block, with its value."""
    for name, inner in value.items():
        key = f"{above}{name}"
        if isinstance(inner, Mapping):
            yield from leaves(inner, f"{key}.")
        else:
            yield key, inner
