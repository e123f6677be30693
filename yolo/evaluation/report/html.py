"""What the HTML pages share: the frame, the format of numbers, tables of plain values."""

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined

from yolo.nested import flatten


def environment(package: str) -> Environment:
    """Return the templates of `package` with their filters; `page.html` is the frame."""
    templates = Environment(
        loader=ChoiceLoader([PackageLoader(package), PackageLoader("yolo.evaluation.report")]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
    )
    templates.filters |= {
        "percent": _percent,
        "signed": lambda value: "" if np.isnan(value) else f"{100 * value:+.1f}",
        "interval": _interval,
        "width": lambda value: f"{0 if np.isnan(value) else 100 * value:.1f}%",
        "thousands": lambda value: f"{value:,}",
    }
    return templates


def rows(values: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Nested values as text under dotted names, sorted by name."""
    return sorted((name, plain(value)) for name, value in flatten(values))


def plain(value: Any) -> str:
    """Format a value of the weights' metadata or of parameters."""
    if isinstance(value, str):
        return value
    if isinstance(value, (list, tuple)) and all(isinstance(item, str) for item in value):
        return ", ".join(value)
    return json.dumps(value, sort_keys=True, ensure_ascii=False)


def _percent(value: float) -> str:
    return "–" if np.isnan(value) else f"{100 * value:.1f}"  # noqa: RUF001


def _interval(bounds: tuple[float, float]) -> str:
    low, high = bounds
    return "–" if np.isnan(low) else f"{100 * low:.1f} to {100 * high:.1f}"  # noqa: RUF001
