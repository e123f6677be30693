"""The state of a training on a disk that may be full, damaged or used by others."""

import os
import resource
import subprocess
import sys
from contextlib import ExitStack, contextmanager

import pytest
import torch
from small_task import Regression, same, train

from yolo.errors import UserError
from yolo.runtime.settings import Runtime
from yolo.training.trainer.checkpoint import StateFolder

EAGER = Runtime(device="cpu", threads=1, save_batches=1)


@contextmanager
def room_for(size):
    """The system lets no file of this process grow above `size` bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_no_space_keeps_the_previous_state_and_says_what_to_free(tmp_path):
    folder = StateFolder(tmp_path, "0")
    folder.save({"state": torch.zeros(10)})
    StateFolder(tmp_path, "older")
    # what is written there meets a disk without space
    (folder.path / f".state.pt.{os.getpid()}.tmp").symlink_to("/dev/full")
    with pytest.raises(UserError) as error:
        folder.save({"state": torch.ones(100_000)})
    said = str(error.value)
    assert "No space left on device" in said
    assert "MiB are free there" in said
    assert "older" in said and "dvc gc" in said and "run the same command" in said
    assert folder.load()["state"].sum() == 0
    assert sorted(path.name for path in folder.path.iterdir()) == ["lock", "state.pt"]


def test_a_training_that_could_not_save_goes_on_from_the_state_before(tmp_path):
    whole = train(tmp_path / "whole", Regression())

    def full(update):
        if update == 7:
            limits.enter_context(room_for(1000))

    with ExitStack() as limits, pytest.raises(UserError, match="could not be saved"):
        train(tmp_path / "cut", Regression(full), runtime=EAGER)
    assert StateFolder(tmp_path / "cut", "0").load()["state"]["batch"] == 6
    resumed = train(tmp_path / "cut", Regression())
    assert same(whole.weights, resumed.weights)
    assert whole.curves == resumed.curves


def test_an_unreadable_state_says_what_to_remove(tmp_path):
    folder = StateFolder(tmp_path, "0")
    (folder.path / "state.pt").write_bytes(b"rubbish")
    with pytest.raises(UserError, match=r"state\.pt cannot be read .* remove it"):
        folder.load()


def test_only_the_last_few_states_are_kept(tmp_path):
    for number in range(5):
        folder = StateFolder(tmp_path, str(number))
        os.utime(folder.path, (number, number))
    StateFolder(tmp_path, "new")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["3", "4", "new"]


def test_the_state_of_a_training_that_runs_is_kept(tmp_path):
    """Projects may share the folder; locks are between processes, so another one holds it."""
    code = (
        "import sys; from pathlib import Path; "
        "from yolo.training.trainer.checkpoint import StateFolder; "
        "folder = StateFolder(Path(sys.argv[1]), 'running'); print('here', flush=True); input()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "here\n"
        for number in range(4):
            folder = StateFolder(tmp_path, str(number))
            os.utime(folder.path, (number, number))
        os.utime(tmp_path / "running", (0, 0))
        StateFolder(tmp_path, "new")
        assert {path.name for path in tmp_path.iterdir()} == {"running", "2", "3", "new"}
        other.communicate("\n")
    StateFolder(tmp_path, "newer")
    assert not (tmp_path / "running").exists()
