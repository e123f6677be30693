"""`yolov1 profile`: where the time of a training step goes."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from ruamel.yaml import YAML
from typer.testing import CliRunner, Result

from stages.project import preset
from yolo.cli import app
from yolo.data.store.clean_set import (
    CLASSIFICATION_SCHEMA,
    DETECTION_SCHEMA,
    Writer,
    split_path,
    write_classes,
)
from yolo.data.store.images import encode_jpeg
from yolo.errors import UserError
from yolo.inspection.profile import PARTS, Loading, Profile, advise
from yolo.runtime.settings import Runtime

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The demo's parameters on twelve large images, with a network that takes next to nothing."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("YOLO_THREADS", "1")
    monkeypatch.setenv("YOLO_DEVICE", "cpu")
    monkeypatch.delenv("YOLO_WORKERS", raising=False)
    document = YAML(typ="safe", pure=True).load(preset.compose("demo", ROOT / "presets"))
    document["model"] |= {"width": 0.25, "input_size": 64, "grid": 4}
    for stage in ("pretrain", "detect_train"):
        document[stage]["optimisation"] |= {"batch": 4, "batch_norm_images": 2}
    YAML().dump(document, tmp_path / "params.yaml")
    image = encode_jpeg(np.random.default_rng(0).integers(0, 256, (900, 1200, 3), np.uint8))
    common = {"image": image, "width": 1200, "height": 900}
    for kind, schema, rest in (
        ("classification", CLASSIFICATION_SCHEMA, {"label": 0}),
        (
            "detection",
            DETECTION_SCHEMA,
            {
                "boxes": [[9, 9, 500, 600]],
                "labels": [1],
                "difficult": [False],
                "truncated": [False],
            },
        ),
    ):
        folder = tmp_path / "data/clean" / kind
        folder.mkdir(parents=True)
        write_classes(folder, ("disc", "square"))
        for split in ("train", "val"):
            with Writer(split_path(folder, split), schema) as writer:
                for number in range(12):
                    writer.append({"name": str(number), **common, **rest})
    yield tmp_path
    # The training loop sets it for the whole process; hypothesis, in other tests, refuses it.
    torch.set_flush_denormal(False)


def call(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["profile", *arguments])


@pytest.mark.parametrize("stage", ["detect_train", "pretrain"])
def test_large_pictures_before_a_small_network_are_the_bottleneck(
    project: Path, stage: str
) -> None:
    result = call(stage, "--steps", "2", "--json")
    assert result.exit_code == 0, result.stderr
    found = json.loads(result.stdout)
    assert found["stage"] == stage
    assert list(found["shares"]) == list(PARTS)
    assert sum(found["shares"].values()) == pytest.approx(1)
    assert sum(found["seconds"].values()) == pytest.approx(found["seconds_per_step"])
    assert found["images_per_second"] == pytest.approx(4 / found["seconds_per_step"])
    assert found["shares"]["waiting"] == 0
    assert all(found["seconds"][part] > 0 for part in PARTS if part != "waiting")
    assert found["bottleneck"] == "loading"
    assert max(found["shares"], key=lambda part: found["shares"][part]) == "decoding"
    assert any("shorter_side" in change for change in found["changes"])
    # nothing is kept
    assert sorted(path.name for path in project.iterdir()) == ["data", "params.yaml"]


def test_micro_batches_and_workers_are_those_of_the_training(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("YOLO_WORKERS", "1")
    monkeypatch.setenv("YOLO_MICRO_BATCH", "2")
    result = call("--steps", "2", "--json")
    assert result.exit_code == 0, result.stderr
    found = json.loads(result.stdout)
    assert found["workers"] == 1
    assert found["images_per_step"] == 4
    assert found["seconds"]["reading"] == found["seconds"]["decoding"] == 0
    assert found["seconds"]["waiting"] > 0


def test_the_table_names_the_bottleneck_and_the_remedy(project: Path) -> None:
    shown = call("--steps", "1").stdout
    for part in PARTS:
        assert part in shown
    assert "bottleneck: loading\n  - " in shown


def test_without_clean_data_it_says_what_brings_them(project: Path) -> None:
    (project / "data/clean/detection/train.arrow").unlink()
    result = call()
    assert isinstance(result.exception, UserError)
    assert "dvc repro validate" in str(result.exception)


def measured(device: str = "cpu", decoding: float = 0.01, **seconds: float) -> Profile:
    return Profile(
        {part: seconds.get(part, 0.001) for part in PARTS},
        Loading(0.001, decoding, 0.001),
        steps=5,
        batch=16,
        device=device,
    )


@pytest.mark.parametrize(
    ("found", "settings", "bottleneck", "first"),
    [
        (measured(backward=9.0), Runtime(threads=1), "backward", "YOLO_THREADS=4"),
        (measured("cuda", forward=9.0), Runtime(threads=4), "forward", "bf16"),
        (measured(optimiser=9.0), Runtime(threads=4), "optimiser", "optimisation.batch"),
        (measured(transfer=9.0), Runtime(threads=4), "transfer", "YOLO_MICRO_BATCH"),
        (measured(decoding=0.5), Runtime(threads=4), "loading", "YOLO_WORKERS=3"),
        (measured(waiting=9.0), Runtime(threads=4, workers=2), "waiting", "YOLO_WORKERS=3"),
        # no core is left for another worker: only less work helps
        (measured(waiting=9.0), Runtime(threads=4, workers=3), "waiting", "shorter_side"),
    ],
)
def test_the_remedy_fits_the_bottleneck(
    found: Profile, settings: Runtime, bottleneck: str, first: str
) -> None:
    if bottleneck == "loading":
        found.seconds["decoding"] = 9.0
    name, changes = advise(found, settings, cores=4)
    assert name == bottleneck
    assert first in changes[0]
