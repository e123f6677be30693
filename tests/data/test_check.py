import os
import subprocess
import sys
from pathlib import Path

import pytest
from small_sets import annotation, picture, voc_set, write_tar
from test_assessment import DEFAULTS, ROOT, clean_set, image_folder

from yolo.data.check import (
    CLASSIFICATION_POLICIES,
    DETECTION_POLICIES,
    MAX_REJECTED,
    NEAR_DUPLICATE_BITS,
    Report,
    check,
)


def write_folder(folder: Path, files: dict[str, bytes]) -> Path:
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return folder


def short(report: Report) -> list[tuple]:
    return [
        (Path(found.file).name, found.object, found.rule, found.severity, found.action)
        for found in report.findings
    ]


def test_the_defaults_are_those_of_the_presets() -> None:
    assert DEFAULTS["detection"]["rules"] == DETECTION_POLICIES
    assert DEFAULTS["classification"]["rules"] == CLASSIFICATION_POLICIES
    for kind in DEFAULTS.values():
        assert (kind["min_images"], kind["max_rejected"]) == (1, MAX_REJECTED)
        assert kind["near_duplicate_bits"] == NEAR_DUPLICATE_BITS


@pytest.mark.parametrize("above", ["", "set", "set/VOCdevkit", "set/VOCdevkit/VOC2007"])
def test_a_root_and_every_folder_above_it_are_admitted(tmp_path: Path, above: str) -> None:
    write_folder(tmp_path, clean_set())
    assert check([tmp_path / above]) == Report([])
    assert check([tmp_path / above]).admitted


def test_archives_and_image_folders_are_admitted(tmp_path: Path) -> None:
    write_tar(tmp_path / "a" / "set.tar", clean_set())
    folder = write_folder(tmp_path / "b", image_folder())
    assert check([tmp_path / "a" / "set.tar", tmp_path / "a", folder]).admitted


def test_only_the_splits_present_are_required(tmp_path: Path) -> None:
    folder = write_folder(tmp_path, voc_set({"test": ["1", "2"]}))
    assert check([folder]) == Report([])
    assert check([folder], splits=["test"]) == Report([])
    missing = check([folder], splits=["train"])
    assert short(missing) == [(folder.name, None, "unreadable_set", "error", "fail")]
    assert "'train', which the set does not have" in missing.findings[0].value
    assert not missing.admitted


def test_a_set_without_lists_is_checked_whole(tmp_path: Path) -> None:
    files = {name: data for name, data in clean_set().items() if "ImageSets" not in name}
    files[f"{ROOT}/JPEGImages/1.jpg"] = b"404"
    assert short(check([write_folder(tmp_path, files)])) == [
        ("1.jpg", None, "unreadable_image", "warning", "drop_image"),
        (tmp_path.name, None, "max_rejected", "error", "fail"),
        (tmp_path.name, None, "max_rejected", "error", "fail"),
    ]


def test_every_year_is_checked(tmp_path: Path) -> None:
    files = voc_set({"train": [str(i) for i in range(30)]}, root="VOC2007")
    files |= voc_set({"train": [str(i) for i in range(30)]}, root="VOC2012", first_seed=50)
    files["VOC2012/Annotations/7.xml"] = annotation([("cat", (2, 2, 9, 9)), ("cat", (5, 5, 5, 9))])
    report = check([write_folder(tmp_path, files)])
    assert [(found.file, found.object) for found in report.findings] == [
        (f"{tmp_path}/VOC2012/Annotations/7.xml", 2)
    ]
    assert report.admitted


def test_identical_pictures_in_two_splits_are_an_error(tmp_path: Path) -> None:
    files = clean_set()
    files[f"{ROOT}/JPEGImages/6.jpg"] = files[f"{ROOT}/JPEGImages/1.jpg"]
    report = check([write_folder(tmp_path, files)])
    assert short(report) == [("1.jpg", None, "duplicate_image", "error", "fail")]
    assert not report.admitted


def test_missing_classes_are_warnings_unless_strict(tmp_path: Path) -> None:
    folder = write_folder(tmp_path, clean_set())
    loose = check([folder], classes=["cat", "dog"])
    assert loose.admitted
    assert {(found.rule, found.severity) for found in loose.findings} == {
        ("class_coverage", "warning"),
        ("evaluation_coverage", "warning"),
    }
    assert not check([folder], classes=["cat", "dog"], strict=True).admitted


def test_halves_that_no_split_lists_are_mentioned(tmp_path: Path) -> None:
    files = clean_set()
    files[f"{ROOT}/JPEGImages/8.jpg"] = picture(8)
    files[f"{ROOT}/Annotations/9.xml"] = annotation()
    files[f"{ROOT}/Annotations/10.xml"] = annotation()
    files[f"{ROOT}/JPEGImages/10.jpg"] = picture(10)
    report = check([write_folder(tmp_path, files)])
    assert short(report) == [
        ("8.jpg", None, "unlisted", "info", "ignored"),
        ("9.xml", None, "unlisted", "info", "ignored"),
    ]
    assert report.admitted


def test_what_is_no_data_set_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "bad.tar").write_bytes(b"no archive")
    for path in (tmp_path / "empty", tmp_path / "bad.tar", tmp_path / "nothing"):
        report = check([path])
        assert [found.rule for found in report.findings] == ["unreadable_set"]
        assert not report.admitted


def test_two_pictures_take_little_time_and_no_heavy_import(tmp_path: Path) -> None:
    write_folder(tmp_path, voc_set({"train": ["1", "2"]}))
    script = (
        "import sys; from pathlib import Path; from yolo.data.check import check; "
        "assert check([Path(sys.argv[1])]).admitted; "
        "assert not {'torch', 'great_expectations', 'pandas'} & set(sys.modules)"
    )
    before = os.times()
    root = Path(__file__).resolve().parents[2]
    subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=True, cwd=root)
    after = os.times()
    assert after.children_user - before.children_user < 4


def test_the_real_sets_are_admitted_with_their_flaws_listed(real_data: Path) -> None:
    bccd = check([real_data / "bccd.tar"])
    assert bccd.admitted
    assert [found for found in short(bccd) if found[3] != "info"] == [
        ("BloodImage_00338.xml", 13, "empty_box", "warning", "drop_object"),
        ("BloodImage_00343.xml", 4, "empty_box", "warning", "drop_object"),
        # of train; it looks like 00037 of val
        ("BloodImage_00038.jpg", None, "near_duplicate", "warning", "warn"),
    ]
    mini = check([real_data / "voc-mini.tar"])
    assert mini.admitted
    assert {(found.rule, found.severity) for found in mini.findings} == {
        ("cell_collision", "info"),
        ("evaluation_coverage", "warning"),
    }
