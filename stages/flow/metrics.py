"""The numbers of a run: metrics with their change, time and price of each stage."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from stages.registry import ledger
from stages.repro.plan import Plan
from stages.repro.run import Run
from yolo.nested import flatten

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
            found |= {f"{path}: {key}": value for key, value in _numbers(document)}
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


def stage_rows(run: Run) -> list[Row]:
    """A row per stage: what came of it, why it was run, time, attempts, price."""
    rows = []
    below = run.plan.below_stale()
    for stage in run.stages.values():
        why = "; ".join(map(str, stage.planned.changes))
        if not why and stage.attempts.count:
            why = "something above it ran" if stage.name in below else "forced"
        row: Row = {
            "stage": stage.name,
            "state": stage.words,
            "why": run.redact(why),
            "seconds": round(stage.attempts.seconds, 1),
            "attempts": stage.attempts.count,
        }
        if run.budget.price_per_hour is not None:
            row["price"] = run.budget.price(row["seconds"])
        rows.append(row)
    return rows


def ledger_rows(run: Run, commit: str) -> list[ledger.Row]:
    """A row for the ledger per stage that was started; `commit`: from which the run started."""
    rows = []
    for name in run.attempted():
        stage = run.stages[name]
        seconds = round(stage.attempts.seconds, 1)
        price = run.budget.price(seconds)
        rows.append(
            ledger.Row(
                commit=commit,
                stage=name,
                fingerprint=stage.ending.fingerprint if stage.ending else "",
                device=stage.ending.device if stage.ending else "",
                seconds=f"{seconds:.1f}",
                price="" if price is None else f"{price:.4f}",
                outcome=stage.outcome or ledger.INTERRUPTED,
            )
        )
    return rows


def _numbers(document: Any) -> Iterator[tuple[str, float]]:
    for name, value in flatten(document) if isinstance(document, Mapping) else ():
        if isinstance(value, int | float) and not isinstance(value, bool):
            yield name, value


def _shown(value: float | None, *, sign: bool = False) -> str:
    if value is None:
        return ""
    return f"{value:+.4g}" if sign else f"{value:.6g}"
