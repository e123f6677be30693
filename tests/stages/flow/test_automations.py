"""The automations that declare a run dead."""

import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import StateType
from prefect.settings import PREFECT_API_URL, temporary_settings
from ruamel.yaml import YAML

from stages.flow import automations
from stages.flow.flow import reproduce

ROOT = Path(__file__).resolve().parents[3]


def test_applying_twice_leaves_one_of_each_name_as_the_code_says(
    prefect_api: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = {one.name for one in automations.automations()}
    with temporary_settings({PREFECT_API_URL: prefect_api}), get_client(sync_client=True) as client:
        automations.apply(client, "http://127.0.0.1:9/secret-path")
        (telling,) = client.read_automations_by_name(automations.TELL)
        assert "secret-path" not in telling.model_dump_json()
        client.create_automation(automations.automations()[0])
        monkeypatch.setattr(automations, "SILENT", timedelta(minutes=7))
        automations.apply(client, None)
        assert client.read_automations_by_name(automations.TELL) == []
        found = [one for name in names for one in client.read_automations_by_name(name)]
        for one in found:
            client.delete_automation(one.id)
    assert sorted(one.name for one in found) == sorted(names)
    by_name = {one.name: one for one in found}
    silent = by_name["yolov1: a run without heartbeat is dead"]
    assert silent.trigger.within == timedelta(minutes=7)
    assert [action.state for action in silent.actions] == [StateType.CRASHED]
    assert all(one.enabled for one in found)


def test_they_watch_this_flow_alone() -> None:
    for one in automations.automations():
        related = one.trigger.match_related
        assert related.model_dump()["prefect.resource.name"] in ("reproduce", ["reproduce"])
    assert reproduce.name == automations.FLOW


def test_a_living_run_is_heard_of_several_times_before_it_counts_as_dead() -> None:
    document = YAML(typ="safe", pure=True).load(ROOT / "prefect.yaml")
    for one in document["deployments"]:
        every = int(one["work_pool"]["job_variables"]["env"]["PREFECT_FLOWS_HEARTBEAT_FREQUENCY"])
        assert 4 * every <= automations.SILENT.total_seconds() < 300
    # also one that was started by hand, on the same server; settings are read at import
    code = (
        "import stages.flow.flow; from prefect.settings import get_current_settings; "
        "print(get_current_settings().flows.heartbeat_frequency)"
    )
    said = subprocess.check_output([sys.executable, "-c", code], cwd=ROOT, text=True)
    assert int(said) == every
