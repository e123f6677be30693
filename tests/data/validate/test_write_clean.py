from pathlib import Path

import pytest
from judged_sets import CLASSIFICATION, ROOT, clean_set, image_folder, judge
from small_sets import MemoryFiles, annotation, picture, voc_set

from yolo.data.store.clean_set import CleanSet
from yolo.data.store.images import decode
from yolo.data.validate.write_clean import counts, write_store
from yolo.runtime.workers import Workers

OBJECTS = [("cat", (5, 5.5, 20, 20)), ("dog", (1, 1, 50, 30)), ("dog", (4, 4, 4, 9))]


def dirty_set() -> dict[str, bytes]:
    files = clean_set()
    flags = "<difficult>1</difficult><truncated>0</truncated>"
    files[f"{ROOT}/Annotations/2.xml"] = annotation(OBJECTS, flags=flags)
    files[f"{ROOT}/JPEGImages/3.jpg"] = b"404"
    files[f"{ROOT}/Annotations/1.xml"] = annotation([])
    return files


def write(folder: Path, files: dict[str, bytes], shorter_side: int | None = None, **options):
    folder.mkdir(exist_ok=True)
    assessment = judge(files, **options)
    splits = list(assessment.origin)
    write_store(folder, MemoryFiles(files), assessment, splits, shorter_side, Workers())
    return CleanSet(folder), assessment


def test_admitted_objects_arrive_in_the_store(tmp_path: Path) -> None:
    files = dirty_set()
    clean, _ = write(tmp_path, files)
    assert clean.classes == ("cat", "dog")
    train = clean.split("train")
    assert [train.name(i) for i in range(len(train))] == ["1", "2"]
    assert train.boxes(0).shape == (0, 4)
    assert bytes(train.image(1)) == files[f"{ROOT}/JPEGImages/2.jpg"]
    assert train.size(1) == (40, 30)
    assert train.boxes(1).tolist() == [[5, 5.5, 20, 20], [1, 1, 40, 30]]
    assert train.labels(1).tolist() == [0, 1]
    assert train.difficult(1).tolist() == [True, True]
    assert train.truncated(1).tolist() == [False, False]
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "classes.json",
        "test.arrow",
        "train.arrow",
        "val.arrow",
    ]


def test_classes_keep_the_order_asked_for(tmp_path: Path) -> None:
    clean, _ = write(tmp_path, dirty_set(), classes=["dog", "cat"])
    assert clean.classes == ("dog", "cat")
    assert clean.split("train").labels(1).tolist() == [1, 0]


def test_class_numbers_of_an_image_folder(tmp_path: Path) -> None:
    clean, _ = write(tmp_path, image_folder(), contract=CLASSIFICATION)
    val = clean.split("val")
    assert [val.label(i) for i in range(len(val))] == [0, 0, 0, 1, 1, 1]
    assert val.name(5) == "set/val/dog/2.jpg"
    assert not (tmp_path / "test.arrow").exists()


def test_the_same_set_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write(tmp_path / name, dirty_set(), shorter_side=20)
    for path in (tmp_path / "a").iterdir():
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes()


def test_large_pictures_are_reduced_and_keep_their_published_size_and_boxes(tmp_path: Path) -> None:
    files = voc_set({"train": ["1"], "val": ["2"], "test": ["3"]})
    files[f"{ROOT}/JPEGImages/1.jpg"] = picture(1, 80, 60)
    files[f"{ROOT}/Annotations/1.xml"] = annotation([("cat", (11, 21, 40, 60))], size=(80, 60))
    clean, _ = write(tmp_path, files, shorter_side=30)
    train = clean.split("train")
    assert train.size(0) == (80, 60)
    assert decode(train.image(0), "1").shape == (30, 40, 3)
    assert train.boxes(0).tolist() == [[11, 21, 40, 60]]
    assert bytes(clean.split("val").image(0)) == files[f"{ROOT}/JPEGImages/2.jpg"]


def test_counts_of_a_detection_set(tmp_path: Path) -> None:
    _, assessment = write(tmp_path, dirty_set())
    assert counts(assessment, ["train", "val"]) == {
        "train": {
            "images": 2,
            "images_without_objects": 1,
            "objects": 2,
            "difficult": 2,
            "per_class": {"cat": 1, "dog": 1},
        },
        "val": {
            "images": 2,
            "images_without_objects": 0,
            "objects": 2,
            "difficult": 0,
            "per_class": {"cat": 2, "dog": 0},
        },
        "classes": 2,
        "unlisted": 0,
        "ignored": 0,
        "listed": {"images": 7, "objects": 8},
        "rejected": {"images": 1, "objects": 2},
        "findings": {"box_outside": 1, "empty_box": 1, "unreadable_image": 1},
    }


def test_counts_of_a_classification_set(tmp_path: Path) -> None:
    files = image_folder() | {"set/train/cat/0.jpg": b"404"}
    _, assessment = write(tmp_path, files, contract=CLASSIFICATION)
    assert counts(assessment, ["train", "val"]) == {
        "train": {"images": 5, "smallest_class": 2, "largest_class": 3},
        "val": {"images": 6, "smallest_class": 3, "largest_class": 3},
        "classes": 2,
        "unlisted": 0,
        "ignored": 0,
        "listed": {"images": 12},
        "rejected": {"images": 1},
        "findings": {"unreadable_image": 1},
    }


@pytest.mark.parametrize("archive", ["bccd"])
def test_blood_cells_lose_their_two_empty_boxes(real_data: Path, archive: str) -> None:
    from yolo.data.archives.reader import Archives

    with Archives(real_data / f"{archive}.tar") as files:
        assessment = judge({name: files.read(name) for name in files.names()})
    assert [
        (Path(one.file).stem, one.object, one.rule)
        for one in assessment.filtered.findings
        if one.rule not in ("cell_collision", "near_duplicate")
    ] == [
        ("BloodImage_00338", 13, "empty_box"),
        ("BloodImage_00343", 4, "empty_box"),
    ]
    assert assessment.failures == []
    sizes = [assessment.images["split"].count(split) for split in ("train", "val", "test")]
    assert sizes == [205, 87, 72]
    assert sum(map(len, (assessment.objects or {})["file"])) > 0
    assert len((assessment.objects or {})["file"]) == 4886
