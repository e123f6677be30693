"""The schedule of a darknet configuration, read on its own: what `schedule.rate` must equal."""

import re
from collections.abc import Callable
from typing import TypeVar

from yolo.params.optimisation import Schedule
from yolo.training.trainer.schedule import rate

Number = TypeVar("Number", int, float)
_POLICIES = ("constant", "steps", "poly")


def from_darknet(
    cfg_text: str, rate: Callable[[Schedule, int, int], float] = rate
) -> Callable[[int], float]:
    """The schedule of a darknet configuration: a function from batch number to learning rate.

    Args:
        cfg_text: a `.cfg` file, or the lines of its `[net]` section with or without that line.
            Keys that are missing have the original's defaults (parser.c: parse_net_options).
        rate: what computes the rates.

    Raises:
        ValueError: a policy other than constant, steps or poly, a key that the policy needs and
            does not find, or a value that is no number. The message names the key.
    """
    values = _net_section(cfg_text)
    policy = values.get("policy", "constant")
    if policy not in _POLICIES:
        raise ValueError(f"policy is {policy!r}; allowed: {', '.join(_POLICIES)}")
    steps = [_number("steps", text, int) for text in _listed(values, "steps")]
    scales = [_number("scales", text, float) for text in _listed(values, "scales")]
    if policy == "steps" and (not steps or len(steps) != len(scales)):
        raise ValueError(
            "policy steps needs as many scales as steps, and at least one; "
            f"steps has {len(steps)}, scales {len(scales)}"
        )
    batches = _number("max_batches", values.get("max_batches", "0"), int)
    if policy == "poly" and batches < 1:
        raise ValueError(f"policy poly needs max_batches from 1 up; it is {batches}")
    learning_rate = _number("learning_rate", values.get("learning_rate", "0.001"), float)
    burn_in = _number("burn_in", values.get("burn_in", "0"), int)
    power = _number("power", values.get("power", "4"), float)

    schedule = Schedule.model_construct(
        policy=policy,
        learning_rate=learning_rate,
        burn_in=burn_in,
        power=power,
        steps=steps,
        scales=scales,
    )
    return lambda batch: rate(schedule, batch, batches)


def _net_section(cfg_text: str) -> dict[str, str]:
    """Keys and values of the first section; of a repeated key the first counts, as originally."""
    values: dict[str, str] = {}
    headed = False
    for number, line in enumerate(cfg_text.splitlines(), 1):
        # The original takes all white space out of a line.
        text = re.sub(r"\s", "", line)
        if not text or text[0] in "#;":
            continue
        if text[0] == "[":
            if headed or values:
                break
            if text not in ("[net]", "[network]"):
                raise ValueError(f"line {number}: the first section is {text}, not [net]")
            headed = True
            continue
        key, equals, value = text.partition("=")
        if not equals:
            raise ValueError(f"line {number}: {line.strip()!r} is not key=value")
        values.setdefault(key, value)
    return values


def _listed(values: dict[str, str], key: str) -> list[str]:
    return values[key].split(",") if key in values else []


def _number(key: str, text: str, kind: type[Number]) -> Number:
    try:
        return kind(text)
    except ValueError:
        noun = "whole number" if kind is int else "number"
        raise ValueError(f"{key} has {text!r}, which is no {noun}") from None
