"""One run of a plan: `dvc repro` for each stage, in its own process group, by its policy.

Nothing here knows Prefect.
"""

import logging
import math
import os
import signal
import sys
import time
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from stages.common.exit_status import Attempt, Ending
from stages.repro.budget import Budget
from stages.repro.command import Running
from stages.repro.plan import Plan, PlannedStage
from stages.repro.redact import WEBHOOK_VARIABLE, Redactor
from stages.repro.retry_policy import PREEMPTIONS, policy_of
from yolo.errors import BUDGET_SPENT, PREEMPTED

Outcome = Literal["Ran", "Restored", "UpToDate", "Failed", "NotReached", "BudgetSpent"]
WORDS: dict[Outcome, str] = {
    "Ran": "ran",
    "Restored": "restored from the cache",
    "UpToDate": "up to date",
    "Failed": "failed",
    "NotReached": "not reached",
    "BudgetSpent": "stopped, its budget is spent",
}
_LAST_LINES = 20
_TOLD_TO_STOP = {code for n in (signal.SIGTERM, signal.SIGINT) for code in (-n, 128 + n)}
"""How a process ends that such a signal ends, as the system and as a shell has it."""
_HINTS = (
    "To track the changes with git",
    "\tgit add ",
    "To enable auto staging",
    "\tdvc config core",
)
"""Lines that DVC prints after every stage, and that help nobody here."""


class StageFailed(Exception):
    """A stage ended with an error; the text carries the exit status and the last lines."""


class BudgetSpent(Exception):
    """A stage stopped, or did not start, because its time or the run's money is spent."""


@dataclass
class Attempts:
    """What has come of the attempts at one stage."""

    seconds: float = 0.0
    """All attempts together."""
    count: int = 0
    failures: int = 0
    preemptions: int = 0
    was_preempted: bool = False
    """Whether the last one was told to stop."""


@dataclass
class StageRun:
    """One stage in one run: what was planned, and what has come of it so far."""

    planned: PlannedStage
    outcome: Outcome | None = None
    """None: not finished, or interrupted."""
    attempts: Attempts = field(default_factory=Attempts)
    reason: str = ""
    """Text of the last failure; empty when the last attempt did not fail."""
    ending: Ending | None = None
    """What the last attempt said of itself, if the stage is a training."""
    is_pushed: bool = False
    """Whether this run has sent its results to the DVC remote."""

    @property
    def name(self) -> str:
        """Name of the stage."""
        return self.planned.name

    @property
    def has_result(self) -> bool:
        """Whether its results are there, new or old."""
        return self.outcome in ("Ran", "Restored", "UpToDate")

    @property
    def has_new_result(self) -> bool:
        """Whether this run made its results or took them from DVC's cache."""
        return self.outcome in ("Ran", "Restored")

    @property
    def words(self) -> str:
        """Its state for people."""
        if self.outcome:
            return WORDS[self.outcome]
        return "interrupted" if self.attempts.count else "not reached"


class Run:
    """One run of a plan and what has come of it so far."""

    def __init__(
        self,
        plan: Plan,
        *,
        force: bool = False,
        pull: bool = False,
        redact: Redactor | None = None,
        budget: Budget | None = None,
    ) -> None:
        """`force`: run stages that are up to date, too; `pull`: fetch what stale stages read;
        `budget`: prices the time, and may limit it.
        """
        self.plan, self.force, self.pull = plan, force, pull
        self.budget = budget or Budget()
        self.redact = redact or Redactor()
        self.running = Running()
        self.stages = {planned.name: StageRun(planned) for planned in plan.stages}

    def without_result(self, stage: StageRun) -> list[str]:
        """Names of the stages right above `stage` that failed or were not reached."""
        return [name for name in stage.planned.upstream if not self.stages[name].has_result]

    def may_have_changed(self, stage: StageRun) -> bool:
        """Whether `stage` was stale from the start or something right above it ran."""
        above = [self.stages[name] for name in stage.planned.upstream]
        return self.force or stage.planned.stale or any(one.has_new_result for one in above)

    def attempted(self) -> list[str]:
        """Names of the stages that were started."""
        return [stage.name for stage in self.stages.values() if stage.attempts.count]

    def changed(self) -> list[str]:
        """Names of the stages that have new results."""
        return [stage.name for stage in self.stages.values() if stage.has_new_result]

    def with_result(self) -> list[str]:
        """Names of the stages that have results, new or old."""
        return [stage.name for stage in self.stages.values() if stage.has_result]

    def reproduce(self, stage: StageRun, logger: logging.Logger) -> None:
        """Let DVC reproduce `stage` alone, or find it unchanged: one attempt.

        Raises:
            StageFailed: The attempt failed; `may_try_again` says whether another is due.
            BudgetSpent: It stopped by itself, or `YOLO_MAX_PRICE` is spent.
        """
        name, policy, past = stage.name, policy_of(stage.name), stage.attempts
        if past.count and not past.was_preempted:
            logger.info(f"attempt {past.count + 1} follows in {policy.delay:g} s")
            self.running.pause(policy.delay)
        if self.budget.is_spent():
            raise self._spent(stage, f"{name} was not started: YOLO_MAX_PRICE is spent")
        past.count += 1
        past.was_preempted = False
        lines, attempt = Lines(name, logger, self.redact), Attempt(self.plan.root, name)
        started = time.monotonic()
        try:
            code = self.running.run(
                self._command(name),
                cwd=self.plan.root,
                env=_environment() | attempt.environment,
                on_line=lines.take,
                time_out=self._seconds_left(policy.time_out),
            )
        except TimeoutError:
            if self.budget.is_spent():
                raise self._spent(stage, f"{name} was ended: YOLO_MAX_PRICE is spent") from None
            past.failures += 1
            limit = f"{name} was ended: one attempt may take {policy.time_out:g} s"
            raise self._failed(
                stage, f"{limit} (stages/repro/retry_policy.py)\n{lines.last()}"
            ) from None
        finally:
            past.seconds += time.monotonic() - started
            ending = attempt.ending()
            stage.ending = ending or stage.ending
        if not code:
            stage.outcome, stage.reason = lines.outcome, ""
            return
        status = ending.status if ending else None
        if status is None and code in _TOLD_TO_STOP:
            # before the training had begun, or while it starts: it had nothing to save
            status = PREEMPTED
        if status == BUDGET_SPENT:
            raise self._spent(stage, f"{name} stopped with its state saved: its budget is spent")
        if status == PREEMPTED:
            past.preemptions += 1
            past.was_preempted = True
            times = f" ({past.preemptions} times by now)" if past.preemptions > 1 else ""
            raise self._failed(stage, f"{name} was told to stop and saved its state{times}")
        past.failures += 1
        raise self._failed(stage, f"{name} ended with exit status {code}\n{lines.last()}")

    def command(self, command: list[str], logger: logging.Logger, **environment: str) -> str:
        """Run a program of this environment; raise `StageFailed` with its last lines."""
        lines = Lines("", logger, self.redact)
        program, *arguments = command
        start = [sys.executable, "-m", "dvc"] if program == "dvc" else [program]
        code = self.running.run(
            [*start, *arguments],
            cwd=self.plan.root,
            env=_environment() | environment,
            on_line=lines.take,
        )
        if code:
            raise StageFailed(f"{program} {arguments[0]} failed ({code})\n{lines.last()}")
        return lines.last()

    def may_try_again(self, stage: StageRun) -> bool:
        """Whether another attempt at the stage, whose last one failed, is due."""
        if self.running.ending or stage.outcome != "Failed":
            return False
        if stage.attempts.was_preempted:
            return stage.attempts.preemptions <= PREEMPTIONS
        return stage.attempts.failures <= policy_of(stage.name).retries

    def summary(self) -> str:
        """One line per stage with its state."""
        width = max(map(len, self.stages), default=0)
        lines = []
        for stage in self.stages.values():
            count = stage.attempts.count
            took = f"  {stage.attempts.seconds:.1f} s" if count else ""
            tries = f", {count} attempts" if count > 1 else ""
            lines.append(f"{stage.name:<{width}}  {stage.words}{took}{tries}")
        return "\n".join(lines)

    def _seconds_left(self, time_out: float | None) -> float | None:
        """How long an attempt may take, whose policy has that time-out."""
        left = min(self.budget.seconds_left(), math.inf if time_out is None else time_out)
        return None if left == math.inf else left

    def _spent(self, stage: StageRun, reason: str) -> BudgetSpent:
        if not self.running.ending:
            stage.outcome = "BudgetSpent"
        stage.reason = reason
        return BudgetSpent(reason)

    def _failed(self, stage: StageRun, reason: str) -> StageFailed:
        if not self.running.ending:
            stage.outcome = "Failed"
        stage.reason = reason
        return StageFailed(reason)

    def _command(self, name: str) -> list[str]:
        command = [sys.executable, "-m", "dvc", "--wait-for-lock", "repro", "--single-item"]
        if self.pull:
            command += ["--pull"]
            # what is missing everywhere is made again
            command += [] if name in self.plan.lost else ["--allow-missing"]
        if self.force:
            command += ["--force"]
        return [*command, name]


class Lines:
    """The output of `dvc repro` for one stage: logs it, keeps its end, finds DVC's verdict."""

    def __init__(self, name: str, logger: logging.Logger, redact: Redactor):
        self.outcome: Outcome = "Ran"
        self._verdicts: dict[str, Outcome] = {
            f"Running stage '{name}':": "Ran",
            f"Stage '{name}' is cached - skipping run, checking out outputs": "Restored",
            f"Stage '{name}' didn't change, skipping": "UpToDate",
        }
        self._decided = False
        self._logger, self._redact = logger, redact
        self._last: deque[str] = deque(maxlen=_LAST_LINES)

    def take(self, line: str) -> None:
        """Log one line. The first verdict counts: what follows is the stage's own output."""
        if not self._decided and line in self._verdicts:
            self.outcome, self._decided = self._verdicts[line], True
        if line and not line.startswith(_HINTS):
            line = self._redact(line)
            self._last.append(line)
            self._logger.info(line)

    def last(self) -> str:
        """Return the last lines."""
        return "\n".join(self._last)


def _environment() -> dict[str, str]:
    """For every command: this interpreter's programs first, output unbuffered, no webhook."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
    kept = {name: value for name, value in os.environ.items() if name != WEBHOOK_VARIABLE}
    return kept | {"PATH": path, "PYTHONUNBUFFERED": "1"}
