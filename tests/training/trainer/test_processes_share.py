"""Several processes that share a batch do what one does alone."""

import multiprocessing
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from accelerate import PartialState
from accelerate.state import AcceleratorState
from small_task import OPTIMISATION, Linear
from torch import nn

from yolo.errors import Stopped
from yolo.model.network.layers import BatchNorm, set_batch_norm_images
from yolo.runtime.settings import Runtime
from yolo.training.monitoring.tracking import Tracker
from yolo.training.trainer.checkpoint import StateFolder
from yolo.training.trainer.trainer import Trainer


@pytest.mark.parametrize("device", ["auto", "cpu"])
def test_processes_see_each_other_whatever_the_device_setting(device):
    """Accelerate takes each for alone where it is not told that the CPU is meant."""
    code = (
        "from stages.common.launch import join; "
        "from yolo.runtime.settings import from_environment; "
        "state = join(from_environment()); print(state.num_processes, state.is_main_process)"
    )
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    shared = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    started = [
        subprocess.Popen(
            [sys.executable, "-c", code],
            env=os.environ | shared | {"RANK": rank, "LOCAL_RANK": rank, "YOLO_DEVICE": device},
            stdout=subprocess.PIPE,
            text=True,
        )
        for rank in "01"
    ]
    said = [process.communicate(timeout=120)[0].split() for process in started]
    assert said == [["2", "True"], ["2", "False"]]


class Shared(Linear):
    """Notes the images that it sees; SIGTERM reaches it at update `stop_at`."""

    def __init__(self, normalised: bool, stop_at: int | None) -> None:
        super().__init__()
        torch.manual_seed(0)
        if normalised:
            self.model = nn.Sequential(nn.Linear(2, 8), BatchNorm(8), nn.Tanh(), nn.Linear(8, 1))
            set_batch_norm_images(self.model, OPTIMISATION.batch_norm_images)
        self.seen: list[str] = []
        self._stop_at = stop_at

    def loss(self, outputs, batch):
        self.seen += batch.names
        self._stop_at = self._stop_at and self._stop_at - 1
        if self._stop_at == 0:
            os.kill(os.getpid(), signal.SIGTERM)
        return super().loss(outputs, batch)


def work(rank, processes, port, folder, normalised, stop_at, answers):
    os.environ |= {
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
        "WORLD_SIZE": str(processes),
        "LOCAL_WORLD_SIZE": str(processes),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
    }
    AcceleratorState._reset_state(reset_partial_state=True)
    state = PartialState(cpu=True)
    # only the last process is told to stop: the others must learn of it
    task = Shared(normalised, stop_at if rank == processes - 1 else None)
    own = StateFolder(folder, "0") if state.is_main_process else None
    tracker = Tracker(own.path, "disabled", "test", {}) if own else None
    try:
        result = Trainer(
            task,
            OPTIMISATION,
            seed=1,
            validate_every=1,
            folder=own,
            runtime=Runtime(device="cpu", threads=1),
            tracker=tracker,
        ).run("last")
        weights = {name: value.flatten().tolist() for name, value in result.weights.items()}
        answers.put((rank, task.seen, result.curves, weights))
    except Stopped as stopped:
        answers.put((rank, stopped.status, None, None))
    state.wait_for_everyone()
    state.destroy_process_group()
    # what other tests' libraries have registered for the end of their process is not for this fork
    os._exit(0)


def train(folder: Path, processes: int, *, normalised=False, stop_at=None):
    """What each process saw, found and made, by rank."""
    context = multiprocessing.get_context("fork")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    answers = context.SimpleQueue()
    ranks = [
        context.Process(
            target=work, args=(rank, processes, port, folder, normalised, stop_at, answers)
        )
        for rank in range(processes)
    ]
    for rank in ranks:
        rank.start()
    for rank in ranks:
        rank.join(120)
    assert [rank.exitcode for rank in ranks] == [0] * processes
    return sorted(answers.get() for _ in ranks)


@pytest.mark.parametrize("normalised", [False, True])
def test_two_processes_have_the_losses_and_statistics_of_one(tmp_path, normalised):
    ((_, seen, curves, weights),) = train(tmp_path / "one", 1, normalised=normalised)
    first, second = train(tmp_path / "two", 2, normalised=normalised)
    for one, two in zip(curves, first[2], strict=True):
        assert two == pytest.approx(one, abs=1e-5)
    for name, values in weights.items():
        # rounding grows over the updates
        assert first[3][name] == pytest.approx(values, abs=2e-4), name
        assert second[3][name] == pytest.approx(first[3][name]), name
    # no image lost, none doubled; one process keeps the curves and the log
    assert sorted(first[1] + second[1]) == sorted(seen)
    assert second[2] == []
    assert len((tmp_path / "two/0/log.jsonl").read_text().splitlines()) == OPTIMISATION.batches


def test_one_process_told_to_stop_stops_both_and_they_go_on(tmp_path):
    whole = train(tmp_path / "whole", 2)
    stopped = train(tmp_path / "cut", 2, stop_at=5)
    assert [answer[1] for answer in stopped] == [75, 75]
    resumed = train(tmp_path / "cut", 2)
    assert resumed[0][2:] == whole[0][2:]
    assert resumed[1][3] == whole[1][3]
