"""Learning-rate policies (network.c: get_current_rate)."""

import math
import re
from collections.abc import Callable, Sequence
from typing import TypeVar

from yolo.params.optimisation import Schedule

Number = TypeVar("Number", int, float)
_POLICIES = ("constant", "steps", "poly")


def rate(schedule: Schedule, batch: int, batches: int) -> float:
    """Learning rate of one update.

    Args:
        schedule: the policy and its numbers.
        batch: number of the update; the first is 1, as the original counts before it updates.
        batches: number of the last one, at which policy poly reaches 0.
    """
    return _rate(
        schedule.policy,
        schedule.learning_rate,
        schedule.burn_in,
        schedule.power,
        schedule.steps,
        schedule.scales,
        batches,
        batch,
    )


def from_darknet(cfg_text: str) -> Callable[[int], float]:
    """The schedule of a darknet configuration: a function from batch number to learning rate.

    Args:
        cfg_text: a `.cfg` file, or the lines of its `[net]` section with or without that line.
            Keys that are missing have the original's defaults (parser.c: parse_net_options).

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

    def rate_of(batch: int) -> float:
        return _rate(policy, learning_rate, burn_in, power, steps, scales, batches, batch)

    return rate_of


def _rate(
    policy: str,
    learning_rate: float,
    burn_in: int,
    power: float,
    steps: Sequence[int],
    scales: Sequence[float],
    batches: int,
    batch: int,
) -> float:
    if batch < burn_in:
        return learning_rate * math.pow(batch / burn_in, power)
    if policy == "poly":
        return learning_rate * math.pow(1 - batch / batches, power)
    if policy == "steps":
        for step, scale in zip(steps, scales, strict=True):
            if batch < step:
                break
            learning_rate *= scale
    return learning_rate


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
