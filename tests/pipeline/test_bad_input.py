"""What is wrong outside the program: one clear error, no half-written out, nothing else lost."""

import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from project_copy import Project


@pytest.fixture(scope="module")
def unrun(fresh: Callable[[], Project]) -> Project:
    return fresh()


def refused(project: Project, stage: str) -> str:
    """The stage's error: the lines from `error:` to DVC's own last word."""
    output = project.run("dvc", "repro", "--single-item", stage, ok=False)
    assert "Traceback" not in output
    return output


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("detect_train.keep", "newest", "detect_train.keep is 'newest'; it should be 'best' or"),
        ("evaluate.pictures", "many", "evaluate.pictures is 'many'; it should be a valid integer"),
        ("model.width", -1.0, "model.width is -1.0; it should be greater than 0"),
    ],
)
def test_a_wrong_value_anywhere_stops_the_first_stage(
    unrun: Project, key: str, value: object, message: str
) -> None:
    path = unrun.root / "params.yaml"
    text = path.read_text()
    unrun.change(key, value)
    assert message in refused(unrun, "download@detection")
    assert not list((unrun.root / "data").glob("raw/*"))
    path.write_text(text)


def test_unknown_and_missing_keys_are_named(unrun: Project) -> None:
    path = unrun.root / "params.yaml"
    text = path.read_text()
    path.write_text(text.replace("  nms_iou: 0.5\n  # test imag", "  nms: 0.5\n  # test imag"))
    output = refused(unrun, "download@detection")
    assert "missing key evaluate.nms_iou" in output
    assert "unknown key evaluate.nms (value 0.5); allowed here: score_threshold, nms_iou" in output
    path.write_text(text)


def test_a_missing_source_is_named(unrun: Project) -> None:
    unrun.change("data.detection.source", "own/none.tar")
    assert "own/none.tar" in refused(unrun, "download@detection")
    unrun.change("data.detection.source", "sources/tiny-detection.yaml")


def test_a_wrong_checksum_is_refused_and_nothing_lands(unrun: Project, tmp_path: Path) -> None:
    published = tmp_path / "set.tar"
    (tmp_path / "file.txt").write_text("data")
    unrun.run("tar", "--create", "--directory", str(tmp_path), "--file", str(published), "file.txt")
    right, wrong = hashlib.sha256(published.read_bytes()).hexdigest(), "0" * 64
    descriptor = unrun.root / "sources" / "published.yaml"
    descriptor.write_text(
        "title: A set\nlicence: none\narchives:\n  - name: set.tar\n"
        f"    urls:\n      - file://{published}\n    sha256: '{wrong}'\n"
    )
    unrun.change("data.detection.source", "sources/published.yaml")
    output = refused(unrun, "download@detection")
    assert right in output and wrong in output and "set.tar" in output
    assert not list((unrun.root / "data").glob("raw/*"))
    descriptor.write_text(descriptor.read_text().replace(wrong, right))
    assert unrun.repro("--single-item", "download@detection") == {"download@detection": "ran"}
    unrun.change("data.detection.source", "sources/tiny-detection.yaml")


def test_an_empty_set_is_refused(unrun: Project) -> None:
    (unrun.root / "empty").mkdir()
    unrun.change("data.detection.source", "empty")
    assert "empty holds no files" in refused(unrun, "download@detection")
    unrun.change("data.detection.source", "sources/tiny-detection.yaml")


def test_unreadable_pictures_are_named_and_cost_no_other_stage(project: Project) -> None:
    archive = next((project.root / "data/raw/detection").glob("*.tar"))
    own = project.root / "own"
    own.mkdir()
    project.run("tar", "--extract", "--directory", "own", "--file", str(archive))
    broken = sorted(own.rglob("*.jpg"))[:4]
    for path in broken:
        path.write_bytes(path.read_bytes()[:100])
    project.change("data.detection.source", "own")
    output = project.run("dvc", "repro", "detect_train", ok=False)
    assert "Traceback" not in output
    assert f"unreadable_image 4, e.g. VOCdevkit/VOC2007/JPEGImages/{broken[0].name}" in output
    rejected = (project.root / "reports/validate/detection/rejected.csv").read_text()
    assert all(path.name in rejected for path in broken)
    assert not (project.root / "data/clean/detection").exists()
    assert list((project.root / "data/raw/detection").glob("*.tar"))
    for kept in ("classifier", "backbone", "detector"):
        assert (project.root / "models" / f"{kept}.safetensors").exists()
    # the data made whole again, the old results come back without work
    project.change("data.detection.source", "sources/tiny-detection.yaml")
    shutil.rmtree(own)
    done = project.repro()
    assert "ran" not in done.values()
    assert done["validate@detection"] == "restored"
