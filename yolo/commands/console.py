"""Printing, and options that several commands share."""

import json
from typing import Annotated, Any

import typer

Json = Annotated[bool, typer.Option("--json", help="Print JSON and nothing else.")]


def print_json(value: Any) -> None:
    """Print a value as JSON; raises ValueError on NaN and infinity."""
    print(json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False))


def defined(value: float) -> float | None:
    """Return the value, or None for NaN, which JSON has no number for."""
    return None if value != value else value


def percent(value: float, *, sign: bool = False) -> str:
    """Format a share (0 to 1) in per cent with one decimal, NaN as n/a."""
    if value != value:
        return "n/a"
    return f"{100 * value:+.1f}" if sign else f"{100 * value:.1f}"


def names(listed: str | None) -> list[str] | None:
    """Split comma-separated names; None stays None."""
    return None if listed is None else [name.strip() for name in listed.split(",")]
