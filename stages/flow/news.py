"""What the webhook hears of one run."""

from typing import Any

from prefect.runtime import flow_run

from stages.flow import metrics
from stages.flow.notify import Event, Webhook
from stages.repro.run import Run


class News:
    """Tells the webhook of events, each with the state of every stage."""

    def __init__(self, webhook: Webhook, run: Run, price_per_hour: float | None):
        self._webhook, self._run, self._price = webhook, run, price_per_hour

    def tell(self, event: Event, text: str, **more: Any) -> None:
        """Send one event; `more` becomes part of the message."""
        rows = metrics.stage_rows(self._run, self._price)
        title = f"{flow_run.name or 'reproduce'} {event.replace('_', ' ')}"
        details = {"run": flow_run.ui_url, "stages": rows, **more}
        self._webhook.send(event, self._run.mask(f"{title}: {text}"), details)
