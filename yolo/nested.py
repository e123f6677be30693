"""Nested mappings under dotted names."""

from collections.abc import Iterator, Mapping
from typing import Any


def flatten(values: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the dotted name and value of each leaf: `{"a": {"b": 1}}` gives `("a.b", 1)`.

    `above`: the name of `values` itself. An empty mapping is a leaf.
    """
    for key, value in values.items():
        name = f"{above}.{key}" if above else str(key)
        if isinstance(value, Mapping) and value:
            yield from flatten(value, name)
        else:
            yield name, value
