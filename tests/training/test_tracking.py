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
    identifiers = set()
    for step in (1, 2):
        tracker = Tracker(tmp_path, "offline", "test", {"seed": 0})
        tracker.log(step, {"loss": 1.0 / step})
        tracker.close()
        identifiers.add((tmp_path / "wandb_id").read_text())
    assert [row["batch"] for row in read(tmp_path)] == [1, 2]
    assert len(identifiers) == 1
    runs = [path.name for path in (tmp_path / "wandb").glob("offline-run-*")]
    assert runs
    assert all(name.endswith(identifiers.copy().pop()) for name in runs)


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
