"""The Prefect flow: its tasks are the stages that `dvc.yaml` declares, never a second list of them.

    python -m stages.flow [STAGE...] [-S KEY=VALUE] [--pull] [--push] [--record branch] [--dry] ...

DVC alone decides what is stale; Prefect runs the stages and shows them. DVC is asked once, before
anything runs, because it refuses to answer while a stage writes. A stage finishes without a process
if it was up to date then and nothing above it has run since.
"""

import argparse
import atexit
import logging
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args

# Prefect reads its settings when it is imported. Nothing is sent to anyone.
os.environ.setdefault("DO_NOT_TRACK", "1")
os.environ.setdefault("DVC_NO_ANALYTICS", "1")
os.environ.setdefault("PREFECT_SERVER_ANALYTICS_ENABLED", "false")
# as for deployments: a run that is not heard of for minutes is dead (stages/flow/automations.py)
os.environ.setdefault("PREFECT_FLOWS_HEARTBEAT_FREQUENCY", "30")

from prefect import Task, allow_failure, flow, task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State
from prefect.futures import PrefectFuture
from prefect.settings import PREFECT_API_URL, get_current_settings, temporary_settings
from prefect.states import Cancelled, Completed, Failed

from stages.flow import metrics
from stages.flow.cancellation import Watch
from stages.flow.finalize import finalize
from stages.flow.notify import Notifier, Webhook, webhook_address
from stages.flow.overrides import with_overrides
from stages.flow.publish import (
    OUTPUT,
    Destination,
    Record,
    Release,
    check_destination,
    output_logger,
    push_stage,
    record_interrupted,
)
from stages.flow.server import TemporaryServer
from stages.repro.budget import Budget
from stages.repro.dvc_locks import release_stale
from stages.repro.imports import update_imports
from stages.repro.plan import read_plan
from stages.repro.redact import Redactor
from stages.repro.retry_policy import PREEMPTIONS, policy_of
from stages.repro.run import BudgetSpent, Run, StageFailed, StageRun
from yolo.errors import BUDGET_SPENT, UserError
from yolo.runtime import settings as runtime


@flow(name="reproduce", flow_run_name="reproduce", persist_result=False)
def reproduce(
    targets: list[str] | None = None,
    set: list[str] | None = None,
    force: bool = False,
    update: bool = False,
    pull: bool = False,
    push: bool = False,
    record: Record = "none",
    release: Release = "none",
    push_raw: bool = False,
    notify: bool = False,
    dry: bool = False,
) -> State:
    """Bring `targets` (default: all stages) and everything above them up to date.

    Completed when every stage has its result; failed, naming the stages, when one has none.

    Args:
        targets: Names of stages or groups of `dvc.yaml`.
        set: Parameters for this run, `KEY=VALUE` as `dvc exp run -S` takes them; the run is
            recorded as a DVC experiment.
        force: Run every one of the stages, stale or not.
        update: First bring imported data (`dvc import-url`, `dvc import`) up to date with its
            source; what has not changed there is not downloaded.
        pull: Fetch what a stale stage reads, and nothing else, from the DVC remote.
        push: Send new results to the DVC remote, each stage's when it is done, and the record to
            the Git remote. The archives that `download` fetched stay here: they have their source.
        push_raw: Send those archives, too.
        record: Keep the run in Git: as a DVC `experiment`, or as a `branch` named `runs/<date>`.
        release: Release a new detector as the next `patch`, `minor` or `major` version, if it is
            not worse than the newest one (`promotion` in `params.yaml`).
        notify: Tell the webhook (`YOLO_WEBHOOK_URL` or the Prefect block `yolo-webhook`).
        dry: Only show what is stale and why.
    """
    logger, redact = output_logger(), Redactor()
    webhook = Webhook(webhook_address() if notify and not dry else None, logger)
    try:
        budget = Budget.of(runtime.from_environment())
        root = _project_root()
        for line in release_stale(root):
            logger.info(line)
        if dry:
            with with_overrides(root, set or ()):
                logger.info(read_plan(targets or (), missing_is_fine=pull).table())
            return Completed(message="dry: nothing was run")
        new_data = update_imports() if update else []
        record = "experiment" if set and record == "none" else record
        destination = Destination(push, record, release, push_raw)
        with with_overrides(root, set or (), keep=True):
            plan = read_plan(targets or (), missing_is_fine=pull)
            check_destination(plan, destination)
    except UserError as error:
        message = redact(str(error))
        webhook.send("failed", f"the run could not start: {message}", {})
        return Failed(message=message)
    if any(stage.stale for stage in plan.stages):
        logger.info(redact(plan.table()))
    run = Run(plan, force=force, pull=pull, redact=redact, budget=budget)
    watch = Watch()
    before = metrics.read_metrics(plan)
    notifier = Notifier(webhook, run)
    notifier.send("started", f"{sum(stage.stale for stage in plan.stages)} stages are stale")
    if new_data:
        notifier.send("data_changed", f"new at its source: {', '.join(new_data)}")
    try:
        with watch.over(run.running):
            _run_stages(run, notifier, destination)
            logger.info(run.summary())
            return finalize(run, before, notifier, destination, lambda: watch.cancelled)
    except BaseException:
        # no trainer may outlive an interrupted flow
        run.running.end_all()
        logger.info(run.summary())
        message = f"the run was ended from outside; {record_interrupted(run, destination)}"
        logger.info(message)
        notifier.send("interrupted", message)
        raise


def _run_stages(run: Run, notifier: Notifier, destination: Destination) -> None:
    """Run the plan's stages, independent branches side by side, and wait for the last."""
    futures: dict[str, PrefectFuture[Any]] = {}
    for stage in run.stages.values():
        above = [allow_failure(futures[name]) for name in stage.planned.upstream]
        futures[stage.name] = _stage_task(run, stage, notifier, destination).submit(wait_for=above)
    for future in futures.values():
        future.wait()


def _stage_task(
    run: Run, stage: StageRun, notifier: Notifier, destination: Destination
) -> Task[..., Any]:
    """Make the Prefect task that brings one stage up to date."""

    @task(
        name=stage.name,
        task_run_name=stage.name,
        cache_policy=NO_CACHE,
        persist_result=False,
        retries=PREEMPTIONS + policy_of(stage.name).retries,
        retry_condition_fn=lambda *_: run.may_try_again(stage),
    )
    def bring_up_to_date() -> State:
        missing = run.without_result(stage)
        if missing:
            stage.outcome = "NotReached"
            # of type failed: after any other Prefect would not call the tasks below
            return Failed(name="NotReached", message=f"no result of {', '.join(missing)}")
        if not run.may_have_changed(stage):
            stage.outcome = "UpToDate"
            return Completed(name="UpToDate", message="nothing that it reads changed")
        try:
            run.reproduce(stage, output_logger())
        except BudgetSpent as spent:
            return Failed(name="BudgetSpent", message=str(spent))
        except InterruptedError as interruption:
            return Cancelled(name="Interrupted", message=str(interruption))
        except StageFailed as failure:
            if run.running.ending:
                return Cancelled(name="Interrupted", message=str(failure))
            if stage.attempts.was_preempted and run.may_try_again(stage):
                notifier.send("preempted", f"{failure}; it goes on at once")
            elif not run.may_try_again(stage):
                notifier.send("stage_failed", str(failure))
            raise
        push_stage(run, stage, destination)
        return Completed(name=stage.outcome, message=f"{stage.attempts.seconds:.1f} s")

    return bring_up_to_date


def _project_root() -> Path:
    from dvc.exceptions import NotDvcRepoError
    from dvc.repo import Repo

    try:
        return Path(Repo.find_root())
    except NotDvcRepoError as error:
        raise UserError(f"DVC: {error}") from None


def _show_output() -> None:
    """Print the lines of flow and stages, and nothing else, on standard output."""
    for name, layout in (
        ("prefect.flow_runs", "%(message)s"),
        ("prefect.task_runs", "%(task_run_name)s | %(message)s"),
    ):
        handler = logging.StreamHandler(sys.stdout)
        handler.setFormatter(logging.Formatter(layout))
        logging.getLogger(f"{name}.{OUTPUT}").addHandler(handler)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the flow as a command; return the exit status, 76 when a budget is spent."""
    options = _parser().parse_args(arguments)
    try:
        if options.dry:
            with with_overrides(_project_root(), options.set):
                print(read_plan(options.targets, missing_is_fine=options.pull).table())
            return 0
        with temporary_settings({PREFECT_API_URL: PREFECT_API_URL.value() or _start_server()}):
            _show_output()
            state = reproduce(**vars(options), return_state=True)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    if state.is_completed():
        return 0
    print(f"error: {state.message}", file=sys.stderr)
    return BUDGET_SPENT if state.name == "BudgetSpent" else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m stages.flow", description="Run the pipeline.")
    parser.add_argument("targets", nargs="*", metavar="STAGE", help="default: all stages")
    parser.add_argument(
        "-S",
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="a parameter for this run, which becomes a DVC experiment",
    )
    for flag, text in {
        "--force": "run even what is up to date",
        "--update": "bring imported data up to date with its source",
        "--pull": "fetch what stale stages read, and nothing else",
        "--push": "send results to the DVC remote, the record to the Git remote",
        "--push-raw": "with --push: send the archives of `download`, too",
        "--notify": "tell the webhook of YOLO_WEBHOOK_URL",
        "--dry": "only print what is stale and why",
    }.items():
        parser.add_argument(flag, action="store_true", help=text)
    parser.add_argument(
        "--record", choices=get_args(Record), default="none", help="keep the run in Git"
    )
    parser.add_argument(
        "--release",
        choices=get_args(Release),
        default="none",
        help="release a new detector that is not worse than the newest version",
    )
    return parser


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
