"""The Prefect flow over a small DVC project and a real server."""

import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId
from prefect.client.schemas.objects import State, StateType
from prefect.client.schemas.sorting import FlowRunSort, TaskRunSort
from prefect.settings import PREFECT_API_URL, temporary_settings

from stages.flow.flow import reproduce
from stages.repro.command import Running

ROOT = Path(__file__).resolve().parents[3]
WAIT = 30.0
START = 180.0
"""A flow's own start takes half a minute on a busy machine."""


@pytest.fixture
def server(prefect_api: str) -> Iterator[None]:
    with temporary_settings({PREFECT_API_URL: prefect_api}):
        yield


@pytest.fixture
def log() -> Iterator[list[str]]:
    """What the flow and its stages write into the run's log."""
    lines: list[str] = []

    class Keep(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.extend(record.getMessage().splitlines())

    loggers = [logging.getLogger(f"prefect.{kind}.output") for kind in ("flow_runs", "task_runs")]
    handler = Keep()
    for logger in loggers:
        logger.addHandler(handler)
    yield lines
    for logger in loggers:
        logger.removeHandler(handler)


def run(log: list[str], **arguments: object) -> tuple[State, dict[str, str]]:
    """Run the flow; return its state and what its summary says of each stage, without times."""
    log.clear()
    state = reproduce(return_state=True, **arguments)
    names = ("get@a", "get@b", "left", "join")
    summary = [line for line in log if line.startswith(names)][-len(names) :]
    words = {line.split()[0]: line.split("  ")[1:] for line in summary}
    return state, {name: next(word.strip() for word in w if word) for name, w in words.items()}


def test_stages_run_once_then_are_up_to_date_without_a_process(
    toy: Path, server: None, log: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    state, found = run(log)
    assert state.is_completed()
    assert found == dict.fromkeys(["get@a", "get@b", "left", "join"], "ran")
    assert (toy / "join").read_text() == "1\n2\n"
    assert "> cat left got-b > join" in log

    def no_process(*_: object, **__: object) -> None:
        raise AssertionError("a process was started")

    monkeypatch.setattr(Running, "run", no_process)
    state, found = run(log)
    assert state.is_completed()
    assert found == dict.fromkeys(["get@a", "get@b", "left", "join"], "up to date")


def test_states_tell_ran_restored_and_unchanged_apart(
    toy: Path, server: None, log: list[str]
) -> None:
    run(log)
    (toy / "source-a").write_text("5\n")
    _, found = run(log)
    assert found == {"get@a": "ran", "get@b": "up to date", "left": "ran", "join": "ran"}
    (toy / "source-a").write_text("1\n")
    _, found = run(log)
    assert found == {
        "get@a": "restored from the cache",
        "get@b": "up to date",
        "left": "restored from the cache",
        "join": "restored from the cache",
    }
    # DVC is asked about `join`, since `left` ran, and finds its input the same
    (toy / "left.sh").write_text("cp got-a left # the same\n")
    _, found = run(log)
    assert found == {
        "get@a": "up to date",
        "get@b": "up to date",
        "left": "ran",
        "join": "up to date",
    }


def test_a_failure_stops_what_is_below_and_nothing_else(
    toy: Path, server: None, log: list[str]
) -> None:
    (toy / "left.sh").write_text("echo the reason; exit 7\n")
    state, found = run(log)
    assert state.is_failed() and state.message == "failed: left"
    assert found == {"get@a": "ran", "get@b": "ran", "left": "failed", "join": "not reached"}

    with get_client(sync_client=True) as client:
        states = task_states(client, state.state_details.flow_run_id, 4)
    assert {name: found.name for name, found in states.items()} == {
        "get@a": "Ran",
        "get@b": "Ran",
        "left": "Failed",
        "join": "NotReached",
    }
    assert "the reason" in states["left"].message
    assert "exited with 7" in states["left"].message
    assert states["join"].message == "no result of left"


def test_what_is_far_below_a_failure_has_not_failed_itself(
    toy: Path, server: None, log: list[str]
) -> None:
    (toy / "source-a").unlink()
    state, found = run(log)
    assert state.message == "failed: get@a"
    assert found["left"] == found["join"] == "not reached"


def task_states(client, flow_run_id, count: int) -> dict[str, State]:
    """The states that the server has recorded; it does so a little after the run."""
    wanted = FlowRunFilter(id=FlowRunFilterId(any_=[flow_run_id]))
    deadline = time.monotonic() + WAIT
    while True:
        # this server takes no null for what the client leaves out
        runs = client.read_task_runs(flow_run_filter=wanted, sort=TaskRunSort.ID_DESC, limit=100)
        states = {run.name: run.state for run in runs if run.state and run.state.is_final()}
        if len(states) == count or time.monotonic() > deadline:
            return states
        time.sleep(0.2)


def test_independent_stages_run_side_by_side(toy: Path, server: None, log: list[str]) -> None:
    """Each branch waits until the other has begun: one after the other, both would give up."""
    meet = (
        "touch here-{0}; for i in $(seq 300); do [ -e here-{1} ] && exit 0; sleep 0.1; done; exit 1"
    )
    for name, rival in (("a", "b"), ("b", "a")):
        (toy / f"source-{name}").write_text(meet.format(name, rival))
    pipeline = (toy / "dvc.yaml").read_text()
    (toy / "dvc.yaml").write_text(
        pipeline.replace("cp source-${item}", "sh source-${item} && cp source-${item}")
    )
    state, _ = run(log)
    assert state.is_completed()


@pytest.mark.slow
def test_force_runs_the_targets_and_what_is_above(toy: Path, server: None, log: list[str]) -> None:
    run(log)
    log.clear()
    reproduce(["left"], force=True, return_state=True)
    assert [line for line in log if line.startswith("Running stage")] == [
        "Running stage 'get@a':",
        "Running stage 'left':",
    ]


def test_an_unknown_target_fails_the_run_with_the_names(toy: Path, server: None) -> None:
    state = reproduce(["nix"], return_state=True)
    assert state.is_failed()
    assert "the stages are: get@a, get@b, left, join" in (state.message or "")


def command(*arguments: str, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "stages.flow", *arguments],
        env=os.environ | {"PYTHONPATH": str(ROOT)} | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_the_command_starts_its_own_server_and_leaves_none(toy: Path) -> None:
    (toy / "left.sh").write_text("exit 7\n")
    process = command()
    output, errors = process.communicate()
    assert process.returncode == 1
    assert errors == "error: failed: left\n"
    lines = output.splitlines()
    assert lines[0].startswith("a temporary Prefect server took")
    assert [" ".join(line.split()[:2]) for line in lines[-4:]] == [
        "get@a ran",
        "get@b ran",
        "left failed",
        "join not",
    ]
    assert (toy / "runs" / "prefect" / "prefect.db").is_file()
    here = [p for p in psutil.process_iter(["cmdline"]) if "uvicorn" in (p.info["cmdline"] or [])]
    assert [p for p in here if str(toy) in p.environ().get("PREFECT_HOME", "")] == []


@pytest.mark.slow
def test_the_server_of_the_users_profile_is_used(
    toy: Path, prefect_api: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    home = tmp_path_factory.mktemp("home")
    (home / ".prefect").mkdir()
    (home / ".prefect" / "profiles.toml").write_text(
        f'active = "team"\n[profiles.team]\nPREFECT_API_URL = "{prefect_api}"\n'
    )
    process = command("get@a", HOME=str(home))
    output, errors = process.communicate()
    assert process.returncode == 0, output + errors
    assert "temporary Prefect server" not in output


def test_the_dry_command_only_says_what_is_stale(toy: Path) -> None:
    process = command("--dry", "left")
    output, _ = process.communicate()
    assert process.returncode == 0
    assert output.splitlines() == [
        "get@a  stale",
        "         new: has no recorded run",
        "left   stale",
        "         new: has no recorded run",
    ]
    assert not (toy / "got-a").exists()


@pytest.mark.parametrize(
    ("number", "status"),
    [
        pytest.param(signal.SIGINT, 130, marks=pytest.mark.slow),
        pytest.param(signal.SIGTERM, -15, marks=pytest.mark.slow),
        (signal.SIGKILL, -9),
    ],
)
def test_a_killed_flow_ends_its_stage_and_does_not_block_the_next(
    toy: Path, prefect_api: str, number: signal.Signals, status: int
) -> None:
    (toy / "left.sh").write_text(
        "trap 'echo saved > saved; exit 75' TERM; echo $$ > pid; sleep 600 & echo $! >> pid; wait\n"
    )
    process = command("left", PREFECT_API_URL=prefect_api)
    pids = toy / "pid"
    until(lambda: pids.exists() and pids.read_text().count("\n") == 2, process)
    stage = [psutil.Process(int(pid)) for pid in (toy / "pid").read_text().split()]
    process.send_signal(number)
    process.communicate()
    assert process.returncode == status
    assert psutil.wait_procs(stage, WAIT)[1] == []
    assert (toy / "saved").exists()

    (toy / "left.sh").write_text("cp got-a left\n")
    again = command("left", PREFECT_API_URL=prefect_api)
    output, errors = again.communicate()
    assert again.returncode == 0, output + errors


def test_a_run_cancelled_on_the_server_ends_its_stage(
    toy: Path, server: None, prefect_api: str
) -> None:
    """Prefect leaves that to a worker; a run from the command line has none."""
    (toy / "left.sh").write_text(
        "trap 'echo saved > saved; exit 75' TERM; sleep 600 & echo $$ $! > pids.new\n"
        "mv pids.new pids; wait\n"
    )
    process = command("left", PREFECT_API_URL=prefect_api)
    until(lambda: (toy / "pids").exists(), process)
    stage = [psutil.Process(int(pid)) for pid in (toy / "pids").read_text().split()]
    with get_client(sync_client=True) as client:
        # the newest; of flows that other tests have killed the server still says that they run
        (run_id,) = (
            run.id for run in client.read_flow_runs(sort=FlowRunSort.START_TIME_DESC, limit=1)
        )
        client.set_flow_run_state(run_id, State(type=StateType.CANCELLING))
        _, errors = process.communicate(timeout=WAIT)
        state = client.read_flow_run(run_id).state
    assert process.returncode == 1
    assert errors == ("error: the run was cancelled; finished and kept in this workspace: get@a\n")
    assert state is not None and state.is_cancelled()
    assert [one for one in stage if one.is_running()] == []
    assert (toy / "saved").exists()


def until(condition: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + START
    while not condition():
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.05)
