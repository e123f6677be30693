"""The numbers of a run: metrics with their change, time and price of each stage."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from stages.repro.plan import Plan
from stages.repro.run import WORDS, Run

Metrics = dict[str, float]
Row = dict[str, Any]


def read_metrics(plan: Plan) -> Metrics:
    """Every number in the stages' metrics files: `reports/evaluate/metrics.json: voc07_map`."""
    found: Metrics = {}
    for stage in plan.stages:
        for path in stage.metrics:
            try:
                document = json.loads((plan.root / path).read_text(encoding="utf-8"))
            except (OSError, ValueError):
                continue
            found |= {f"{path}: {key}": value for key, value in _leaves(document)}
    return found


def metric_rows(before: Metrics, now: Metrics) -> list[Row]:
    """A row per metric with its value before the run, now, and the change."""
    return [
        {
            "metric": name,
            "before": _shown(before.get(name)),
            "now": _shown(value),
            "change": _shown(value - before[name], sign=True) if name in before else "new",
        }
        for name, value in now.items()
    ]


def stage_rows(run: Run, price_per_hour: float | None) -> list[Row]:
    """A row per stage: what came of it, why it was run, time, attempts, price."""
    rows = []
    below = run.plan.below_stale()
    for stage in run.plan.stages:
        outcome, past = run.outcomes.get(stage.name), run.attempts.get(stage.name)
        why = "; ".join(map(str, stage.changes))
        if not why and past:
            why = "something above it ran" if stage.name in below else "forced"
        row: Row = {
            "stage": stage.name,
            "state": WORDS[outcome] if outcome else "interrupted" if past else "not reached",
            "why": run.mask(why),
            "seconds": round(past.seconds, 1) if past else 0.0,
            "attempts": past.count if past else 0,
        }
        if price_per_hour is not None:
            row["price"] = price(row["seconds"], price_per_hour)
        rows.append(row)
    return rows


def price(seconds: float, per_hour: float) -> float:
    """What `seconds` cost, in the currency of `per_hour`."""
    return round(seconds / 3600 * per_hour, 4)


def _leaves(value: Any, above: str = "") -> Iterator[tuple[str, float]]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _leaves(inner, f"{above}.{key}" if above else str(key))
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield above, value


def _shown(value: float | None, *, sign: bool = False) -> str:
    if value is None:
        return ""
    return f"{value:+.4g}" if sign else f"{value:.6g}"
