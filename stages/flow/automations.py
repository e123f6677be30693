"""Prefect automations that mark a dead run as crashed, and tell the webhook of it.

    python -m stages.flow.automations

creates them on the configured server in place of those of the same names. Without them a run whose
worker and process are both gone would stay `Running` for ever, and hold the slots of its pool and
its deployment.
"""

import json
from datetime import timedelta
from uuid import UUID

from prefect.blocks.webhook import Webhook as WebhookBlock
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.objects import StateType
from prefect.events.actions import CallWebhook, ChangeFlowRunState
from prefect.events.schemas.automations import AutomationCore, EventTrigger, Posture
from prefect.events.schemas.events import ResourceSpecification

from stages.common.entry import run
from stages.flow.notify import DEAD, webhook_address

FLOW = "reproduce"
"""The automations leave the runs of other flows on the same server alone."""
TELL = "yolov1: tell the webhook of a dead run"
BLOCK = "yolo-dead-run"
"""Name of the Prefect Webhook block through which the server tells of a dead run."""
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
_OWN_END = "Execution was *"
"""Message of Prefect's engine in a process that ends as crashed: the flow tells of that itself."""


_OF_OUR_FLOW = ResourceSpecification(
    {"prefect.resource.role": "flow", "prefect.resource.name": FLOW}
)


def automations() -> list[AutomationCore]:
    """The automations that declare a run dead."""
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
            after={f"{_EVENT}{name}" for name in _PENDING},
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
            match_related=_OF_OUR_FLOW,
            for_each={"prefect.resource.id"},
        ),
        actions=[
            ChangeFlowRunState(state=StateType.CRASHED, name=None, message=message, force=False)
        ],
    )


def telling(block: UUID) -> AutomationCore:
    """The automation that tells the webhook of a run that did not live to tell it.

    `block`: id of the Webhook block.
    """
    # each value becomes JSON on the server, which fills in what stands between the braces
    values = {
        "text": 'flow_run.name ~ " is dead: " ~ flow_run.state.message',
        "run": "flow_run | ui_url",
    }
    filled = "".join(f', "{key}": {{{{ ({value}) | tojson }}}}' for key, value in values.items())
    return AutomationCore(
        name=TELL,
        description="Tells the webhook of crashed runs (docs/operating.md)",
        trigger=EventTrigger(
            posture=Posture.Reactive,
            expect={f"{_EVENT}Crashed"},
            threshold=1,
            match=ResourceSpecification(
                {
                    "prefect.resource.id": ["prefect.flow-run.*"],
                    "prefect.state-message": [f"!{_OWN_END}"],
                }
            ),
            match_related=_OF_OUR_FLOW,
            for_each={"prefect.resource.id"},
        ),
        actions=[
            CallWebhook(block_document_id=block, payload=f'{{"event": {json.dumps(DEAD)}{filled}}}')
        ],
    )


def apply(client: SyncPrefectClient, webhook: str | None) -> None:
    """Create each automation in place of all that have its name.

    `webhook`: the address that hears of dead runs; None: nobody does.
    """
    wanted = automations()
    if webhook is not None:
        headers = {"Content-Type": "application/json"}
        block = WebhookBlock(url=webhook, headers=headers)  # type: ignore[arg-type]
        wanted.append(telling(UUID(str(block.save(BLOCK, overwrite=True)))))
    for name in {TELL, *(one.name for one in wanted)}:
        found = client.read_automations_by_name(name)
        for new in wanted:
            if new.name == name:
                client.create_automation(new)
        for old in found:
            client.delete_automation(old.id)


def main() -> None:
    """Apply them to the configured server."""
    address = webhook_address()
    with get_client(sync_client=True) as client:
        apply(client, address)
    if address is None:
        print(
            "note: no webhook hears of dead runs; set YOLO_WEBHOOK_URL or the Prefect block "
            "yolo-webhook and deploy again (docs/operating.md)"
        )


if __name__ == "__main__":
    run(main)
