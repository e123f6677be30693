"""Trainings that are killed, stopped or shared by processes: real ones of a real project."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from project_copy import SETTINGS, Project

STAGES = ("pretrain", "detect_train")
OUTS = {"pretrain": "classifier", "detect_train": "detector"}
# a state after every batch, so that a kill meets the writing of one
EAGER = {"YOLO_SAVE_BATCHES": "1"}


@pytest.fixture(scope="module")
def longer(first_run, tmp_path_factory) -> tuple[Project, dict[str, bytes]]:
    """A project whose trainings take 200 batches, and what an uninterrupted run makes of them."""
    root = tmp_path_factory.mktemp("survival") / "project"
    shutil.copytree(first_run[0].root, root, symlinks=True)
    project = Project(root)
    for stage in STAGES:
        project.change(f"{stage}.optimisation.batches", 200)
    project.change("pretrain.validate_every", 100)
    project.change("detect_train.validation.every", 100)
    unharmed = tmp_path_factory.mktemp("unharmed") / "project"
    shutil.copytree(root, unharmed, symlinks=True)
    whole = Project(unharmed)
    whole.run("dvc", "repro", "detect_train")
    return project, results(whole)


@pytest.fixture
def project(longer, tmp_path) -> Project:
    shutil.copytree(longer[0].root, tmp_path / "project", symlinks=True)
    return Project(tmp_path / "project")


def results(project: Project) -> dict[str, bytes]:
    return project.content("models/*.safetensors", "reports/*train/*")


def start(project: Project, *command: str, **environment: str) -> subprocess.Popen[str]:
    """Start a command in a process group of its own."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return subprocess.Popen(
        command,
        cwd=project.root,
        env=os.environ | SETTINGS | {"PATH": path} | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def state_of(project: Project, stage: str) -> list[Path]:
    return list((project.root / "runs" / stage).glob("*/state.pt"))


def wait_for(condition: Callable[[], object], running: subprocess.Popen[str]) -> None:
    """Wait until something is there, or the process has ended."""
    while not condition() and running.poll() is None:
        time.sleep(0.01)


def signal_group(running: subprocess.Popen[str], number: int) -> str:
    """Signal the whole group; return what it has printed once nothing of it is left."""
    if running.poll() is None:
        os.killpg(running.pid, number)
    output = running.communicate()[0]
    while True:
        try:
            os.killpg(running.pid, 0)
        except ProcessLookupError:
            return output
        time.sleep(0.02)


def endings(project: Project, stage: str) -> list[int]:
    files = (project.root / "runs" / stage).glob("*/exit.json")
    return [json.loads(path.read_text())["status"] for path in files]


def kill(project: Project, stage: str, rng: random.Random) -> None:
    """Kill `dvc repro` and its stage a random while after the first state, at times at once."""
    before = {path: path.stat().st_mtime_ns for path in state_of(project, stage)}
    running = start(project, "dvc", "repro", stage, **EAGER)

    def is_saving() -> bool:
        return any(before.get(p) != p.stat().st_mtime_ns for p in state_of(project, stage))

    wait_for(is_saving, running)
    time.sleep(rng.choice([0.0, rng.uniform(0, 0.5)]))
    signal_group(running, signal.SIGKILL)


def test_a_killed_training_ends_with_the_bytes_of_one_that_was_not(longer, project):
    kill(project, "pretrain", random.Random(0))
    output = project.run("dvc", "repro", "detect_train")
    assert "going on after batch" in output
    assert results(project) == longer[1]


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("seed", range(3))
def test_trainings_killed_twice_at_random_moments_lose_no_byte(longer, project, stage, seed):
    """Twelve moments: two of each of three runs of both trainings."""
    rng = random.Random(f"{stage}{seed}")
    if stage == "detect_train":
        project.repro("extract_backbone")
    for _ in range(2):
        kill(project, stage, rng)
    project.run("dvc", "repro", "detect_train")
    assert results(project) == longer[1]
    assert not [path for path in project.root.glob("runs/*/*/.*.tmp")]


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("processes", ["1", "2"])
def test_a_preempted_training_goes_on_with_the_same_command(longer, project, number, processes):
    running = start(project, "dvc", "repro", "pretrain", YOLO_PROCESSES=processes, **EAGER)
    wait_for(lambda: state_of(project, "pretrain"), running)
    signal_group(running, number)
    assert endings(project, "pretrain")[-1:] == [75]
    project.run("dvc", "repro", "detect_train", YOLO_PROCESSES=processes)
    if processes == "1":
        assert results(project) == longer[1]


def test_a_spent_budget_saves_and_says_so(project):
    output = project.run("dvc", "repro", "pretrain", ok=False, YOLO_MAX_MINUTES="0.00001")
    assert "YOLO_MAX_MINUTES is spent" in output
    assert "resume with the same command" in output
    assert 76 in endings(project, "pretrain")


def test_half_a_launch_is_refused(project):
    output = project.run(
        *("accelerate", "launch", "--cpu", "--num_processes", "2", "-m", "stages.pretrain"),
        ok=False,
    )
    assert "accelerate launch was asked for several processes and has started one" in output
    assert "torchrun --nproc_per_node" in output


@pytest.mark.slow
def test_torchrun_over_two_nodes_gives_one_result(project):
    """Two launchers that meet on the loopback, each with a process, are one training."""
    command = ["torchrun", "--nnodes", "2", "--nproc_per_node", "1", "--master_addr", "127.0.0.1"]
    command += ["--master_port", "29577"]
    project.change("pretrain.optimisation.batch_norm_images", 4)
    nodes = [
        start(project, *command, "--node_rank", str(rank), "-m", "stages.pretrain")
        for rank in range(2)
    ]
    outputs = [node.communicate()[0] for node in nodes]
    assert [node.returncode for node in nodes] == [0, 0], outputs
    assert sum("pretrain: 200 batches" in output for output in outputs) == 1
    assert (project.root / "models/classifier.safetensors").is_file()
