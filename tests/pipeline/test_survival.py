"""Trainings that are killed, stopped or shared by processes: real ones of a real project."""

import csv
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from project_copy import SETTINGS, Project

STAGES = ("pretrain", "detect_train")
WEIGHTS = {"pretrain": "classifier", "detect_train": "detector"}
# a state after every batch, so that a kill meets the writing of one
EAGER = {"YOLO_SAVE_BATCHES": "1"}
SECONDS_TO_WAIT = 400.0
STARTED: set[int] = set()
"""Process groups that may still be there."""


@pytest.fixture(scope="module")
def longer(first_run, tmp_path_factory) -> tuple[Project, dict[str, bytes]]:
    """A project whose trainings take 200 batches, and what an uninterrupted run makes of them."""
    root = tmp_path_factory.mktemp("survival") / "project"
    shutil.copytree(first_run[0].root, root, symlinks=True)
    project = Project(root)
    for stage in STAGES:
        project.change(f"{stage}.optimisation.batches", 200)
        # so that two processes may share a batch of 8
        project.change(f"{stage}.optimisation.batch_norm_images", 4)
    project.change("pretrain.validate_every", 100)
    project.change("detect_train.validation.every", 100)
    # the pre-training as the paper's, the detector with what the recipe adds
    project.change("detect_train.optimisation.optimiser", "adamw")
    project.change("detect_train.optimisation.schedule.policy", "cosine")
    project.change("detect_train.optimisation.schedule.learning_rate", 0.002)
    project.change("detect_train.augmentation.vertical_flip", True)
    unharmed = tmp_path_factory.mktemp("unharmed") / "project"
    shutil.copytree(root, unharmed, symlinks=True)
    whole = Project(unharmed)
    whole.run("dvc", "repro", "detect_train")
    return project, results(whole)


@pytest.fixture
def project(longer, tmp_path) -> Project:
    shutil.copytree(longer[0].root, tmp_path / "project", symlinks=True)
    return Project(tmp_path / "project")


@pytest.fixture(scope="module")
def shared(longer, tmp_path_factory) -> dict[str, bytes]:
    """What the pre-training makes in two processes, uninterrupted."""
    root = tmp_path_factory.mktemp("shared") / "project"
    shutil.copytree(longer[0].root, root, symlinks=True)
    project = Project(root)
    # not told that the CPU is meant, as by default
    project.run("dvc", "repro", "pretrain", YOLO_PROCESSES="2", YOLO_DEVICE="auto")
    return results(project, "pretrain")


@pytest.fixture(autouse=True)
def nothing_is_left():
    yield
    for group in STARTED:
        with suppress(ProcessLookupError):
            os.killpg(group, signal.SIGKILL)
    STARTED.clear()


def results(project: Project, *stages: str) -> dict[str, bytes]:
    """Weights, curves, numbers and pages of trainings."""
    wanted = stages or STAGES
    return project.content(
        *(f"models/{WEIGHTS[stage]}.safetensors" for stage in wanted),
        *(f"reports/{stage}/*" for stage in wanted),
    )


def of(stage: str, files: dict[str, bytes]) -> dict[str, bytes]:
    """Those of `results` that are one stage's."""
    names = (f"models/{WEIGHTS[stage]}.", f"reports/{stage}/")
    return {name: content for name, content in files.items() if name.startswith(names)}


def start(project: Project, *command: str, **environment: str) -> subprocess.Popen[str]:
    """Start a command in a process group of its own."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    running = subprocess.Popen(
        command,
        cwd=project.root,
        env=os.environ | SETTINGS | {"PATH": path} | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    STARTED.add(running.pid)
    return running


def state_of(project: Project, stage: str) -> list[Path]:
    return list((project.root / "runs" / stage).glob("*/state.pt"))


def wait_for(condition: Callable[[], object], running: subprocess.Popen[str] | None = None) -> None:
    """Wait until something is so, while `running` runs."""
    deadline = time.monotonic() + SECONDS_TO_WAIT
    while not condition():
        assert time.monotonic() < deadline, "it did not come to that"
        if running is not None and running.poll() is not None and not condition():
            raise AssertionError(f"it has ended before:\n{running.communicate()[0]}")
        time.sleep(0.002)


def signal_group(running: subprocess.Popen[str], number: int) -> str:
    """Signal the whole group; return what it has printed once nothing of it is left."""
    os.killpg(running.pid, number)
    return output_of(running)


def output_of(running: subprocess.Popen[str]) -> str:
    """What a command has printed once nothing of its group is left."""
    output = running.communicate(timeout=SECONDS_TO_WAIT)[0]

    def is_gone() -> bool:
        try:
            os.killpg(running.pid, 0)
        except ProcessLookupError:
            return True
        return False

    wait_for(is_gone)
    STARTED.discard(running.pid)
    return output


def endings(project: Project, stage: str) -> list[int]:
    files = (project.root / "runs" / stage).glob("*/exit.json")
    return [json.loads(path.read_text())["status"] for path in files]


class Moment:
    """A moment of a training under way, at which it is to be killed."""

    def __init__(self, project: Project, stage: str) -> None:
        self._runs = project.root / "runs" / stage
        self._weights = project.root / f"models/{WEIGHTS[stage]}.safetensors"
        self._locks = set(self._runs.glob("*/lock"))
        self._seen: set[tuple[int, int]] = set(self._states())

    def _states(self) -> list[tuple[int, int]]:
        found = []
        for path in self._runs.glob("*/state.pt"):
            state = path.stat()
            found.append((state.st_ino, state.st_mtime_ns))
        return found

    def is_starting(self) -> bool:
        """The training has a folder, and did not have it before."""
        return bool(set(self._runs.glob("*/lock")) - self._locks)

    def has_saved(self, times: int) -> Callable[[], bool]:
        """So many states have been seen."""
        before = len(self._seen)

        def seen() -> bool:
            self._seen.update(self._states())
            return len(self._seen) >= before + times

        return seen

    def torn(self) -> list[Path]:
        """The files of states that are being written."""
        return list(self._runs.glob("*/.state.pt.*.tmp"))

    def is_ending(self) -> bool:
        """The weights are there, which DVC has removed before the stage began."""
        return self._weights.exists()


def kill(project: Project, stage: str, when: str, rng: random.Random) -> None:
    """Kill `dvc repro` and its stage at a moment, once that has come."""
    moment = Moment(project, stage)
    running = start(project, "dvc", "repro", stage, **EAGER)
    if when == "writing":
        while True:
            wait_for(moment.torn, running)
            # held, the writer cannot finish while it is asked whether it was still at it
            os.killpg(running.pid, signal.SIGSTOP)
            torn = [path for path in moment.torn() if is_held(path)]
            if torn:
                break
            os.killpg(running.pid, signal.SIGCONT)
        signal_group(running, signal.SIGKILL)
        assert torn[0].exists()
        return
    conditions = {
        "starting": moment.is_starting,
        "saved": moment.has_saved(rng.randint(1, 30)),
        "ending": moment.is_ending,
    }
    wait_for(conditions[when], running)
    signal_group(running, signal.SIGKILL)


def is_held(path: Path) -> bool:
    """Whether the process that writes a temporary file, whose name has its number, has stopped."""
    status = Path("/proc", path.name.split(".")[-2], "stat")

    def has_stopped() -> bool:
        try:
            return status.read_text().rsplit(")", 1)[1].split()[0] == "T"
        except OSError:
            return True

    wait_for(has_stopped)
    return status.exists() and path.exists()


def test_a_killed_training_ends_with_the_bytes_of_one_that_was_not(longer, project):
    kill(project, "pretrain", "saved", random.Random(0))
    output = project.run("dvc", "repro", "detect_train")
    assert "going on after batch" in output
    assert results(project) == longer[1]


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize(
    "moments", [("saved", "writing"), ("starting", "saved", "saved"), ("writing", "ending")]
)
def test_trainings_killed_again_and_again_lose_no_byte(longer, project, stage, moments):
    """Seven moments of each training."""
    rng = random.Random(f"{stage} {moments}")
    if stage == "detect_train":
        project.repro("extract_backbone")
    for when in moments:
        kill(project, stage, when, rng)
    project.run("dvc", "repro", stage)
    assert results(project, stage) == of(stage, longer[1])
    assert not list(project.root.glob("runs/*/*/.*.tmp"))


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize(
    ("command", "processes"),
    [
        ("dvc repro pretrain", "1"),
        ("dvc repro pretrain", "2"),
        ("accelerate launch --cpu --num_processes 1 -m stages.pretrain", "1"),
        ("torchrun --nproc_per_node 2 -m stages.pretrain", "1"),
    ],
)
def test_a_preempted_training_goes_on_with_the_same_command(
    longer, shared, project, command, processes, number
):
    """The signal goes to the process group, whoever has started what."""
    settings = {"YOLO_PROCESSES": processes}
    moment = Moment(project, "pretrain")
    running = start(project, *command.split(), **EAGER, **settings)
    wait_for(moment.has_saved(random.Random(command).randint(1, 30)), running)
    said = signal_group(running, number)
    assert "resume with the same command" in said
    # the finished training of 4 batches has left its own
    assert sorted(endings(project, "pretrain")) == [0, 75]
    said = project.run(*command.split(), **settings)
    assert said.count("going on after batch") == 1
    assert endings(project, "pretrain") == [0, 0]
    is_shared = "2" in (processes, *command.split())
    assert results(project, "pretrain") == (shared if is_shared else of("pretrain", longer[1]))


def test_a_spent_budget_saves_and_says_so(project):
    output = project.run("dvc", "repro", "pretrain", ok=False, YOLO_MAX_MINUTES="0.00001")
    assert "YOLO_MAX_MINUTES is spent" in output
    assert "resume with the same command" in output
    assert 76 in endings(project, "pretrain")


def test_a_stopped_training_goes_on_in_another_clone_that_shares_the_runs(
    longer, project, tmp_path
):
    other = Project(tmp_path / "other")
    shutil.copytree(project.root, other.root, symlinks=True)
    runs = str(tmp_path / "runs")
    output = project.run(
        "dvc", "repro", "pretrain", ok=False, YOLO_MAX_MINUTES="0.00001", YOLO_RUNS=runs
    )
    assert "stopped at batch 1 of 200" in output
    shutil.rmtree(project.root)
    assert "going on after batch 1" in other.run("dvc", "repro", "pretrain", YOLO_RUNS=runs)
    assert of("pretrain", results(other)) == of("pretrain", longer[1])


def test_half_a_launch_is_refused(project):
    output = project.run(
        *("accelerate", "launch", "--cpu", "--num_processes", "2", "-m", "stages.pretrain"),
        ok=False,
    )
    assert "accelerate launch was asked for several processes and has started one" in output
    assert "torchrun --nproc_per_node" in output


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_two_nodes_have_the_losses_of_one_process(project, tmp_path):
    """Two launchers that meet on the loopback, each in its own copy of the project."""
    project.change("pretrain.optimisation.batches", 10)
    project.change("pretrain.validate_every", 1)
    alone, other = (Project(tmp_path / name) for name in ("alone", "other"))
    for copy in (alone, other):
        shutil.copytree(project.root, copy.root, symlinks=True)
    alone.run("python", "-m", "stages.pretrain")

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    command = ["torchrun", "--nnodes", "2", "--nproc_per_node", "1"]
    command += ["--master_addr", "127.0.0.1", "--master_port", port]
    before = written(other)
    nodes = [
        start(copy, *command, "--node_rank", str(rank), "-m", "stages.pretrain")
        for rank, copy in enumerate((project, other))
    ]
    said = [output_of(node) for node in nodes]
    assert [node.returncode for node in nodes] == [0, 0], said

    # the first has the one log, the curves and the weights; the other has written nothing
    assert ["pretrain: 10 batches" in output for output in said] == [True, False]
    assert written(other) == before
    logged = {Path(name).name for name in set(written(project)) - set(before)}
    assert logged == {"exit.json", "lock", "log.jsonl"}
    one, two = (curves(copy.root / "reports/pretrain/curves.csv") for copy in (alone, project))
    assert len(one) == len(two) == 10
    for expected, row in zip(one, two, strict=True):
        assert row == pytest.approx(expected, abs=1e-5)
    classifier = "models/classifier.safetensors"
    assert project.content(classifier) != other.content(classifier)


def written(project: Project) -> dict[str, bytes]:
    """All that trainings write."""
    return project.content("models/*", "reports/*/*", "runs/*/*/*")


def curves(path: Path) -> list[dict[str, float]]:
    with path.open(newline="") as file:
        return [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]
