"""Presets: comments kept, values replaced, nothing wrong written."""

from pathlib import Path

import pytest
import yaml
from dvc.utils.serialize import modify_yaml

from stages.project import preset
from yolo.errors import UserError
from yolo.params.base import read_document

ROOT = Path(__file__).resolve().parents[3]
BASE = ROOT / "presets" / "base.yaml"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "base.yaml").write_text(BASE.read_text())
    return tmp_path


def test_an_empty_overlay_gives_the_base_unchanged(folder: Path) -> None:
    (folder / "mine.yaml").write_text("{}\n")
    assert preset.compose("mine", folder) == BASE.read_text()


def test_only_the_lines_of_the_overlay_change(folder: Path) -> None:
    (folder / "mine.yaml").write_text("evaluate:\n  pictures: 5\nmodel:\n  width: 0.5\n")
    before, after = BASE.read_text().splitlines(), preset.compose("mine", folder).splitlines()
    changed = [(a, b) for a, b in zip(before, after, strict=True) if a != b]
    assert changed == [("  width: 1.0", "  width: 0.5"), ("  pictures: 24", "  pictures: 5")]


def test_lists_are_replaced_and_stay_in_block_style(folder: Path) -> None:
    (folder / "mine.yaml").write_text("data:\n  detection:\n    classes: [b, a]\n")
    assert "    classes:\n    - b\n    - a\n" in preset.compose("mine", folder)


def test_floats_are_written_so_that_every_yaml_reader_reads_a_number(folder: Path) -> None:
    text = "detect_train:\n  optimisation:\n    decay: 1e-5\n    clip_norm: 1e6\n    ema: null\n"
    (folder / "mine.yaml").write_text(text)
    found = yaml.safe_load(preset.compose("mine", folder))["detect_train"]["optimisation"]
    assert found["decay"] == 0.00001 and found["clip_norm"] == 1000000.0
    assert found["ema"] is None


@pytest.mark.parametrize("name", preset.names(ROOT / "presets"))
def test_shipped_presets_keep_every_comment(name: str) -> None:
    comments = [line for line in BASE.read_text().splitlines() if line.lstrip().startswith("#")]
    text = preset.compose(name, ROOT / "presets").splitlines()
    assert [line for line in comments if line not in text] == []


@pytest.mark.parametrize(
    ("overlay", "message"),
    [
        ("evaluate:\n  picture: 5\n", r"unknown key evaluate\.picture; .* has here: score_thresh"),
        ("evaluate: 5\n", "evaluate is 5; it must be a block"),
        (
            "evaluate:\n  pictures: many\n",
            r"evaluate\.pictures is 'many'; it should be a valid int",
        ),
        ("model:\n  width: 5.0\n", r"model\.width is 5\.0; it should be less than or equal to 2"),
    ],
)
def test_a_wrong_overlay_is_an_error_and_writes_nothing(
    folder: Path, overlay: str, message: str
) -> None:
    (folder / "mine.yaml").write_text(overlay)
    target = folder / "params.yaml"
    target.write_text("old\n")
    with pytest.raises(UserError, match=message):
        preset.write("mine", folder, target)
    assert target.read_text() == "old\n"


def test_an_unknown_preset_is_an_error_that_names_those_there_are(folder: Path) -> None:
    (folder / "one.yaml").write_text("{}\n")
    (folder / "two.yaml").write_text("{}\n")
    with pytest.raises(UserError, match=r"no preset is named 'base'; there are: one, two"):
        preset.compose("base", folder)


def test_the_paper_uses_the_rates_of_2015_and_no_batch_normalisation(tmp_path: Path) -> None:
    preset.write("paper", ROOT / "presets", tmp_path / "params.yaml")
    document = read_document(tmp_path / "params.yaml")
    schedule = document["detect_train"]["optimisation"]["schedule"]
    rate, rates = schedule["learning_rate"], []
    for scale in schedule["scales"]:
        rate *= scale
        rates.append(round(rate, 9))
    assert rates == [0.0025, 0.005, 0.01, 0.001, 0.0001]
    assert document["model"]["network"] == "yolov1"


def test_fast_rises_to_the_same_rate_in_80_batches(tmp_path: Path) -> None:
    preset.write("fast", ROOT / "presets", tmp_path / "params.yaml")
    schedule = read_document(tmp_path / "params.yaml")["detect_train"]["optimisation"]["schedule"]
    rate, rates = schedule["learning_rate"], []
    for scale in schedule["scales"]:
        rate *= scale
        rates.append(round(rate, 9))
    assert rates == [0.0005, 0.0025, 0.005, 0.01, 0.001, 0.0001]
    assert schedule["steps"] == [20, 40, 60, 80, 20000, 30000]


def test_dvc_changes_one_line_of_what_a_preset_writes(tmp_path: Path) -> None:
    """`dvc exp run -S` rewrites params.yaml with ruamel's defaults; the rest must stay as it is."""
    before = preset.compose("paper", ROOT / "presets")
    path = tmp_path / "params.yaml"
    path.write_text(before)

    with modify_yaml(path) as document:
        document["evaluate"]["nms_iou"] = 0.25

    changed = set(path.read_text().splitlines()) ^ set(before.splitlines())
    assert changed == {"  nms_iou: 0.5", "  nms_iou: 0.25"}
