import dataclasses
import os
import subprocess
import sys
from pathlib import Path

import pytest
from judged_sets import BASE, DEFAULTS, ROOT, clean_set, image_folder
from small_sets import annotation, picture, voc_set, write_folder, write_tar

from yolo.data.archives import reader
from yolo.data.validate import probe
from yolo.inspection.dataset import (
    CLASSIFICATION_POLICIES,
    DETECTION_POLICIES,
    MAX_REJECTED,
    NEAR_DUPLICATE_BITS,
    Report,
    check,
)


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
    limits = dict(BASE["limits"])
    assert limits.pop("archive") == dataclasses.asdict(reader.Limits())
    assert limits == dataclasses.asdict(probe.Limits())


@pytest.mark.parametrize("above", ["", "set", "set/VOCdevkit", "set/VOCdevkit/VOC2007"])
def test_a_root_and_every_folder_above_it_are_admitted(tmp_path: Path, above: str) -> None:
    write_folder(tmp_path, clean_set())
    report = check([tmp_path / above])
    assert report.admitted and not report.findings


def test_archives_and_image_folders_are_admitted(tmp_path: Path) -> None:
    write_tar(tmp_path / "a" / "set.tar", clean_set())
    folder = write_folder(tmp_path / "b", image_folder())
    assert check([tmp_path / "a" / "set.tar", tmp_path / "a", folder]).admitted


def test_a_set_without_a_training_split_is_refused_as_the_stage_refuses_it(
    tmp_path: Path,
) -> None:
    folder = write_folder(tmp_path, voc_set({"test": ["1", "2"]}))
    assert not check([folder]).admitted
    assert not check([folder], splits=["test"]).findings, "asked for by name, it is checked alone"
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


def test_a_class_without_a_training_example_is_refused(tmp_path: Path) -> None:
    report = check([write_folder(tmp_path, clean_set())], classes=["cat", "dog"])
    assert not report.admitted
    assert {(found.rule, found.severity) for found in report.findings} == {
        ("class_coverage", "error"),
        ("evaluation_coverage", "warning"),
    }


def test_a_class_without_a_test_example_is_an_error_if_strict(tmp_path: Path) -> None:
    files = clean_set()
    files[f"{ROOT}/Annotations/1.xml"] = annotation([("cat", (2, 2, 9, 9)), ("dog", (3, 3, 9, 9))])
    folder = write_folder(tmp_path, files)
    assert check([folder]).admitted
    assert not check([folder], strict=True).admitted


def test_halves_that_no_split_lists_are_mentioned(tmp_path: Path) -> None:
    files = clean_set()
    files[f"{ROOT}/JPEGImages/8.jpg"] = picture(8)
    files[f"{ROOT}/Annotations/9.xml"] = annotation()
    files[f"{ROOT}/Annotations/10.xml"] = annotation()
    files[f"{ROOT}/JPEGImages/10.jpg"] = picture(10)
    report = check([write_folder(tmp_path, files)])
    assert short(report) == [
        (tmp_path.name, None, "unlisted", "info", "ignored"),
        ("8.jpg", None, "unlisted", "info", "ignored"),
        ("9.xml", None, "unlisted", "info", "ignored"),
    ]
    assert report.admitted


def test_an_empty_split_is_refused(tmp_path: Path) -> None:
    files = {
        name: data
        for name, data in voc_set({"train": ["1", "2"], "val": ["3"], "test": ["4"]}).items()
        if "3" not in name
    }
    files[f"{ROOT}/ImageSets/Main/val.txt"] = b"\n"
    folder = write_folder(tmp_path, files)
    report = check([folder])
    assert ("min_images", "error", "val: 0") in [
        (found.rule, found.severity, found.value) for found in report.findings
    ]
    assert not report.admitted
    assert check([folder], splits=["train", "test"]).admitted


def test_lists_that_are_all_empty_are_an_error(tmp_path: Path) -> None:
    files = clean_set()
    for split in ("train", "val", "test"):
        files[f"{ROOT}/ImageSets/Main/{split}.txt"] = b""
    assert short(check([write_folder(tmp_path, files)])) == [
        (tmp_path.name, None, "unreadable_set", "error", "fail")
    ]


@pytest.mark.parametrize(
    "lists", [[], ["trainval"], ["train"], ["train", "val", "mine"], ["default"]]
)
def test_a_year_is_checked_whatever_lists_it_has(tmp_path: Path, lists: list[str]) -> None:
    files = voc_set({"train": [str(i) for i in range(30)], "val": ["x"], "test": ["y"]}, "VOC2007")
    files |= voc_set({name: ["7"] for name in lists[:1]} or {"z": ["7"]}, "VOC2012", 50)
    if not lists:
        del files["VOC2012/ImageSets/Main/z.txt"]
    files["VOC2012/Annotations/7.xml"] = annotation([("cat", (2, 2, 9, 9)), ("cat", (5, 5, 5, 9))])
    folder = write_folder(tmp_path, files)
    if lists[:1] != ["train"]:
        # A training that names no splits does not use this year, and that is said.
        assert "unlisted" in {found.rule for found in check([folder]).findings}
        name = lists[0] if lists == ["trainval"] else "all"
        report = check([folder], splits=["VOC2007/train", f"VOC2012/{name}"])
    else:
        report = check([folder])
    assert ("7.xml", "empty_box") in [
        (Path(found.file).name, found.rule) for found in report.findings
    ]


def test_a_set_without_annotations_is_refused(tmp_path: Path) -> None:
    files = {name: data for name, data in clean_set().items() if "Annotations" not in name}
    report = check([write_folder(tmp_path, files)])
    assert not report.admitted
    assert {found.rule for found in report.findings} >= {"missing_annotation", "max_rejected"}


def test_files_of_an_image_folder_that_are_no_pictures_are_mentioned(tmp_path: Path) -> None:
    files = image_folder() | {"set/train/cat/moving.gif": b"GIF89a"}
    assert short(check([write_folder(tmp_path, files)])) == [
        ("moving.gif", None, "unlisted", "info", "ignored")
    ]


def test_folders_beside_the_splits_of_an_image_folder_are_mentioned(tmp_path: Path) -> None:
    files = image_folder() | {"set/holdout/cat/1.jpg": picture(70), "set/2.jpg": picture(71)}
    report = check([write_folder(tmp_path, files)])
    assert [(found.rule, found.severity, found.value) for found in report.findings] == [
        ("unlisted", "info", "2 images are in none of the splits train, val")
    ]


def test_splits_may_be_called_as_no_format_is(tmp_path: Path) -> None:
    lists = {"train.v1": [str(i) for i in range(30)], "val[0]": ["x"], "test": ["y"]}
    write_folder(tmp_path, voc_set(lists, "My.v1i.voc"))
    found = check([tmp_path], ["cat", "dog"], ["train.v1", "val[0]"]).findings
    assert {one.rule for one in found} <= {"unlisted", "class_coverage", "evaluation_coverage"}


def test_what_is_no_data_set_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "bad.tar").write_bytes(b"no archive")
    for path in (tmp_path / "empty", tmp_path / "bad.tar", tmp_path / "nothing"):
        report = check([path])
        assert [found.rule for found in report.findings] == ["unreadable_set"]
        assert not report.admitted


def test_few_images_take_little_time_and_no_heavy_import(tmp_path: Path) -> None:
    write_folder(tmp_path, voc_set({"train": ["1", "2"], "val": ["3"], "test": ["4"]}))
    script = (
        "import sys; from pathlib import Path; from yolo.inspection.dataset import check; "
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


def test_a_set_is_described(tmp_path: Path) -> None:
    (one,) = check([write_folder(tmp_path, clean_set())]).sets
    assert (one.kind, one.layout) == ("detection", "Pascal VOC XML")
    assert set(one.splits) == {"train", "val", "test"} == set(one.used)
    assert sum(size.images for size in one.splits.values()) == 7
    assert one.classes == {"cat": sum(size.objects for size in one.splits.values())}
    assert one.widths is not None and one.objects is not None
    assert 0 < one.objects.smallest <= one.objects.median <= one.objects.largest < 1


def test_a_set_without_splits_says_what_a_training_would_draw(tmp_path: Path) -> None:
    lists = {"train": [str(number) for number in range(20)]}
    files = {n: data for n, data in voc_set(lists).items() if "ImageSets" not in n}
    (one,) = check([write_folder(tmp_path, files)]).sets
    assert one.splits == {}
    assert {split: images for split, (_, images) in one.used.items()} == {
        "train": 14,
        "val": 2,
        "test": 4,
    }


def test_a_class_that_cannot_be_one_refuses_the_set_and_names_the_file(tmp_path: Path) -> None:
    files = clean_set()
    files[f"{ROOT}/Annotations/2.xml"] = annotation(
        [("cat", (2, 2, 8, 8)), ("cat\u200b", (20, 10, 30, 20))]
    )
    report = check([write_folder(tmp_path, files)])
    assert not report.admitted
    [found] = [one for one in report.findings if one.rule == "invalid_class"]
    assert (Path(found.file).name, found.object, found.severity) == ("2.xml", 2, "error")
