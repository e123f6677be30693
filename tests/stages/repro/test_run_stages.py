"""Attempts at a stage: what is tried again and how often, and what the stage says of its end."""

import logging
from pathlib import Path

import pytest
from toy_endings import leave

from stages.repro import run as reproduction
from stages.repro.budget import Budget
from stages.repro.plan import read_plan
from stages.repro.retry_policy import Policy
from stages.repro.run import BudgetSpent, Run, StageFailed

LOG = logging.getLogger("test")


@pytest.fixture
def policy(monkeypatch: pytest.MonkeyPatch) -> dict[str, Policy]:
    """Policies by stage, to be filled."""
    policies: dict[str, Policy] = {}
    monkeypatch.setattr(reproduction, "policy_of", lambda name: policies.get(name, Policy()))
    return policies


def begin(script: str) -> Run:
    """A run whose stage `left`, all above it done, runs `script`."""
    Path("got-a").write_text("1\n")
    Path("left.sh").write_text(script)
    return Run(read_plan(["left"]))


def attempt(run: Run) -> None:
    run.reproduce(run.stages["left"], LOG)


def test_a_failure_carries_exit_status_and_last_lines(toy: Path, policy: dict[str, Policy]) -> None:
    run = begin("for i in $(seq 100); do echo line $i; done; exit 7\n")
    with pytest.raises(StageFailed) as failure:
        attempt(run)
    text = str(failure.value)
    assert text.startswith("left ended with exit status 255\n")
    assert "exited with 7" in text and "line 100" in text and "line 50\n" not in text
    assert not run.may_try_again(run.stages["left"])
    assert run.stages["left"].outcome == "Failed"


def test_a_failure_is_tried_again_as_often_as_the_policy_says(
    toy: Path, policy: dict[str, Policy]
) -> None:
    policy["left"] = Policy(retries=1)
    run = begin("exit 7\n")
    with pytest.raises(StageFailed):
        attempt(run)
    assert run.may_try_again(run.stages["left"])
    with pytest.raises(StageFailed):
        attempt(run)
    assert not run.may_try_again(run.stages["left"])
    assert run.stages["left"].attempts.count == 2


def test_a_preempted_stage_is_tried_again_without_using_up_the_policy(
    toy: Path, policy: dict[str, Policy], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reproduction, "PREEMPTIONS", 2)
    run = begin(leave(75))
    for expected in (True, True, False):
        with pytest.raises(StageFailed, match="told to stop and saved its state"):
            attempt(run)
        assert run.may_try_again(run.stages["left"]) is expected
    (toy / "left.sh").write_text("cp got-a left\n")
    attempt(run)
    assert run.stages["left"].outcome == "Ran"
    assert run.summary().endswith(", 4 attempts")


def test_what_an_earlier_run_left_is_not_taken_for_this_ones(
    toy: Path, policy: dict[str, Policy]
) -> None:
    run = begin(leave(75))
    with pytest.raises(StageFailed):
        attempt(run)
    (toy / "left.sh").write_text("exit 7\n")
    with pytest.raises(StageFailed, match="exited with 7"):
        attempt(run)
    assert not run.may_try_again(run.stages["left"])


def test_what_another_project_leaves_in_a_shared_folder_is_not_taken_for_this_ones(
    toy: Path, policy: dict[str, Policy], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("YOLO_RUNS", str(toy.parent / "shared"))
    run = begin("YOLO_ATTEMPT=anothers\n" + leave(75).replace("exit 75", "exit 7"))
    with pytest.raises(StageFailed, match="exited with 7"):
        attempt(run)
    assert list((toy.parent / "shared" / "left").rglob("exit.json"))
    (toy / "left.sh").write_text(leave(76))
    with pytest.raises(BudgetSpent):
        attempt(run)


def test_a_stage_that_is_told_to_stop_before_it_can_say_so_is_tried_again(
    toy: Path, policy: dict[str, Policy]
) -> None:
    run = begin("kill -TERM 0; sleep 60\n")
    with pytest.raises(StageFailed, match="told to stop"):
        attempt(run)
    assert run.may_try_again(run.stages["left"])
    (toy / "left.sh").write_text("cp got-a left\n")
    attempt(run)
    assert run.stages["left"].outcome == "Ran"


def test_a_spent_budget_is_no_failure_and_not_tried_again(
    toy: Path, policy: dict[str, Policy]
) -> None:
    policy["left"] = Policy(retries=5)
    run = begin(leave(76))
    with pytest.raises(BudgetSpent, match="left stopped with its state saved"):
        attempt(run)
    assert run.stages["left"].outcome == "BudgetSpent"
    assert not run.may_try_again(run.stages["left"])


def test_a_run_whose_money_is_spent_ends_its_stage_and_starts_no_other(
    toy: Path, policy: dict[str, Policy]
) -> None:
    policy["left"] = Policy(retries=5)
    run = begin("trap 'touch saved; exit 75' TERM; touch begun; sleep 600 & wait\n")
    run.budget = Budget(price_per_hour=3600.0, most=5.0)
    with pytest.raises(BudgetSpent, match="left was ended: YOLO_MAX_PRICE is spent"):
        attempt(run)
    # the stage had its time to save its state
    assert (toy / "saved").exists() is (toy / "begun").exists()
    assert run.stages["left"].outcome == "BudgetSpent"
    assert not run.may_try_again(run.stages["left"])
    with pytest.raises(BudgetSpent, match="get@a was not started"):
        run.reproduce(run.stages["get@a"], LOG)
    assert run.attempted() == ["left"]


def test_a_price_without_a_limit_ends_nothing() -> None:
    budget = Budget(price_per_hour=36.0)
    assert budget.price(100) == 1.0 and not budget.is_spent()
    assert Budget().price(100) is None


def test_a_stage_that_takes_too_long_is_ended_with_all_it_started(
    toy: Path, policy: dict[str, Policy]
) -> None:
    policy["left"] = Policy(time_out=3.0)
    run = begin("sleep 600 & echo $! > child; wait\n")
    with pytest.raises(StageFailed, match="one attempt may take 3 s"):
        attempt(run)
    assert not Path("/proc", (toy / "child").read_text().strip()).exists()


def test_secrets_of_the_environment_reach_no_log(
    toy: Path,
    policy: dict[str, Policy],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setenv("YOLO_WEBHOOK_URL", "http://hooks.localhost/abc")
    monkeypatch.setenv("WANDB_API_KEY", "0123456789abcdef")
    caplog.set_level("INFO")
    run = begin(
        "echo hook $YOLO_WEBHOOK_URL; echo key $WANDB_API_KEY; "
        "echo http://me:secret-word@git.localhost/x; exit 1\n"
    )
    with pytest.raises(StageFailed) as failure:
        attempt(run)
    for text in (caplog.text, str(failure.value)):
        assert "key ***" in text and "http://***@git.localhost/x" in text
        # the stage is not even told the address
        assert "hooks.localhost" not in text
        assert "0123456789abcdef" not in text and "secret-word" not in text
