"""What a run of the flow leaves in Prefect and tells the webhook, with a real server."""

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from artifacts_of import artifacts, log_lines
from prefect.blocks.system import Secret
from prefect.settings import PREFECT_API_URL, temporary_settings
from receiver import Receiver
from toy_endings import leave

from stages.flow.flow import reproduce
from stages.flow.notify import BLOCK
from stages.repro import run
from stages.repro.retry_policy import Policy


@pytest.fixture(autouse=True)
def server(prefect_api: str) -> Iterator[None]:
    with temporary_settings({PREFECT_API_URL: prefect_api}):
        yield


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
        "[ -e told ] && { cp got-a left; exit; }\ntouch told\n" + leave(75)
    )
    state = reproduce(["left"], notify=True, return_state=True)
    assert state.is_completed()
    events = [sent["event"] for sent in receiver.received]
    assert events == ["started", "preempted", "finished"]
    assert artifacts(state)["stages"][-1]["attempts"] == 2


def test_a_spent_budget_is_a_state_of_its_own(toy: Path, receiver: Receiver) -> None:
    (toy / "left.sh").write_text(leave(76))
    state = reproduce(return_state=True)
    assert (state.type.value, state.name) == ("FAILED", "BudgetSpent")
    assert state.message == "the budget is spent in left; run again to go on"
    assert artifacts(state)["stages"][-1]["state"] == "not reached"


def test_a_failure_tells_stage_and_reason_and_its_webhook_may_be_down(
    toy: Path,
    receiver: Receiver,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(run, "policy_of", lambda _: Policy())
    monkeypatch.setenv("YOLO_WEBHOOK_URL", receiver.url)
    (toy / "left.sh").write_text("echo the reason; exit 7\n")
    state = reproduce(notify=True, return_state=True)
    assert state.message == "failed: left"
    events = [sent["event"] for sent in receiver.received]
    assert events == ["started", "stage_failed", "failed"]
    assert "the reason" in str(receiver.received[-1]["text"])
    (toy / "left.sh").write_text("cp got-a left\n")
    receiver.answer = 500
    assert reproduce(notify=True, return_state=True).is_completed()


def test_dry_runs_nothing_and_takes_parameters_back(toy: Path) -> None:
    before = (toy / "params.yaml").read_text()
    assert reproduce(set=["rate=0.5"], dry=True, return_state=True).is_completed()
    assert (toy / "params.yaml").read_text() == before
    assert not (toy / "got-a").exists()


def test_the_address_may_be_in_a_block_of_the_server(
    toy: Path, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("YOLO_WEBHOOK_URL", raising=False)
    Secret(value=receiver.url).save(BLOCK, overwrite=True)
    try:
        state = reproduce(["get@a"], notify=True, return_state=True)
    finally:
        Secret.delete(BLOCK)
    assert state.is_completed()
    assert [sent["event"] for sent in receiver.received] == ["started", "finished"]


def test_secrets_are_in_no_log_state_artifact_message_or_out(
    toy: Path, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stage that prints what it should not, and fails, so that its last lines are shown."""
    monkeypatch.setattr(run, "policy_of", lambda _: Policy())
    monkeypatch.setenv("YOLO_WEBHOOK_URL", receiver.url)
    monkeypatch.setenv("DEPLOY_TOKEN", "token-of-the-team")
    (toy / "left.sh").write_text(
        "env > seen; echo token $DEPLOY_TOKEN at https://me:word@host/; env; exit 7\n"
    )
    state = reproduce(notify=True, return_state=True)
    assert state.is_failed()
    # the stage had the token, never the webhook
    assert "token-of-the-team" in (toy / "seen").read_text()
    assert receiver.url not in (toy / "seen").read_text()
    deadline = time.monotonic() + 30
    log = log_lines(state)
    while not any("token *** at" in line for line in log):
        assert time.monotonic() < deadline, log
        time.sleep(0.2)
        log = log_lines(state)
    said = json.dumps([*log, artifacts(state), receiver.received, state.message])
    assert "token *** at https://***@host/" in said
    for secret in ("token-of-the-team", "me:word", "secret-path"):
        assert secret not in said
