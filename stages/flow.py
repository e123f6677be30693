"""The Prefect flow: its tasks are the stages that `dvc.yaml` declares, never a second list of them.

    python -m stages.flow [STAGE...] [--force] [--dry]

DVC alone judges what is stale; Prefect runs, watches and tells. Status is asked once, before
anything runs, because DVC refuses to answer while a stage writes. A stage that was up to date then,
and above which nothing ran since, finishes without a process.
"""

import argparse
import atexit
import logging
import os
import sys
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

# Prefect reads its settings when it is imported. Nothing is sent to anyone.
os.environ.setdefault("DO_NOT_TRACK", "1")
os.environ.setdefault("DVC_NO_ANALYTICS", "1")
os.environ.setdefault("PREFECT_SERVER_ANALYTICS_ENABLED", "false")
if __name__ == "__main__":
    # as a command: our lines on the terminal, Prefect's own in the log that its server keeps
    os.environ.setdefault("PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL", "CRITICAL")
    profiles = Path.home() / ".prefect" / "profiles.toml"
    if "PREFECT_HOME" not in os.environ and profiles.exists():
        # a server that the user has chosen counts, wherever the temporary one keeps its database
        os.environ.setdefault("PREFECT_PROFILES_PATH", str(profiles))
    os.environ.setdefault("PREFECT_HOME", str(Path("runs/prefect").absolute()))
    Path(os.environ["PREFECT_HOME"]).mkdir(parents=True, exist_ok=True)

from prefect import Task, allow_failure, flow, get_run_logger, task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State
from prefect.futures import PrefectFuture
from prefect.settings import PREFECT_API_URL, get_current_settings, temporary_settings
from prefect.states import Cancelled, Completed, Failed

from stages.plan import Plan, PlannedStage, read_plan
from stages.process import Running
from stages.server import TemporaryServer
from yolo.errors import UserError

Outcome = Literal["Ran", "Restored", "UpToDate", "Failed", "NotReached"]
WORDS: dict[Outcome, str] = {
    "Ran": "ran",
    "Restored": "restored from the cache",
    "UpToDate": "up to date",
    "Failed": "failed",
    "NotReached": "not reached",
}
_LAST_LINES = 20
_HINTS = (
    "To track the changes with git",
    "\tgit add ",
    "To enable auto staging",
    "\tdvc config core",
)
"""What DVC prints after every stage; the user hears it once from Git."""
_OUTPUT = "output"


class StageFailed(Exception):
    """A stage ended with an error; the text carries the exit status and the last lines."""


@dataclass
class Run:
    """One run of a plan and what has come of it so far."""

    plan: Plan
    force: bool
    running: Running = field(default_factory=Running)
    outcomes: dict[str, Outcome] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)

    def without_result(self, stage: PlannedStage) -> list[str]:
        """Names of the stages right above `stage` that failed or were not reached."""
        done = ("Ran", "Restored", "UpToDate")
        return [name for name in stage.upstream if self.outcomes.get(name) not in done]

    def may_have_changed(self, stage: PlannedStage) -> bool:
        """Whether `stage` was stale from the start or something right above it ran."""
        above = {self.outcomes.get(name) for name in stage.upstream}
        return self.force or stage.stale or bool(above & {"Ran", "Restored"})

    def reproduce(self, stage: PlannedStage, logger: logging.Logger) -> Outcome:
        """Let DVC reproduce `stage` alone, or find it unchanged; raise `StageFailed`."""
        command = [sys.executable, "-m", "dvc", "--wait-for-lock", "repro", "--single-item"]
        command += ["--force", stage.name] if self.force else [stage.name]
        lines = Lines(stage.name, logger)
        started = time.monotonic()
        try:
            code = self.running.run(
                command, cwd=self.plan.root, env=_stage_environment(), on_line=lines.take
            )
        finally:
            self.seconds[stage.name] = time.monotonic() - started
        if code:
            raise StageFailed(f"{stage.name} ended with exit status {code}\n" + lines.last())
        return lines.outcome

    def summary(self) -> str:
        """One line per stage with its state."""
        width = max((len(stage.name) for stage in self.plan.stages), default=0)
        lines = []
        for stage in self.plan.stages:
            outcome = self.outcomes.get(stage.name)
            seconds = self.seconds.get(stage.name)
            words = WORDS[outcome] if outcome else "interrupted" if seconds else "not reached"
            took = f"  {seconds:.1f} s" if seconds is not None else ""
            lines.append(f"{stage.name:<{width}}  {words}{took}")
        return "\n".join(lines)


class Lines:
    """The output of `dvc repro` for one stage: logged, its end kept, DVC's verdict picked out."""

    def __init__(self, name: str, logger: logging.Logger):
        self.outcome: Outcome = "Ran"
        self._verdicts: dict[str, Outcome] = {
            f"Running stage '{name}':": "Ran",
            f"Stage '{name}' is cached - skipping run, checking out outputs": "Restored",
            f"Stage '{name}' didn't change, skipping": "UpToDate",
        }
        self._decided = False
        self._logger = logger
        self._last: deque[str] = deque(maxlen=_LAST_LINES)

    def take(self, line: str) -> None:
        """Log one line. The first verdict counts: what follows is the stage's own output."""
        if not self._decided and line in self._verdicts:
            self.outcome, self._decided = self._verdicts[line], True
        if line and not line.startswith(_HINTS):
            self._last.append(line)
            self._logger.info(line)

    def last(self) -> str:
        """Return the last lines."""
        return "\n".join(self._last)


@flow(name="reproduce", flow_run_name="reproduce", persist_result=False)
def reproduce(targets: list[str] | None = None, force: bool = False) -> State:
    """Bring `targets` (default: all stages) and everything above them up to date.

    With `force` every one of them is run again. Completed when every stage has its result; failed,
    naming the stages, when one has none.
    """
    logger = _output_logger()
    try:
        plan = read_plan(targets or ())
    except UserError as error:
        return Failed(message=str(error))
    if any(stage.stale for stage in plan.stages):
        logger.info(plan.table())
    run = Run(plan, force)
    try:
        futures: dict[str, PrefectFuture[Any]] = {}
        for stage in plan.stages:
            above = [allow_failure(futures[name]) for name in stage.upstream]
            futures[stage.name] = _stage_task(run, stage).submit(wait_for=above)
        for future in futures.values():
            future.wait()
    finally:
        # an interrupted flow must leave no trainer behind
        run.running.end_all()
        logger.info(run.summary())
    outcomes = {stage.name: run.outcomes.get(stage.name, "Failed") for stage in plan.stages}
    failed = [name for name, outcome in outcomes.items() if outcome == "Failed"]
    if failed:
        return Failed(message=f"failed: {', '.join(failed)}")
    return Completed(message=f"{len(plan.stages)} stages have their results")


def _stage_task(run: Run, stage: PlannedStage) -> Task[..., Any]:
    """Make the Prefect task that brings one stage up to date."""

    @task(name=stage.name, task_run_name=stage.name, cache_policy=NO_CACHE, persist_result=False)
    def bring_up_to_date() -> State:
        missing = run.without_result(stage)
        if missing:
            run.outcomes[stage.name] = "NotReached"
            return Cancelled(name="NotReached", message=f"no result of {', '.join(missing)}")
        if not run.may_have_changed(stage):
            run.outcomes[stage.name] = "UpToDate"
            return Completed(name="UpToDate", message="nothing that it reads changed")
        try:
            outcome = run.reproduce(stage, _output_logger())
        except BaseException:
            run.outcomes[stage.name] = "Failed"
            raise
        run.outcomes[stage.name] = outcome
        return Completed(name=outcome, message=f"{run.seconds[stage.name]:.1f} s")

    return bring_up_to_date


def _output_logger() -> logging.Logger:
    """The logger of the current flow or task run, apart from what Prefect itself says there."""
    logger: Any = get_run_logger()
    return logger.getChild(_OUTPUT)


def _stage_environment() -> dict[str, str]:
    """The environment of `dvc repro`: this interpreter's programs first, output unbuffered."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
    return os.environ | {"PATH": path, "PYTHONUNBUFFERED": "1"}


def _show_output() -> None:
    """Print the lines of flow and stages, and nothing else, on standard output."""
    for name, layout in (
        ("prefect.flow_runs", "%(message)s"),
        ("prefect.task_runs", "%(task_run_name)s | %(message)s"),
    ):
        handler = logging.StreamHandler(sys.stdout)
        handler.setFormatter(logging.Formatter(layout))
        logging.getLogger(f"{name}.{_OUTPUT}").addHandler(handler)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the flow as a command; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m stages.flow", description="Run the pipeline.")
    parser.add_argument("targets", nargs="*", metavar="STAGE", help="default: all stages")
    parser.add_argument("--force", action="store_true", help="run even what is up to date")
    parser.add_argument("--dry", action="store_true", help="only print what is stale and why")
    options = parser.parse_args(arguments)
    try:
        if options.dry:
            print(read_plan(options.targets).table())
            return 0
        with temporary_settings({PREFECT_API_URL: PREFECT_API_URL.value() or _start_server()}):
            _show_output()
            state = reproduce(options.targets, options.force, return_state=True)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    if state.is_completed():
        return 0
    print(f"error: {state.message}", file=sys.stderr)
    return 1


def _start_server() -> str:
    """Start a server that ends after Prefect has sent its last log lines; return its address."""
    started = time.monotonic()
    server = TemporaryServer(Path(get_current_settings().home))
    atexit.register(server.end)
    server.wait()
    print(
        f"a temporary Prefect server took {time.monotonic() - started:.1f} s to start", flush=True
    )
    return server.url


if __name__ == "__main__":
    sys.exit(main())
