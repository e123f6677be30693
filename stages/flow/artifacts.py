"""Prefect artifacts of a run: tables, the report, images."""

import base64
import logging
from collections.abc import Callable
from pathlib import Path

from prefect.artifacts import (
    create_image_artifact,
    create_markdown_artifact,
    create_table_artifact,
)

from stages.flow.metrics import Metrics, metric_rows, read_metrics, stage_rows
from stages.registry.release_gate import ReleaseDecision
from stages.repro.run import Run

_REPORT = Path("reports/evaluate/report.html")
_PICTURES = Path("reports/evaluate/pictures")
_SHOWN = 3
_MOST_BYTES = 300_000
"""Of an image: it is kept whole in the server's data base."""


def publish(
    run: Run,
    before: Metrics,
    decision: ReleaseDecision | None,
    logger: logging.Logger,
) -> None:
    """Publish the artifacts; one that fails is logged and fails nothing else."""
    parts: list[Callable[[], None]] = [lambda: _stages(run)]
    if run.changed():
        parts += [lambda: _metrics(run, before), lambda: _report(run)]
        parts += [lambda path=path: _picture(path) for path in _pictures(run)]
    if decision:
        parts.append(lambda: _promotion(run, decision))
    for part in parts:
        try:
            part()
        except Exception as error:
            logger.warning(run.redact(f"an artifact could not be published: {error}"))


def _stages(run: Run) -> None:
    rows = stage_rows(run)
    seconds = sum(row["seconds"] for row in rows)
    total = f"{seconds:.0f} s in stages"
    price = run.budget.price(seconds)
    if price is not None:
        total += f", {price:.2f} at {run.budget.price_per_hour:g} an hour"
    create_table_artifact(rows, key="stages", description=f"What ran and why. {total}")


def _metrics(run: Run, before: Metrics) -> None:
    if rows := metric_rows(before, read_metrics(run.plan)):
        create_table_artifact(rows, key="metrics", description="Metrics, and since the last run")


def _report(run: Run) -> None:
    """Where the report is: on this machine, and in the remote when it has one."""
    path = run.plan.root / _REPORT
    if "evaluate" not in run.changed() or not path.exists():
        return
    lines = [f"On the machine of the run: `{path}`"]
    if run.plan.has_remote:
        from dvc.api import get_url

        address = run.redact(get_url(str(_REPORT), repo=str(run.plan.root)))
        shown = f"[{address}]({address})" if address.startswith("http") else f"`{address}`"
        lines.append(f"In the DVC remote, once pushed: {shown}")
    lines.append(f"By DVC, in any clone at this run's commit: `dvc pull {_REPORT}`")
    create_markdown_artifact("\n\n".join(lines), key="report", description="The report")


def _promotion(run: Run, decision: ReleaseDecision) -> None:
    title = f"Released as {decision.tag}" if decision.tag else "Not released"
    create_markdown_artifact(
        f"**{title}**\n\n{run.redact(decision.reason)}",
        key="promotion",
        description="Whether the new detector may take the place of the released one",
    )


def _pictures(run: Run) -> list[Path]:
    if "evaluate" not in run.changed():
        return []
    found = sorted((run.plan.root / _PICTURES).glob("*.jpg"))
    return [path for path in found if path.stat().st_size <= _MOST_BYTES][:_SHOWN]


def _picture(path: Path) -> None:
    content = base64.b64encode(path.read_bytes()).decode()
    create_image_artifact(
        f"data:image/jpeg;base64,{content}", key="picture", description=f"`{path.name}`"
    )
