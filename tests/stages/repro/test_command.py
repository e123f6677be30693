"""Stage processes: streamed, and never left behind."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from stages.repro.command import GRACE_SECONDS, Process, Running

ROOT = Path(__file__).resolve().parents[3]
WAIT = 20.0


def run(tmp_path: Path, script: str) -> tuple[int, list[str]]:
    lines: list[str] = []
    code = Running().run(
        ["sh", "-c", script], cwd=tmp_path, env=dict(os.environ), on_line=lines.append
    )
    return code, lines


def ended(pid: int) -> bool:
    """Whether the process is gone within some seconds."""
    try:
        psutil.Process(pid).wait(WAIT)
    except psutil.NoSuchProcess:
        pass
    except psutil.TimeoutExpired:
        return False
    return True


def test_output_comes_line_by_line_and_the_exit_status_is_the_commands(tmp_path: Path) -> None:
    code, lines = run(tmp_path, "echo one; echo two >&2; printf 'three\\rfour'; exit 7")
    assert (code, lines) == (7, ["one", "two", "three", "four"])


def test_death_by_a_signal_is_128_and_its_number(tmp_path: Path) -> None:
    assert run(tmp_path, "kill -9 $$") == (128 + 9, [])


def test_a_command_that_does_not_exist_is_said(tmp_path: Path) -> None:
    lines: list[str] = []
    code = Running().run(["no-such"], cwd=tmp_path, env=dict(os.environ), on_line=lines.append)
    assert code == 1
    assert lines == ["cannot start no-such: No such file or directory"]


@pytest.mark.parametrize("leave", ["sleep 600 &", "setsid sleep 600 &"])
def test_what_a_command_leaves_behind_is_ended_with_it(tmp_path: Path, leave: str) -> None:
    code, lines = run(tmp_path, f"{leave} echo $!; exit 3")
    assert code == 3
    assert not psutil.pid_exists(int(lines[0]))


def test_a_killed_parent_does_not_leave_its_child(tmp_path: Path) -> None:
    """DVC killed alone would leave its trainer running."""
    code, lines = run(tmp_path, "sh -c 'sleep 600 & echo $!; wait' & sleep 0.5; kill -9 $$")
    assert code == 128 + 9
    assert not psutil.pid_exists(int(lines[0]))


def test_ending_lets_the_command_save_first(tmp_path: Path) -> None:
    process = Process(
        ["sh", "-c", "trap 'echo saved; exit 75' TERM; echo ready; sleep 600 & wait"],
        cwd=tmp_path,
        env=dict(os.environ),
    )
    lines = process.lines()
    assert next(lines) == "ready"
    process.end()
    assert list(lines) == ["saved"]
    assert process.wait() == 75


def test_who_does_not_end_in_time_is_killed(tmp_path: Path) -> None:
    process = Process(
        ["sh", "-c", "trap '' TERM; echo $$; while :; do sleep 0.1; done"],
        cwd=tmp_path,
        env=dict(os.environ),
        grace=0.3,
    )
    pid = int(next(process.lines()))
    process.end()
    assert process.wait() == 128 + 9
    assert not psutil.pid_exists(pid)


def test_an_orphan_that_lost_the_first_signal_is_asked_again(tmp_path: Path) -> None:
    """As what a shell forks does that is told to stop before it is what it shall run."""
    script = "(trap '' TERM; sleep 1.5; trap - TERM; exec sleep 600) & echo $!; wait"
    process = Process(["sh", "-c", script], cwd=tmp_path, env=dict(os.environ))
    pid = int(next(process.lines()))
    asked = time.monotonic()
    process.end()
    process.wait()
    assert not psutil.pid_exists(pid)
    # not killed in the end
    assert time.monotonic() - asked < GRACE_SECONDS


def test_when_all_is_ended_nothing_new_starts(tmp_path: Path) -> None:
    running = Running()
    running.end_all()
    with pytest.raises(InterruptedError):
        running.run(["true"], cwd=tmp_path, env={}, on_line=print)


STARTER = """
import os, sys
from pathlib import Path
from stages.repro.command import Process
script = "trap 'echo saving; echo saved > saved; exit 75' TERM; echo $$; sleep 600 & echo $!; wait"
process = Process(["sh", "-c", script], cwd=Path.cwd(), env=dict(os.environ))
for line in process.lines():
    print(line, flush=True)
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_killed_starter_leaves_nothing_and_the_command_can_still_save(
    tmp_path: Path, number: signal.Signals
) -> None:
    starter = subprocess.Popen(
        [sys.executable, "-c", STARTER],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert starter.stdout is not None
    pids = [int(starter.stdout.readline()) for _ in range(2)]
    supervisor = psutil.Process(pids[0]).ppid()
    starter.send_signal(number)
    starter.wait(WAIT)
    starter.stdout.close()
    assert all(ended(pid) for pid in [*pids, supervisor])
    assert (tmp_path / "saved").read_text() == "saved\n"
