"""The course of a training on disk and in Weights & Biases."""

import json

import pytest
from accelerate import PartialState

from yolo.training.tracking import Tracker


@pytest.fixture(autouse=True)
def accelerate_is_up():
    PartialState(cpu=True)


def read(folder):
    return [json.loads(line) for line in (folder / "log.jsonl").open()]


def test_json_lines_are_always_written(tmp_path):
    tracker = Tracker(tmp_path, "disabled", "test", {})
    tracker.log(10, {"loss": 1.5})
    tracker.close()
    assert read(tmp_path) == [{"batch": 10, "loss": 1.5}]


def test_a_resumed_training_goes_on_in_the_same_log_and_run(tmp_path):
    for step in (1, 2):
        tracker = Tracker(tmp_path, "offline", "test", {"seed": 3})
        tracker.log(step, {"loss": 1.0 / step})
        tracker.close()
    assert [row["batch"] for row in read(tmp_path)] == [1, 2]
    # W&B keeps a folder per start, of which two in one second differ in a suffix; the run's
    # identity is in the name of the file inside.
    runs = [path.stem for path in tmp_path.glob("wandb/offline-run-*/run-*.wandb")]
    assert runs == [f"run-{(tmp_path / 'wandb_id').read_text()}"] * 2


def test_trouble_with_tracking_warns_and_goes_on(tmp_path, monkeypatch, capsys):
    import accelerate.tracking

    def broken(*_, **__):
        raise OSError("no such service")

    monkeypatch.setattr(accelerate.tracking, "WandBTracker", broken)
    tracker = Tracker(tmp_path, "offline", "test", {})
    tracker.log(1, {"loss": 1.0})
    tracker.close()
    assert "no such service" in capsys.readouterr().err
    assert read(tmp_path) == [{"batch": 1, "loss": 1.0}]
