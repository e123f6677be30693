"""After the stages: push and record results, publish artifacts, notify, return the run's state."""

from collections.abc import Callable

from prefect.client.schemas.objects import State
from prefect.states import Cancelled, Completed, Failed

from stages.flow import artifacts
from stages.flow import metrics as numbers
from stages.flow.notify import Notifier
from stages.flow.publish import Destination, keep, output_logger, record_interrupted
from stages.repro.run import Run


def finalize(
    run: Run,
    before: numbers.Metrics,
    notifier: Notifier,
    destination: Destination,
    cancelled: Callable[[], bool],
) -> State:
    """Push and record the results, publish the artifacts, notify; return the state of the run.

    Of a cancelled run the finished stages are recorded; each was pushed when it was done.

    Args:
        run: The stages with their outcomes.
        before: The metrics before the run.
        notifier: Hears how the run ended.
        destination: Where results go.
        cancelled: Whether the run has been cancelled by now.
    """
    problems: list[str] = []
    decision = None
    # also after a failure, and when nothing ran: an earlier run may have failed to push
    if (run.attempted() or destination.push) and not cancelled():
        problems, decision = keep(run, destination)
    artifacts.publish(run, before, decision, output_logger())
    if cancelled():
        message = f"the run was cancelled; {record_interrupted(run, destination)}"
        notifier.send("interrupted", message)
        return Cancelled(message=message)
    # one that was interrupted without the run being cancelled has no outcome
    failed = [stage for stage in run.stages.values() if stage.outcome in (None, "Failed")]
    spent = [stage.name for stage in run.stages.values() if stage.outcome == "BudgetSpent"]
    if failed or problems:
        names = ", ".join(stage.name for stage in failed)
        message = "; ".join([*([f"failed: {names}"] if failed else []), *problems])
        reasons = [stage.reason for stage in failed if stage.reason]
        notifier.send("failed", "\n".join([message, *reasons]))
        return Failed(message=message)
    if spent:
        message = f"the budget is spent in {', '.join(spent)}; run again to go on"
        notifier.send("budget_spent", message)
        return Failed(name="BudgetSpent", message=message)
    done = f"{len(run.plan.stages)} stages have their results"
    ran = ", ".join(run.changed()) or "nothing was stale"
    if decision is None:
        notifier.send("finished", ran, metrics=_headline(run))
        return Completed(message=done)
    sentence = run.redact(decision.sentence)
    event, name = ("released", "Released") if decision.tag else ("not_released", "NotReleased")
    notifier.send(event, f"{ran}; {sentence}", metrics=_headline(run), released=decision.tag)
    return Completed(name=name, message=f"{done}; {sentence}")


def _headline(run: Run) -> numbers.Metrics:
    """Whole-set numbers; those of single classes are in the artifact."""
    metrics = numbers.read_metrics(run.plan) if run.changed() else {}
    return {name: value for name, value in metrics.items() if "." not in name.rpartition(": ")[2]}
