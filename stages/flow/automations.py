"""Prefect automations that mark a dead run as crashed, so that its slots are free again.

    python -m stages.flow.automations

creates them on the configured server in place of those of the same names. A run whose
worker and process are both gone would stay `Running` for ever, and hold the slots of its pool and
its deployment.
"""

from datetime import timedelta

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.objects import StateType
from prefect.events.actions import ChangeFlowRunState
from prefect.events.schemas.automations import AutomationCore, EventTrigger, Posture
from prefect.events.schemas.events import ResourceSpecification

from stages.common.entry import run

FLOW = "reproduce"
"""The automations leave the runs of other flows on the same server alone."""
SILENT = timedelta(minutes=4)
"""A run without a heartbeat for so long is dead; `prefect.yaml` asks for one every 30 s."""
PENDING = timedelta(minutes=30)
"""A run that has not begun by then is dead. Clone, `make setup` and a new GPU node take less."""

_EVENT = "prefect.flow-run."
_ENDED = ("Completed", "Failed", "Cancelled", "Crashed", "TimedOut")
_OURS = ("Released", "NotReleased", "BudgetSpent")
"""Names of the final states that the flow itself gives."""
_PENDING = ("Pending", "Submitting", "InfrastructurePending")
_BEGUN = ("Running", "Retrying")
_WAITING_AGAIN = ("Scheduled", "Late", "AwaitingRetry", "AwaitingConcurrencySlot")


def automations() -> list[AutomationCore]:
    """The automations of this project."""
    final = {f"{_EVENT}{name}" for name in (*_ENDED, *_OURS)}
    # `Cancelling` is no answer: a dead run that somebody cancels would stay in it
    heartbeat = f"{_EVENT}heartbeat"
    begun = {f"{_EVENT}{name}" for name in (*_BEGUN, *_WAITING_AGAIN)}
    return [
        _automation(
            "yolov1: a run without heartbeat is dead",
            after={heartbeat},
            expect={heartbeat, *final},
            within=SILENT,
        ),
        _automation(
            "yolov1: a run that stays pending is dead",
            after={
                f"{_EVENT}{name}" for name in ("Pending", "Submitting", "InfrastructurePending")
            },
            expect={heartbeat, *final, *begun},
            within=PENDING,
        ),
    ]


def _automation(name: str, after: set[str], expect: set[str], within: timedelta) -> AutomationCore:
    minutes = within.total_seconds() / 60
    message = f"{name.removeprefix('yolov1: ')}: nothing was heard of it for {minutes:g} min"
    return AutomationCore(
        name=name,
        description=f"Marks runs of the flow {FLOW} as crashed (docs/operating.md)",
        trigger=EventTrigger(
            posture=Posture.Proactive,
            after=after,
            expect=expect,
            within=within,
            threshold=1,
            match=ResourceSpecification({"prefect.resource.id": ["prefect.flow-run.*"]}),
            match_related=ResourceSpecification(
                {"prefect.resource.role": "flow", "prefect.resource.name": FLOW}
            ),
            for_each={"prefect.resource.id"},
        ),
        actions=[
            ChangeFlowRunState(state=StateType.CRASHED, name=None, message=message, force=False)
        ],
    )


def apply(client: SyncPrefectClient) -> None:
    """Create each automation in place of all that have its name."""
    for wanted in automations():
        found = client.read_automations_by_name(wanted.name)
        client.create_automation(wanted)
        for old in found:
            client.delete_automation(old.id)


def main() -> None:
    """Apply them to the configured server."""
    with get_client(sync_client=True) as client:
        apply(client)


if __name__ == "__main__":
    run(main)
