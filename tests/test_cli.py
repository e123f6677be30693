"""The commands as a person calls them."""

import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from small_sets import voc_set, write_tar
from typer.testing import CliRunner, Result

from stages.cli import app
from yolo.errors import UserError
from yolo.model.detector.detector import DetectorSpec, build_detector, save_detector

CLASSES = ("disc", "square")


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a random detector and two images."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("YOLO_THREADS", "1")
    monkeypatch.setenv("YOLO_DEVICE", "cpu")
    spec = DetectorSpec("nano", 0.25, 64, 4, 2, CLASSES)
    save_detector(Path("models/detector.safetensors"), build_detector(spec, seed=2))
    rng = np.random.default_rng(0)
    Path("album/deeper").mkdir(parents=True)
    for name, size in (("album/a.png", (50, 70, 3)), ("album/deeper/a.jpg", (64, 40, 3))):
        Image.fromarray(rng.integers(0, 256, size, np.uint8)).save(name)
    Path("album/notes.txt").write_text("no image")
    return tmp_path


def call(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


def test_predict_prints_json_and_nothing_else(project: Path) -> None:
    result = call("predict", "album", "--json", "--score-threshold", "0")
    assert result.exit_code == 0, result.stderr
    records = json.loads(result.stdout)
    assert [(r["image"], r["width"], r["height"]) for r in records] == [
        ("album/a.png", 70, 50),
        ("album/deeper/a.jpg", 40, 64),
    ]
    found = records[0]["detections"]
    assert found
    assert set(found[0]) == {"label", "score", "box"}
    assert found[0]["label"] in CLASSES
    assert [d["score"] for d in found] == sorted((d["score"] for d in found), reverse=True)
    for detection in found:
        xmin, ymin, xmax, ymax = detection["box"]
        assert 1 <= xmin <= xmax <= 70 and 1 <= ymin <= ymax <= 50
    assert not Path("predictions").exists()


def test_predict_draws_pictures(project: Path) -> None:
    result = call("predict", "album/a.png", "album/deeper")
    assert result.exit_code == 0, result.stderr
    assert result.stdout.splitlines()[0].startswith("album/a.png: ")
    # two files of one stem: both are kept
    assert sorted(path.name for path in Path("predictions").iterdir()) == ["a-2.jpg", "a.jpg"]
    with Image.open("predictions/a.jpg") as picture:
        assert picture.size == (70, 50)


def test_predict_writes_pictures_beside_json_when_asked(project: Path) -> None:
    result = call("predict", "album/a.png", "--json", "--out", "drawn")
    assert len(json.loads(result.stdout)) == 1
    assert Path("drawn/a.jpg").is_file()


def test_predict_goes_on_after_an_unreadable_file(project: Path) -> None:
    result = call("predict", "album/notes.txt", "gone.jpg", "album/a.png", "--json")
    assert result.exit_code == 1
    assert [record["image"] for record in json.loads(result.stdout)] == ["album/a.png"]
    assert "album/notes.txt" in result.stderr
    assert "gone.jpg does not exist" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["album", "--weights", "gone.safetensors"], "gone.safetensors does not exist"),
        (["album/deeper/nothing"], None),
        (["models"], "no image in models"),
        (["album", "--weights", "album/notes.txt"], "not a whole safetensors file"),
        (["album", "--model", "detector@v1.0.0"], "detector@v1.0.0 cannot be fetched from"),
        (["album", "--model", "a@v1.0.0", "--weights", "b"], "--model exclude each other"),
        (["album", "--repo", "."], "--repo goes with --model"),
    ],
)
def test_predict_refuses_with_one_message(
    project: Path, arguments: list[str], message: str | None
) -> None:
    result = call("predict", *arguments)
    assert result.exit_code == 1
    if message is not None:
        assert isinstance(result.exception, UserError)
        assert message in str(result.exception)


@pytest.mark.parametrize("out", ["album/notes.txt", "/proc/nothing"])
def test_a_place_where_nothing_can_be_written_is_named(project: Path, out: str) -> None:
    command = [sys.executable, "-m", "yolo.cli", "predict", "album/a.png", "--out", out]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith(f"error: {out}")
    assert "Traceback" not in done.stderr


def test_thresholds_outside_0_to_1_are_a_usage_error(project: Path) -> None:
    result = call("predict", "album", "--nms-iou", "1.5")
    assert result.exit_code == 2
    assert "nms-iou" in result.stderr


@pytest.fixture
def year(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two images with a cat each; the second also has a difficult dog."""
    monkeypatch.chdir(tmp_path)
    box = "<bndbox><xmin>1</xmin><ymin>1</ymin><xmax>10</xmax><ymax>10</ymax></bndbox>"
    cat = f"<object><name>cat</name><difficult>0</difficult>{box}</object>"
    dog = f"<object><name>dog</name><difficult>1</difficult>{box}</object>"
    Path("VOC/ImageSets/Main").mkdir(parents=True)
    Path("VOC/Annotations").mkdir()
    Path("VOC/ImageSets/Main/test.txt").write_text("1\n2\n")
    Path("VOC/Annotations/1.xml").write_text(f"<annotation>{cat}</annotation>")
    Path("VOC/Annotations/2.xml").write_text(f"<annotation>{cat}{dog}</annotation>")
    for name, lines in (("a", "1 0.9 1 1 10 10\n"), ("b", "1 0.9 1 1 10 10\n2 0.8 1 1 10 10\n")):
        Path(name).mkdir()
        Path(f"{name}/comp4_det_test_cat.txt").write_text(lines)
        Path(f"{name}/comp4_det_test_cow.txt").write_text("2 0.7 1 1 10 10\n")
    return tmp_path


def test_score_prints_the_devkit_scores(year: Path) -> None:
    result = call("score", "--annotations", "VOC", "--split", "test", "--detections", "a", "--json")
    assert result.exit_code == 0, result.stderr
    scores = json.loads(result.stdout)
    # one of two cats, first: 6 of 11 points at precision 1; half the area
    assert scores["voc07_map"] == pytest.approx(6 / 11)
    assert scores["voc_map"] == pytest.approx(0.5)
    assert scores["per_class"]["cat"]["positives"] == 2
    # only difficult ones, and none at all
    assert scores["per_class"]["dog"]["voc_ap"] is None
    assert scores["per_class"]["cow"]["voc07_ap"] is None
    assert "no object of the split is a 'cow'" in result.stderr
    table = call("score", "--annotations", "VOC", "--detections", "a").stdout
    assert "cat                       54.5      50.0        2" in table


def test_score_names_file_and_line_of_an_error(year: Path) -> None:
    Path("a/comp4_det_test_cat.txt").write_text("1 0.9 1 1 10 10\n7 0.9 1 1 10 10\n")
    result = call("score", "--annotations", "VOC", "--detections", "a")
    assert isinstance(result.exception, UserError)
    assert "a/comp4_det_test_cat.txt:2: image '7'" in str(result.exception)


def test_compare_prints_the_difference_with_its_interval(year: Path) -> None:
    result = call("compare", "a", "b", "--annotations", "VOC", "--json")
    assert result.exit_code == 0, result.stderr
    row = json.loads(result.stdout)["voc_map"]
    assert (row["a"], row["b"], row["difference"]) == pytest.approx((0.5, 1.0, 0.5))
    low, high = row["interval"]
    assert 0 <= low <= 0.5 <= high <= 1
    table = call("compare", "a", "b", "--annotations", "VOC").stdout
    assert "mean, VOC10+" in table and "+50.0" in table


def test_help_does_not_import_what_it_does_not_need() -> None:
    code = (
        "import sys; from yolo.cli import app; from typer.testing import CliRunner; "
        "assert CliRunner().invoke(app, ['--help']).exit_code == 0; "
        "print(sorted({'torch', 'numpy', 'matplotlib', 'cv2'} & set(sys.modules)))"
    )
    started = time.monotonic()
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
    assert time.monotonic() - started < 20


def test_an_error_has_no_traceback(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "yolo.cli", "score", "--annotations", "VOC", "--detections", "a"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.startswith("error: VOC does not exist")
    assert "Traceback" not in done.stderr


def test_check_lists_what_is_wrong_with_a_set_and_refuses_it(project: Path) -> None:
    files = voc_set({"train": ["1", "2"], "valid": ["3"], "Test": ["4", "5"]})
    write_tar(project / "good.tar", files)
    accepted = call("check", "good.tar", "--json")
    assert accepted.exit_code == 0
    report = json.loads(accepted.stdout)
    assert report == {
        "admitted": True,
        "kind": "detection",
        "layout": "Pascal VOC XML",
        "classes": ["cat"],
        "splits": {
            "train": {"images": 2, "objects": 2},
            "val": {"images": 1, "objects": 1},
            "test": {"images": 2, "objects": 2},
        },
        "findings": [],
    }
    text = call("check", "good.tar").stdout
    assert "published split val: 1 images, 1 objects" in text
    assert "source: good.tar" in text
    both = json.loads(call("check", "good.tar", "good.tar", "--json").stdout)
    assert [one["path"] for one in both["sets"]] == ["good.tar", "good.tar"]
    refused = call("check", "good.tar", "--splits", "train,mine", "--json")
    report = json.loads(refused.stdout)
    assert refused.exit_code == 1
    assert report["admitted"] is False
    assert {"file", "object", "rule", "severity", "value", "action"} == set(report["findings"][0])
    assert "not admitted" in call("check", "good.tar", "--splits", "mine").stdout
