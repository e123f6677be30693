"""What a run of the flow leaves in Prefect and tells the webhook, with a real server."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from prefect.client.schemas.objects import State
from prefect.settings import PREFECT_API_URL, temporary_settings
from receiver import Receiver

from stages import reproduction
from stages.flow import reproduce
from stages.policy import Policy


@pytest.fixture(autouse=True)
def server(prefect_api: str) -> Iterator[None]:
    with temporary_settings({PREFECT_API_URL: prefect_api}):
        yield


def artifacts(state: State) -> dict[str, Any]:
    """Content of the run's artifacts by their keys."""
    # by hand: Prefect's client sends nulls that its server refuses
    answer = requests.post(
        f"{PREFECT_API_URL.value()}/artifacts/filter",
        json={"artifacts": {"flow_run_id": {"any_": [str(state.state_details.flow_run_id)]}}},
        timeout=30,
    )
    answer.raise_for_status()
    return {
        one["key"]: json.loads(one["data"]) if one["type"] == "table" else one["data"]
        for one in answer.json()
    }


def measure(toy: Path) -> None:
    """Make the last stage write metrics, too."""
    (toy / "join.sh").write_text(
        'cat left got-b > join\necho "{\\"sum\\": $(cat left), \\"x\\": {\\"y\\": 2}}" > m.json\n'
    )
    pipeline = (toy / "dvc.yaml").read_text()
    (toy / "dvc.yaml").write_text(
        pipeline.replace("cat left got-b > join", "sh join.sh")
        + "    metrics:\n      - m.json:\n          cache: false\n"
    )


def test_artifacts_show_what_ran_why_metrics_with_change_and_price(
    toy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("YOLO_PRICE_PER_HOUR", "36")
    measure(toy)
    reproduce(return_state=True)
    (toy / "source-a").write_text("5\n")
    found = artifacts(reproduce(return_state=True))
    rows = {row["stage"]: row for row in found["stages"]}
    assert rows["get@a"]["state"] == "ran"
    assert rows["get@a"]["why"] == "data source-a: changed"
    assert rows["left"]["why"] == "something above it ran"
    assert rows["get@b"]["state"] == "up to date" and rows["get@b"]["seconds"] == 0
    assert rows["left"]["price"] == pytest.approx(rows["left"]["seconds"] / 100)
    assert found["metrics"] == [
        {"metric": "m.json: sum", "before": "1", "now": "5", "change": "+4"},
        {"metric": "m.json: x.y", "before": "2", "now": "2", "change": "+0"},
    ]


def test_the_webhook_hears_of_start_and_end_with_the_numbers(
    toy: Path, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("YOLO_WEBHOOK_URL", receiver.url)
    measure(toy)
    state = reproduce(notify=True, return_state=True)
    assert [sent["event"] for sent in receiver.received] == ["started", "finished"]
    assert receiver.received[-1]["metrics"] == {"m.json: sum": 1}
    kept = json.dumps(artifacts(state)) + (toy / "join").read_text()
    assert "secret-path" not in kept


def test_a_preempted_stage_goes_on_by_itself_and_the_webhook_hears_of_it(
    toy: Path, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("YOLO_WEBHOOK_URL", receiver.url)
    (toy / "left.sh").write_text(
        "[ -e told ] && { cp got-a left; exit; }\ntouch told; mkdir -p runs/left/abc\n"
        "echo '{\"status\": 75}' > runs/left/abc/exit.json; exit 75\n"
    )
    state = reproduce(["left"], notify=True, return_state=True)
    assert state.is_completed()
    events = [sent["event"] for sent in receiver.received]
    assert events == ["started", "preempted", "finished"]
    assert artifacts(state)["stages"][-1]["attempts"] == 2


def test_a_spent_budget_is_a_state_of_its_own(toy: Path, receiver: Receiver) -> None:
    (toy / "left.sh").write_text(
        "mkdir -p runs/left/abc; echo '{\"status\": 76}' > runs/left/abc/exit.json; exit 76\n"
    )
    state = reproduce(return_state=True)
    assert (state.type.value, state.name) == ("FAILED", "BudgetSpent")
    assert state.message == "the budget is spent in left; run again to go on"
    assert artifacts(state)["stages"][-1]["state"] == "not reached"


def test_a_failure_tells_stage_and_reason_and_its_webhook_may_be_down(
    toy: Path,
    receiver: Receiver,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(reproduction, "policy_of", lambda _: Policy())
    monkeypatch.setenv("YOLO_WEBHOOK_URL", receiver.url)
    (toy / "left.sh").write_text("echo the reason; exit 7\n")
    state = reproduce(notify=True, return_state=True)
    assert state.message == "failed: left"
    assert receiver.received[-1]["event"] == "failed"
    assert "the reason" in str(receiver.received[-1]["text"])
    (toy / "left.sh").write_text("cp got-a left\n")
    receiver.answer = 500
    assert reproduce(notify=True, return_state=True).is_completed()


def test_dry_runs_nothing_and_takes_parameters_back(toy: Path) -> None:
    before = (toy / "params.yaml").read_text()
    assert reproduce(set=["rate=0.5"], dry=True, return_state=True).is_completed()
    assert (toy / "params.yaml").read_text() == before
    assert not (toy / "got-a").exists()


def test_what_has_nowhere_to_go_is_said_before_anything_runs(toy: Path) -> None:
    state = reproduce(push=True, return_state=True)
    assert "push needs a DVC remote" in str(state.message)
    state = reproduce(record="branch", return_state=True)
    assert "recording the run needs a Git repository" in str(state.message)
    assert not (toy / "got-a").exists()


def test_a_run_with_its_own_parameters_becomes_an_experiment(
    toy: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    def git(*arguments: str) -> str:
        who = ["-c", "user.name=Test", "-c", "user.email=test@localhost"]
        return subprocess.check_output(["git", *who, *arguments], text=True)

    (toy / ".dvc" / "config").write_text("[core]\n    analytics = false\n")
    (toy / ".gitignore").write_text("/.dvc/tmp\n/.dvc/cache\n")
    git("init", "--quiet", "--initial-branch=main")
    git("add", "--all")
    git("commit", "--quiet", "--message", "State")
    state = reproduce(["left"], set=["rate=0.5"], return_state=True)
    assert state.is_completed(), state.message
    refs = git("for-each-ref", "--format=%(refname)", "refs/exps").split()
    (kept,) = [ref for ref in refs if ref.rpartition("/")[2].startswith("run-")]
    assert "rate: 0.5" in git("show", f"{kept}:params.yaml")
    assert git("log", "--format=%s", "main").split() == ["State"]
