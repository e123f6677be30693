"""After the stages: results to the DVC remote, a record to Git; each step is a Prefect task."""

import logging
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Literal

from prefect import get_run_logger, task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State
from prefect.states import Completed

from stages import experiment
from stages.plan import Plan
from stages.reproduction import Run
from yolo.errors import UserError

Record = Literal["none", "experiment", "branch"]
OUTPUT = "output"
"""Name of the loggers that carry what the flow and its stages say."""
_RETRIES, _DELAY = 2, 15.0


def check_destinations(plan: Plan, push: bool, record: Record) -> None:
    """Results that would have nowhere to go are known before days of training."""
    if push and not plan.has_remote:
        raise UserError("push needs a DVC remote; add one: dvc remote add --default NAME URL")
    if record != "none" and not (plan.root / ".git").exists():
        raise UserError(f"recording the run needs a Git repository; {plan.root} is none")
    if push and record != "none":
        experiment.remote(plan.root)


def keep(run: Run, push: bool, record: Record) -> list[str]:
    """Push results and record the run; return what went wrong."""
    # a fresh set of processes: that of the stages has been closed
    keeper = Run(run.plan, mask=run.mask)
    now = datetime.now(UTC)
    steps: list[tuple[str, Callable[[logging.Logger], str]]] = []
    if push:
        steps.append(("push", lambda log: keeper.command(["dvc", "push", *run.changed()], log)))
    if record == "experiment":
        saved = f"run-{now:%Y%m%d-%H%M%S}"
        steps.append(("record", lambda log: _save_experiment(keeper, saved, run, push, log)))
    if record == "branch":
        branch = f"runs/{now:%Y-%m-%d-%H%M%S}"
        steps.append(("record", lambda log: _save_branch(keeper, branch, run, push, log)))
    problems = []
    try:
        for name, step in steps:

            @task(
                name=name,
                task_run_name=name,
                cache_policy=NO_CACHE,
                persist_result=False,
                retries=_RETRIES if push else 0,
                retry_delay_seconds=_DELAY,
            )
            def send(step: Callable[[logging.Logger], str] = step) -> State:
                return Completed(message=step(output_logger()))

            state = send(return_state=True)
            if not state.is_completed():
                problems.append(f"{name} failed: {run.mask(str(state.message))}")
                break
    finally:
        keeper.running.end_all()
    return problems


def _save_experiment(keeper: Run, name: str, run: Run, push: bool, logger: logging.Logger) -> str:
    root = keeper.plan.root
    # named, because without names DVC takes what lies there for the result of every stage
    save = ["dvc", "exp", "save", "--force", "--name", name, *run.changed()]
    keeper.command(save, logger, **experiment.author(root))
    if push:
        keeper.command(["dvc", "exp", "push", experiment.remote(root), name], logger)
    return f"DVC experiment {name}"


def _save_branch(keeper: Run, branch: str, run: Run, push: bool, logger: logging.Logger) -> str:
    root = keeper.plan.root
    subject = f"Run of {', '.join(run.changed())}"
    commit = experiment.commit_results(keeper.plan, branch, f"{subject}\n\n{run.summary()}\n")
    if push:
        target = f"{commit}:refs/heads/{branch}"
        keeper.command(["git", "push", "--quiet", experiment.remote(root), target], logger)
    return f"branch {branch}"


def output_logger() -> logging.Logger:
    """The logger of the current flow or task run, apart from what Prefect itself says there."""
    logger: Any = get_run_logger()
    return logger.getChild(OUTPUT)
