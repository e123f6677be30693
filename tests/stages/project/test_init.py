"""From a folder of images and labels to parameters that train on it."""

from pathlib import Path

import pytest
from ruamel.yaml import YAML
from small_sets import annotation, picture
from typer.testing import CliRunner

from stages.cli import app
from stages.project.init import propose
from yolo.errors import UserError
from yolo.params.base import parse
from yolo.params.root import Params

PRESETS = Path(__file__).resolve().parents[3] / "presets"


def holiday(folder: Path, box: tuple[int, int, int, int]) -> Path:
    """Images and labels in two folders, without splits."""
    for number in range(20):
        for kind, ending, data in (
            ("photos", "jpg", picture(number)),
            ("labels", "xml", annotation([("cat", box)])),
        ):
            (folder / kind).mkdir(parents=True, exist_ok=True)
            (folder / kind / f"{number}.{ending}").write_bytes(data)
    return folder


def params(text: str) -> dict:
    document = YAML(typ="safe", pure=True).load(text)
    parse(Params, document)
    return document


def test_the_proposal_is_the_preset_with_the_source(tmp_path: Path) -> None:
    folder = holiday(tmp_path / "set", (1, 1, 20, 20))
    proposal = propose(folder, presets=PRESETS)
    document = params(proposal.text)
    assert document["data"]["detection"]["source"] == str(folder)
    assert {split: images for split, (_, images) in proposal.report.used.items()} == {
        "train": 14,
        "val": 2,
        "test": 4,
    }


def test_small_objects_get_a_larger_input(tmp_path: Path) -> None:
    large = params(propose(holiday(tmp_path / "a", (1, 1, 20, 20)), presets=PRESETS).text)
    small = params(propose(holiday(tmp_path / "b", (5, 5, 6, 6)), presets=PRESETS).text)
    assert small["model"]["input_size"] > large["model"]["input_size"]
    for document in (large, small):
        ratio = document["model"]["input_size"] / document["model"]["grid"]
        assert ratio == 16, "the convolutional head has a cell every 16 pixels"


def test_a_classification_set_may_be_named(tmp_path: Path) -> None:
    folder = holiday(tmp_path / "set", (1, 1, 20, 20))
    document = params(propose(folder, Path("datasets/birds"), PRESETS).text)
    assert document["data"]["classification"]["source"] == "datasets/birds"


def test_a_set_that_is_refused_gets_no_parameters(tmp_path: Path) -> None:
    folder = holiday(tmp_path / "set", (1, 1, 20, 20))
    for image in (folder / "photos").iterdir():
        image.write_bytes(b"no image")
    with pytest.raises(UserError, match="is not admitted; `yolov1 check"):
        propose(folder, presets=PRESETS)


def test_a_set_without_boxes_is_none_for_a_detector(tmp_path: Path) -> None:
    for label in ("cat", "dog"):
        for number in range(10):
            path = tmp_path / label / f"{number}.jpg"
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(picture(number + 10 * (label == "dog")))
    with pytest.raises(UserError, match="has no boxes"):
        propose(tmp_path, presets=PRESETS)


@pytest.mark.parametrize("options", [[], ["--write"]])
def test_the_command_writes_only_when_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "presets").symlink_to(PRESETS)
    (tmp_path / "params.yaml").write_text("before")
    holiday(tmp_path / "set", (1, 1, 20, 20))
    done = CliRunner().invoke(app, ["init", "set", *options])
    assert done.exit_code == 0, done.output
    assert "data.detection.source set" in done.stdout
    written = (tmp_path / "params.yaml").read_text()
    assert (written == "before") == (not options)
    if options:
        assert params(written)["data"]["detection"]["source"] == "set"
