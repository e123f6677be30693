"""Messages about a run to one webhook. If the webhook fails, the run goes on and logs it."""

import json
import logging
import os
import urllib.request
from collections.abc import Mapping
from typing import Any, Literal
from urllib.error import HTTPError

from prefect.runtime import flow_run

from stages.flow.metrics import stage_rows
from stages.repro.redact import WEBHOOK_VARIABLE
from stages.repro.run import Run

Event = Literal[
    "started",
    "data_changed",
    "preempted",
    "stage_failed",
    "finished",
    "released",
    "not_released",
    "failed",
    "budget_spent",
    "interrupted",
]
"""The last six end a run: one of them is sent, once. The others are sent as they happen."""
DEAD = "dead_run"
"""The event that the server sends of a run that was killed (`stages.flow.automations`)."""
BLOCK = "yolo-webhook"
"""Name of the Prefect Secret block that may hold the address instead of the environment."""
_SECONDS = 5.0


class Webhook:
    """Sends events as JSON: `event`, `text` (which chat programs show) and details."""

    def __init__(self, url: str | None, logger: logging.Logger):
        """`url` None: nothing is sent."""
        self._url, self._logger = url, logger

    def send(self, event: Event, text: str, details: Mapping[str, Any]) -> None:
        """Post one event; never raises, never logs the address."""
        if not self._url:
            return
        body = json.dumps({"event": event, "text": text, **details}).encode()
        try:
            request = urllib.request.Request(
                self._url, body, {"Content-Type": "application/json"}, method="POST"
            )
            with urllib.request.urlopen(request, timeout=_SECONDS):
                return
        except HTTPError as error:
            problem = f"the receiver answered {error.code}"
        except Exception as error:
            # its text may hold the address, which is a secret
            problem = type(getattr(error, "reason", error)).__name__
        self._logger.warning(f"the notification '{event}' could not be delivered: {problem}")


class Notifier:
    """Tells a webhook of the events of one run, each with the state of every stage."""

    def __init__(self, webhook: Webhook, run: Run):
        self._webhook, self._run = webhook, run

    def send(self, event: Event, text: str, **more: Any) -> None:
        """Send one event; `more` becomes part of the message."""
        title = f"{flow_run.name or 'reproduce'} {event.replace('_', ' ')}"
        details = {"run": flow_run.ui_url, "stages": stage_rows(self._run), **more}
        self._webhook.send(event, self._run.redact(f"{title}: {text}"), details)


def webhook_address(environ: Mapping[str, str] = os.environ) -> str | None:
    """The address from the environment, else from the Prefect block, else None."""
    if address := environ.get(WEBHOOK_VARIABLE):
        return address
    from prefect.blocks.system import Secret

    try:
        block: Any = Secret.load(BLOCK)
    except ValueError:
        return None
    return str(block.get())
