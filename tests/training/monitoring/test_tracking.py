"""The course of a training on disk and in Weights & Biases."""

import json

import numpy as np
import pytest
import wandb_file
from accelerate import PartialState
from PIL import Image

from yolo.training.monitoring.tracking import Example, Tracker

ROW = {
    "learning_rate": 0.1,
    "loss": 2.5,
    "coord": 1.5,
    "noobject": 1.0,
    "voc07_map": 0.25,
    "images_per_second": 12.5,
}
EXAMPLE = Example(
    name="a.jpg",
    image=np.full((20, 30, 3), 200, np.uint8),
    classes=("cat", "dog"),
    boxes=np.array([[1.0, 2.0, 10.0, 12.0]]),
    labels=np.array([1]),
    scores=np.array([0.75]),
    true_boxes=np.array([[2.0, 3.0, 11.0, 13.0]]),
    true_labels=np.array([0]),
)


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


def test_a_restarted_training_is_one_run_of_wandb_with_all_that_is_known_of_it(tmp_path):
    for step in (1, 2):
        tracker = Tracker(tmp_path, "offline", "test", {"seed": 3, "model": {"width": 0.25}})
        tracker.log(step, ROW)
        tracker.log_examples(step, [EXAMPLE])
        tracker.close()
    assert [row["batch"] for row in read(tmp_path)] == [1, 2]

    # W&B keeps a folder per start; the run's identity is in what is inside
    files = sorted(tmp_path.glob("wandb/offline-run-*/run-*.wandb"))
    rows = []
    for path in files:
        (run,) = (record.run for record in wandb_file.records(path) if record.HasField("run"))
        assert run.run_id == (tmp_path / "wandb_id").read_text()
        own = wandb_file.config(path)
        assert (own["seed"], own["model"]) == (3, {"width": 0.25})
        rows += wandb_file.history(path)
    assert sorted(row["_step"] for row in rows) == [1, 2]
    for row in rows:
        assert {name: row[name] for name in ROW} == ROW
        assert row["examples.captions"] == ["a.jpg"]

    (first, *_) = files
    media = first.parent / "files" / "media"
    (image,) = media.rglob("*.png")
    assert Image.open(image).size == (30, 20)
    drawn = [json.loads(path.read_text()) for path in media.rglob("*.boxes2D.json")]
    boxes = {box["box_caption"]: box["position"] for group in drawn for box in group["box_data"]}
    assert boxes == {
        "dog 0.75": {"minX": 1.0, "minY": 2.0, "maxX": 10.0, "maxY": 12.0},
        "cat": {"minX": 2.0, "minY": 3.0, "maxX": 11.0, "maxY": 13.0},
    }


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


def test_trouble_in_the_middle_warns_once_and_goes_on(tmp_path, monkeypatch, capsys):
    import accelerate.tracking

    class Failing:
        def __init__(self, *_, **__):
            self._logged = 0

        def start(self):
            pass

        def log(self, *_, **__):
            self._logged += 1
            if self._logged == 2:
                raise BrokenPipeError("the service is gone")

        def finish(self):
            raise AssertionError("it is off")

    monkeypatch.setattr(accelerate.tracking, "WandBTracker", Failing)
    tracker = Tracker(tmp_path, "offline", "test", {})
    for step in (1, 2, 3):
        tracker.log(step, {"loss": 1.0})
    tracker.close()
    assert capsys.readouterr().err.count("the service is gone") == 1
    assert [row["batch"] for row in read(tmp_path)] == [1, 2, 3]
