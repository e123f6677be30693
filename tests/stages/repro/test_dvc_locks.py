"""DVC's notes of who works on what, after kills of every kind."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from stages.repro.dvc_locks import explain, release_stale
from stages.repro.plan import read_plan
from yolo.errors import UserError


def note(root: Path, pid: int, *, age: float = 0.0) -> Path:
    """Write what DVC would of a process that works on `left`, `age` seconds ago."""
    path = root / ".dvc" / "tmp" / "rwlock"
    path.parent.mkdir(exist_ok=True)
    entry = {"pid": pid, "cmd": "/bin/dvc repro left"}
    path.write_text(
        json.dumps({"write": {str(root / "left"): entry}, "read": {str(root / "got-a"): [entry]}})
    )
    written = path.stat().st_mtime - age
    os.utime(path, (written, written))
    return path


@pytest.fixture
def other() -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    yield process
    process.kill()
    process.communicate()


def status() -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "dvc", "repro", "left"], capture_output=True, text=True
    )


def test_a_number_that_another_process_got_blocks_dvc_and_is_released(
    toy: Path, other: subprocess.Popen[bytes]
) -> None:
    """The note is older than the process of that number: its writer is gone."""
    path = note(toy, other.pid, age=3600)
    assert "busy" in status().stderr
    note(toy, other.pid, age=3600)
    (released,) = release_stale(toy)
    assert released == (
        f"released {toy}/left, {toy}/got-a: process {other.pid} (`/bin/dvc repro left`) ended "
        "without giving back what it held"
    )
    assert json.loads(path.read_text()) == {"write": {}, "read": {}}
    assert status().returncode == 0


def test_a_process_at_work_keeps_its_note_and_is_named(
    toy: Path, other: subprocess.Popen[bytes]
) -> None:
    path = note(toy, other.pid)
    # the note is as young as the process, as DVC's own are
    after = psutil.Process(other.pid).create_time() + 1
    os.utime(path, (after, after))
    assert release_stale(toy) == []
    assert f"process {other.pid} (" in explain(toy)
    assert "works on left, got-a: wait for it, or end it" in explain(toy)


def test_a_note_of_the_dead_is_released(toy: Path, other: subprocess.Popen[bytes]) -> None:
    other.kill()
    other.communicate()
    note(toy, other.pid)
    assert "is gone; the next run releases it" in explain(toy)
    assert len(release_stale(toy)) == 1
    assert explain(toy) == ""


def test_a_record_cut_short_by_a_kill_blocks_dvc_and_is_removed(toy: Path) -> None:
    path = note(toy, 1)
    path.write_text('{"write": {"/x')
    assert "corrupted" in status().stderr
    assert release_stale(toy) == [f"{path} was cut short by a kill and has been removed"]
    assert status().returncode == 0


def test_without_a_record_there_is_nothing_to_say(toy: Path) -> None:
    assert release_stale(toy) == [] and explain(toy) == ""


def test_a_plan_that_must_wait_says_for_whom(toy: Path, other: subprocess.Popen[bytes]) -> None:
    assert status().returncode == 0
    path = note(toy, other.pid)
    after = psutil.Process(other.pid).create_time() + 1
    os.utime(path, (after, after))
    with pytest.raises(UserError, match=f"process {other.pid} .*wait for it, or end it"):
        read_plan()
