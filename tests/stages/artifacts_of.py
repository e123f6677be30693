"""What a flow run has left on the server."""

import json
from typing import Any

import requests
from prefect.client.schemas.objects import State
from prefect.settings import PREFECT_API_URL


def artifacts(state: State) -> dict[str, Any]:
    """Content of the run's artifacts by their keys."""
    wanted = {"flow_run_id": {"any_": [str(state.state_details.flow_run_id)]}}
    return {
        one["key"]: json.loads(one["data"]) if one["type"] == "table" else one["data"]
        for one in _ask("artifacts/filter", artifacts=wanted)
    }


def log_lines(state: State) -> list[str]:
    """Messages in the run's log, in order."""
    wanted = {"flow_run_id": {"any_": [str(state.state_details.flow_run_id)]}}
    found = _ask("logs/filter", logs=wanted, limit=200, sort="TIMESTAMP_ASC")
    return [one["message"] for one in found]


def _ask(path: str, **body: Any) -> Any:
    answer = requests.post(f"{PREFECT_API_URL.value()}/{path}", json=body, timeout=30)
    answer.raise_for_status()
    return answer.json()
