"""What follows the stages: keep results, show them, tell of them, name the state of the run."""

from collections.abc import Callable

from prefect.client.schemas.objects import State
from prefect.states import Cancelled, Completed, Failed

from stages.flow import artifacts
from stages.flow import metrics as numbers
from stages.flow.news import News
from stages.flow.publish import Destination, keep, output_logger
from stages.repro.run import Run
from yolo.runtime.settings import Runtime


def close(
    run: Run,
    before: numbers.Metrics,
    settings: Runtime,
    news: News,
    destination: Destination,
    cancelled: Callable[[], bool],
) -> State:
    """Keep the results, publish the artifacts, tell the webhook; return the state of the run.

    `before`: the metrics as they were before the run; `cancelled`: whether the run has been
    cancelled by now.
    """
    problems: list[str] = []
    verdict = None
    # also after a failure: what days of training made is kept; and what an earlier run could not
    # send, which by now is up to date
    if (run.changed() or destination.push) and not cancelled():
        problems, verdict = keep(run, destination)
    artifacts.publish(run, before, verdict, settings, output_logger())
    if cancelled():
        news.tell("interrupted", "the run was cancelled")
        return Cancelled(message="the run was cancelled; what had been done is kept")
    outcomes = {stage.name: run.outcomes.get(stage.name, "Failed") for stage in run.plan.stages}
    failed = [name for name, outcome in outcomes.items() if outcome == "Failed"]
    spent = [name for name, outcome in outcomes.items() if outcome == "BudgetSpent"]
    if failed or problems:
        message = "; ".join([*([f"failed: {', '.join(failed)}"] if failed else []), *problems])
        reasons = [run.reasons[name] for name in failed if name in run.reasons]
        news.tell("failed", "\n".join([message, *reasons]))
        return Failed(message=message)
    if spent:
        message = f"the budget is spent in {', '.join(spent)}; run again to go on"
        news.tell("budget_spent", message)
        return Failed(name="BudgetSpent", message=message)
    done = f"{len(run.plan.stages)} stages have their results"
    ran = ", ".join(run.changed()) or "nothing was stale"
    if verdict is None:
        news.tell("finished", ran, metrics=_headline(run))
        return Completed(message=done)
    sentence = run.mask(verdict.sentence)
    news.tell("finished", f"{ran}; {sentence}", metrics=_headline(run), released=verdict.tag)
    name = "Released" if verdict.tag else "NotReleased"
    return Completed(name=name, message=f"{done}; {sentence}")


def _headline(run: Run) -> numbers.Metrics:
    """Whole-set numbers; those of single classes are in the artifact."""
    metrics = numbers.read_metrics(run.plan) if run.changed() else {}
    return {name: value for name, value in metrics.items() if "." not in name.rpartition(": ")[2]}
