"""Learning-rate policies (network.c: get_current_rate)."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from yolo.params.optimisation import Schedule

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
    steps = _numbers(values, "steps", int, "")
    scales = _numbers(values, "scales", float, "")
    if policy == "steps" and (not steps or len(steps) != len(scales)):
        raise ValueError(
            f"policy steps needs as many scales as steps, and at least one; "
            f"steps has {len(steps)}, scales {len(scales)}"
        )
    (batches,) = _numbers(values, "max_batches", int, "0")
    if policy == "poly" and batches < 1:
        raise ValueError(f"policy poly needs max_batches from 1 up; it is {batches}")
    (learning_rate,) = _numbers(values, "learning_rate", float, "0.001")
    (burn_in,) = _numbers(values, "burn_in", int, "0")
    (power,) = _numbers(values, "power", float, "4")

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
        return learning_rate * (batch / burn_in) ** power
    if policy == "poly":
        # The original stops at `batches`; beyond it a rate has no meaning.
        return learning_rate * max(1 - batch / batches, 0.0) ** power
    if policy == "steps":
        for step, scale in zip(steps, scales, strict=True):
            if batch < step:
                break
            learning_rate *= scale
    return learning_rate


def _net_section(cfg_text: str) -> dict[str, str]:
    """Keys and values of the first section; of a repeated key the first counts, as originally."""
    values: dict[str, str] = {}
    inside = False
    for number, line in enumerate(cfg_text.splitlines(), 1):
        # The original takes all white space out of a line.
        text = re.sub(r"\s", "", line)
        if not text or text[0] in "#;":
            continue
        if text[0] == "[":
            if values or inside:
                break
            if text not in ("[net]", "[network]"):
                raise ValueError(f"line {number}: the first section is {text}, not [net]")
            inside = True
            continue
        key, equals, value = text.partition("=")
        if not equals:
            raise ValueError(f"line {number}: {line.strip()!r} is not key=value")
        values.setdefault(key, value)
    return values


def _numbers(
    values: dict[str, str], key: str, kind: Callable[[str], Number], default: str
) -> list[Number]:
    """The numbers of a comma-separated value; only `steps` and `scales` may hold several."""
    value = values.get(key, default)
    try:
        numbers = [kind(text) for text in value.split(",")] if value else []
    except ValueError:
        numbers = []
        value = value or "empty"
    if not numbers and (value or key in values):
        noun = "whole number" if kind is int else "number"
        raise ValueError(f"{key} is {value!r}, not a {noun}")
    return numbers
