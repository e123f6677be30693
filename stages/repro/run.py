"""One run of a plan: each stage by `dvc repro` in its own process group, as its policy says.

Nothing here knows Prefect.
"""

import logging
import os
import signal
import sys
import time
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from stages.common.exit_status import Ending
from stages.repro.command import Running
from stages.repro.plan import Plan, PlannedStage
from stages.repro.redact import WEBHOOK_VARIABLE, Mask
from stages.repro.retry_policy import BUDGET_SPENT, PREEMPTED, PREEMPTIONS, policy_of

Outcome = Literal["Ran", "Restored", "UpToDate", "Failed", "NotReached", "BudgetSpent"]
WORDS: dict[Outcome, str] = {
    "Ran": "ran",
    "Restored": "restored from the cache",
    "UpToDate": "up to date",
    "Failed": "failed",
    "NotReached": "not reached",
    "BudgetSpent": "stopped, its budget is spent",
}
WITH_RESULT: tuple[Outcome, ...] = ("Ran", "Restored", "UpToDate")
"""How a stage ends that has its results."""
_LAST_LINES = 20
_TOLD_TO_STOP = {code for n in (signal.SIGTERM, signal.SIGINT) for code in (-n, 128 + n)}
"""How a process ends that such a signal ends, as the system and as a shell has it."""
_HINTS = (
    "To track the changes with git",
    "\tgit add ",
    "To enable auto staging",
    "\tdvc config core",
)
"""What DVC prints after every stage; the user hears it once from Git."""


class StageFailed(Exception):
    """A stage ended with an error; the text carries the exit status and the last lines."""


class BudgetSpent(Exception):
    """A stage stopped because its time is spent, with its state saved."""


@dataclass
class Attempts:
    """What has come of the attempts at one stage."""

    seconds: float = 0.0
    """Of all attempts together."""
    count: int = 0
    failures: int = 0
    preemptions: int = 0
    was_preempted: bool = False
    """Whether the last one was told to stop."""


@dataclass
class Run:
    """One run of a plan and what has come of it so far."""

    plan: Plan
    force: bool = False
    pull: bool = False
    running: Running = field(default_factory=Running)
    mask: Mask = field(default_factory=Mask)
    outcomes: dict[str, Outcome] = field(default_factory=dict)
    attempts: dict[str, Attempts] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)
    """Of the stages that failed: the text of the last failure."""

    def without_result(self, stage: PlannedStage) -> list[str]:
        """Names of the stages right above `stage` that failed or were not reached."""
        return [name for name in stage.upstream if self.outcomes.get(name) not in WITH_RESULT]

    def may_have_changed(self, stage: PlannedStage) -> bool:
        """Whether `stage` was stale from the start or something right above it ran."""
        above = {self.outcomes.get(name) for name in stage.upstream}
        return self.force or stage.stale or bool(above & {"Ran", "Restored"})

    def changed(self) -> list[str]:
        """Names of the stages that have new results."""
        done = ("Ran", "Restored")
        return [stage.name for stage in self.plan.stages if self.outcomes.get(stage.name) in done]

    def with_result(self) -> list[str]:
        """Names of the stages that have results, new or old."""
        return [s.name for s in self.plan.stages if self.outcomes.get(s.name) in WITH_RESULT]

    def reproduce(self, stage: PlannedStage, logger: logging.Logger) -> None:
        """Let DVC reproduce `stage` alone, or find it unchanged: one attempt.

        Raises:
            StageFailed: The attempt failed; `may_try_again` says whether another is due.
            BudgetSpent: It stopped by itself.
        """
        name, policy = stage.name, policy_of(stage.name)
        past = self.attempts.setdefault(name, Attempts())
        if past.count and not past.was_preempted:
            logger.info(f"attempt {past.count + 1} follows in {policy.delay:g} s")
            self.running.pause(policy.delay)
        past.count += 1
        past.was_preempted = False
        lines, ending = Lines(name, logger, self.mask), Ending(self.plan.root, name)
        started = time.monotonic()
        try:
            code = self.running.run(
                self._command(name),
                cwd=self.plan.root,
                env=_environment() | ending.environment,
                on_line=lines.take,
                time_out=policy.time_out,
            )
        except TimeoutError:
            past.failures += 1
            limit = f"{name} was ended: one attempt may take {policy.time_out:g} s"
            raise self._failed(
                name, f"{limit} (stages/repro/retry_policy.py)\n{lines.last()}"
            ) from None
        finally:
            past.seconds += time.monotonic() - started
        if not code:
            self.outcomes[name] = lines.outcome
            self.reasons.pop(name, None)
            return
        status = ending.status()
        if status is None and code in _TOLD_TO_STOP:
            # before the training had begun, or while it starts: it had nothing to save
            status = PREEMPTED
        if status == BUDGET_SPENT:
            self.outcomes[name] = "BudgetSpent"
            self.reasons[name] = f"{name} stopped with its state saved: its budget is spent"
            raise BudgetSpent(self.reasons[name])
        if status == PREEMPTED:
            past.preemptions += 1
            past.was_preempted = True
            times = f" ({past.preemptions} times by now)" if past.preemptions > 1 else ""
            raise self._failed(name, f"{name} was told to stop and saved its state{times}")
        past.failures += 1
        raise self._failed(name, f"{name} ended with exit status {code}\n{lines.last()}")

    def command(self, command: list[str], logger: logging.Logger, **environment: str) -> str:
        """Run a program of this environment; raise `StageFailed` with its last lines."""
        lines = Lines("", logger, self.mask)
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

    def may_try_again(self, name: str) -> bool:
        """Whether another attempt at the stage, whose last one failed, is due."""
        past = self.attempts.get(name)
        if past is None or self.running.ending or self.outcomes.get(name) != "Failed":
            return False
        if past.was_preempted:
            return past.preemptions <= PREEMPTIONS
        return past.failures <= policy_of(name).retries

    def summary(self) -> str:
        """One line per stage with its state."""
        width = max((len(stage.name) for stage in self.plan.stages), default=0)
        lines = []
        for stage in self.plan.stages:
            outcome, past = self.outcomes.get(stage.name), self.attempts.get(stage.name)
            words = WORDS[outcome] if outcome else "interrupted" if past else "not reached"
            took = f"  {past.seconds:.1f} s" if past else ""
            tries = f", {past.count} attempts" if past and past.count > 1 else ""
            lines.append(f"{stage.name:<{width}}  {words}{took}{tries}")
        return "\n".join(lines)

    def _failed(self, name: str, reason: str) -> StageFailed:
        if not self.running.ending:
            self.outcomes[name] = "Failed"
        self.reasons[name] = reason
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
    """The output of `dvc repro` for one stage: logged, its end kept, DVC's verdict picked out."""

    def __init__(self, name: str, logger: logging.Logger, mask: Mask):
        self.outcome: Outcome = "Ran"
        self._verdicts: dict[str, Outcome] = {
            f"Running stage '{name}':": "Ran",
            f"Stage '{name}' is cached - skipping run, checking out outputs": "Restored",
            f"Stage '{name}' didn't change, skipping": "UpToDate",
        }
        self._decided = False
        self._logger, self._mask = logger, mask
        self._last: deque[str] = deque(maxlen=_LAST_LINES)

    def take(self, line: str) -> None:
        """Log one line. The first verdict counts: what follows is the stage's own output."""
        if not self._decided and line in self._verdicts:
            self.outcome, self._decided = self._verdicts[line], True
        if line and not line.startswith(_HINTS):
            line = self._mask(line)
            self._last.append(line)
            self._logger.info(line)

    def last(self) -> str:
        """Return the last lines."""
        return "\n".join(self._last)


def _environment() -> dict[str, str]:
    """That of every command: this interpreter's programs first, output unbuffered, no webhook."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
    kept = {name: value for name, value in os.environ.items() if name != WEBHOOK_VARIABLE}
    return kept | {"PATH": path, "PYTHONUNBUFFERED": "1"}
