"""After the stages: judge the new detector, send results to the DVC remote, a record to Git.

Each step is a Prefect task.
"""

import json
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from prefect import get_run_logger, task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State
from prefect.states import Completed

from stages.flow.metrics import ledger_rows
from stages.flow.record import commit_results, is_unrecorded, tag_version
from stages.registry import ledger
from stages.registry.release_gate import Bump, ReleaseDecision
from stages.registry.versions import STAGES_OF_RELEASE
from stages.repro import git
from stages.repro.plan import Plan
from stages.repro.run import Run, StageFailed, StageRun
from yolo.errors import UserError
from yolo.files import replacing

Record = Literal["none", "experiment", "branch"]
Release = Literal["none", Bump]
OUTPUT = "output"
"""Name of the loggers that carry what the flow and its stages say."""
_MODEL, _TRAINED = "detector", "detect_train"
_VERDICT = Path("runs/promotion.json")
_RETRIES, _DELAY = 2, 15.0


@dataclass(frozen=True)
class Destination:
    """Where the results of a run go."""

    push: bool
    record: Record
    release: Release
    push_raw: bool = False
    """Push the archives that `download` fetched, too."""

    def pushes(self, stage: StageRun) -> bool:
        """Whether the results of a stage go to the DVC remote. Those of `download` can be fetched
        again from their source.
        """
        return self.push and stage.has_result and (self.push_raw or not stage.planned.is_download)


def check_destination(plan: Plan, wanted: Destination) -> None:
    """Fail before training if the results could not be pushed or recorded."""
    if wanted.push and not plan.has_remote:
        raise UserError("push needs a DVC remote; add one: dvc remote add --default NAME URL")
    if wanted.record != "none" and not (plan.root / ".git").exists():
        raise UserError(f"recording the run needs a Git repository; {plan.root} is none")
    if wanted.release != "none" and not (wanted.push and wanted.record == "branch"):
        raise UserError(
            "a version is a commit that others can fetch: release needs push and record=branch"
        )
    if wanted.push and wanted.record != "none":
        git.remote_name(plan.root)


def keep(run: Run, wanted: Destination) -> tuple[list[str], ReleaseDecision | None]:
    """Judge, push and record what the run made; return what went wrong, and the decision.

    The decision on a new detector is None when none was to be released or it could not be given.
    """
    decision: ReleaseDecision | None = None

    def judge(log: logging.Logger) -> str:
        nonlocal decision
        decision = _decide(run, wanted.release, log)
        return decision.reason

    def push(log: logging.Logger) -> str:
        names = [stage.name for stage in run.stages.values() if wanted.pushes(stage)]
        # without a name DVC would push everything
        return run.command(["dvc", "push", *names], log) if names else "nothing to push"

    def record(log: logging.Logger) -> str:
        if wanted.record == "experiment":
            return _save_experiment(run, wanted.push, log)
        return _save_branch(run, wanted.push, decision)

    problems = []
    if wanted.release != "none" and _TRAINED in run.changed():
        problems += _step(run, "judge", judge, 0)
    sending = []
    if wanted.push:
        sending += _step(run, "push", push, _RETRIES)
    may_record = wanted.record != "none" and not sending
    # a run without results is recorded for its cost
    cost = run.attempted() if wanted.record == "branch" else []
    if may_record and (run.changed() or cost or is_unrecorded(run.plan)):
        sending += _step(run, "record", record, _RETRIES if wanted.push else 0)
    if sending and decision and decision.tag:
        decision = ReleaseDecision(None, f"{decision.reason}; but {sending[0]}")
    return problems + sending, decision


def push_stage(run: Run, stage: StageRun, wanted: Destination) -> None:
    """Push what a stage has just made: it outlives a run that is cancelled or killed later.

    A failure is logged; `keep` tries again when the stages are done.
    """
    if not stage.has_new_result or not wanted.pushes(stage):
        return
    logger = output_logger()
    try:
        run.command(["dvc", "--wait-for-lock", "push", stage.name], logger)
        stage.is_pushed = True
    except (StageFailed, InterruptedError) as error:
        logger.warning(f"not pushed yet: {error}")


def record_interrupted(run: Run, wanted: Destination) -> str:
    """Record the results and the cost of a run that was ended; return a sentence for the user.

    Nothing new can be started by then, and little time is left. So only a branch is written, and
    only if every result that the run pushes is in the DVC remote.
    """
    made = [stage for stage in run.stages.values() if stage.has_new_result]
    unsent = [one.name for one in made if wanted.pushes(one) and not one.is_pushed]
    if unsent:
        return f"not recorded, for {', '.join(unsent)} could not be pushed any more"
    if not run.attempted():
        return "no stage had started"
    names = ", ".join(one.name for one in made) or "nothing"
    if wanted.record != "branch":
        return f"finished and kept in this workspace: {names}"
    try:
        where = _save_branch(run, wanted.push, None)
    except UserError as error:
        return f"not recorded: {run.redact(str(error))}"
    return f"finished and recorded on {where}: {names}"


def _step(run: Run, name: str, step: Callable[[logging.Logger], str], retries: int) -> list[str]:
    """Take one step as a Prefect task; return what went wrong."""

    @task(
        name=name,
        task_run_name=name,
        cache_policy=NO_CACHE,
        persist_result=False,
        retries=retries,
        retry_delay_seconds=_DELAY,
        retry_condition_fn=lambda *_: not run.running.ending,
    )
    def send() -> State:
        try:
            return Completed(message=step(output_logger()))
        except UserError as error:
            # an address in Git's message may hold a password
            raise StageFailed(run.redact(str(error))) from None

    state = send(return_state=True)
    return [] if state.is_completed() else [f"{name} failed: {run.redact(str(state.message))}"]


def _decide(run: Run, release: Release, logger: logging.Logger) -> ReleaseDecision:
    lacking = [name for name in STAGES_OF_RELEASE[_MODEL] if name not in run.with_result()]
    if lacking:
        return ReleaseDecision(None, f"no result of {', '.join(lacking)} in this run")
    root = run.plan.root
    # a worker's clone has no tags
    tags = f"refs/tags/{_MODEL}@*"
    git.git("fetch", "--quiet", git.remote_name(root), f"{tags}:{tags}", root=root)
    answer = root / _VERDICT
    answer.unlink(missing_ok=True)
    run.command(
        ["python", "-m", "stages.registry.release_gate", _MODEL, release, str(answer)],
        logger,
    )
    return ReleaseDecision(**json.loads(answer.read_text(encoding="utf-8")))


def _save_experiment(run: Run, push: bool, logger: logging.Logger) -> str:
    root = run.plan.root
    name = f"run-{datetime.now(UTC):%Y%m%d-%H%M%S}"
    # named, because without names DVC takes what lies there for the result of every stage
    save = ["dvc", "exp", "save", "--force", "--name", name]
    # what ran; when nothing did, the results of an earlier run are recorded
    save += ["--include-untracked", ledger.FILE, *(run.changed() or run.with_result())]
    with _content(root / ledger.FILE, _ledger(run)):
        run.command(save, logger, **git.author(root))
    if push:
        run.command(["dvc", "exp", "push", git.remote_name(root), name], logger)
    return f"DVC experiment {name}"


def _save_branch(run: Run, push: bool, decision: ReleaseDecision | None) -> str:
    root = run.plan.root
    branch = f"runs/{datetime.now(UTC):%Y-%m-%d-%H%M%S}"
    more, tag = {ledger.FILE: _ledger(run)}, None
    if decision and decision.tag:
        tag, more[decision.card] = decision.tag, decision.text
    subject = f"Run of {', '.join(run.changed() or run.attempted() or run.with_result())}"
    commit = commit_results(run.plan, branch, f"{subject}\n\n{run.summary()}\n", more)
    references = [f"{commit}:refs/heads/{branch}"]
    if tag:
        tag_version(root, tag, commit)
        references.append(f"refs/tags/{tag}")
    if push:
        remote = git.remote_name(root)
        git.git("push", "--quiet", "--atomic", remote, *references, root=root)
    return f"branch {branch}" + (f", tag {tag}" if tag else "")


def _ledger(run: Run) -> str:
    """The ledger of the commit from which the run started, with the run's rows."""
    root = run.plan.root
    commit = git.git("rev-parse", "HEAD", root=root)
    return ledger.extended(git.read_at(commit, ledger.FILE, root), ledger_rows(run, commit))


@contextmanager
def _content(path: Path, text: str) -> Iterator[None]:
    """Give a file this content while the block lasts."""
    before = path.read_bytes() if path.exists() else None
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
    try:
        yield
    finally:
        if before is None:
            path.unlink()
        else:
            path.write_bytes(before)


def output_logger() -> logging.Logger:
    """The logger of the current flow or task run, apart from what Prefect itself says there."""
    logger: Any = get_run_logger()
    return logger.getChild(OUTPUT)
