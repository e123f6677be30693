import pytest
from small_sets import MemoryFiles

from yolo.data.formats.imagefolder import read
from yolo.data.formats.index import Index


def listed(*names: str) -> Index:
    found = read(MemoryFiles(dict.fromkeys(names, b"")))
    assert found is not None
    return found


def labels(found: Index) -> dict[str, str | None]:
    return {name: record.label for name, record in found.records.items()}


@pytest.mark.parametrize("root", ["", "set/", "a/b/"])
def test_splits_and_classes_are_folders_at_any_depth(root: str) -> None:
    found = listed(f"{root}train/cat/1.JPEG", f"{root}train/dog/2.png", f"{root}val/cat/3.webp")
    assert list(found.published["train"]) == [f"{root}train/cat/1.JPEG", f"{root}train/dog/2.png"]
    assert list(found.published["val"]) == [f"{root}val/cat/3.webp"]
    assert list(labels(found).values()) == ["cat", "dog", "cat"]


@pytest.mark.parametrize("folder", ["val", "valid", "validation", "Val"])
def test_the_validation_folder_has_several_names(folder: str) -> None:
    found = listed("train/cat/1.jpg", f"{folder}/cat/2.jpg")
    assert list(found.published["val"]) == [f"{folder}/cat/2.jpg"]
    assert list(found.published[folder]) == [f"{folder}/cat/2.jpg"]


def test_other_files_are_no_pictures() -> None:
    found = listed("train/cat/1.jpg", "classes.txt", "train/cat/notes.txt", "train/.x.jpg")
    assert list(found.records) == ["train/cat/1.jpg"]


def test_a_picture_below_a_class_folder_belongs_to_the_class() -> None:
    assert labels(listed("train/cat/day/1.jpg", "val/cat/2.jpg")) == {
        "train/cat/day/1.jpg": "cat",
        "val/cat/2.jpg": "cat",
    }


def test_a_picture_in_no_class_folder_has_no_label() -> None:
    assert labels(listed("train/cat/1.jpg", "val/2.jpg"))["val/2.jpg"] is None


def test_folders_outside_the_splits_are_in_no_split() -> None:
    found = listed("train/cat/1.jpg", "extra/cat/2.jpg")
    assert found.published == {"train": ["train/cat/1.jpg"]}
    assert labels(found)["extra/cat/2.jpg"] is None


def test_a_class_may_be_called_train() -> None:
    found = listed("train/train/1.jpg", "train/bus/2.jpg", "val/train/3.jpg")
    assert list(labels(found).values()) == ["bus", "train", "train"]
    assert labels(listed("set/train/1.jpg", "set/bus/2.jpg")) == {
        "set/bus/2.jpg": "bus",
        "set/train/1.jpg": "train",
    }


def test_class_folders_without_splits() -> None:
    found = listed("set/cat/1.jpg", "set/cat/x/2.jpg", "set/dog/3.jpg")
    assert found.published == {}
    assert list(labels(found).values()) == ["cat", "cat", "dog"]


def test_a_single_class_folder() -> None:
    assert labels(listed("set/cat/1.jpg", "set/cat/2.jpg")) == {
        "set/cat/1.jpg": "cat",
        "set/cat/2.jpg": "cat",
    }


def test_a_picture_beside_class_folders_has_no_label() -> None:
    assert labels(listed("set/cat/1.jpg", "set/dog/2.jpg", "set/3.jpg"))["set/3.jpg"] is None


def test_pictures_in_no_folder_have_no_label() -> None:
    assert labels(listed("1.jpg", "2.jpg")) == {"1.jpg": None, "2.jpg": None}


def test_without_images_it_is_none() -> None:
    assert read(MemoryFiles({"readme.txt": b""})) is None


def test_the_parts_of_a_split_are_joined() -> None:
    """Kaggle's ImageNet-100."""
    found = listed("train.X1/cat/1.JPEG", "train.X2/dog/2.JPEG", "val.X/cat/3.JPEG", "Labels.json")
    assert list(found.published["train"]) == ["train.X1/cat/1.JPEG", "train.X2/dog/2.JPEG"]
    assert list(found.published["val"]) == ["val.X/cat/3.JPEG"]
    assert set(labels(found).values()) == {"cat", "dog"}


@pytest.mark.parametrize(
    ("folders", "splits"),
    [
        (("Training", "Testing"), {"train", "test"}),
        (("TRAIN", "dev", "Test"), {"train", "val", "test"}),
        (("train_set", "validation"), {"train", "val"}),
        (("training_set", "test_set"), {"train", "test"}),
        (("seg_train", "seg_test"), {"train", "test"}),
        (("Train Images", "valid-data", "testset"), {"train", "val", "test"}),
        (("train2017", "val2017"), {"train", "val"}),
    ],
)
def test_splits_have_many_names(folders: tuple[str, ...], splits: set[str]) -> None:
    found = listed(*(f"{folder}/{label}/1.jpg" for folder in folders for label in ("cat", "dog")))
    assert {split for split in found.published if split in ("train", "val", "test")} == splits


@pytest.mark.parametrize("split", ["training_set", "seg_train", "train"])
def test_a_split_may_lie_in_a_folder_of_the_same_name(split: str) -> None:
    """As two data sets on Kaggle have it."""
    found = listed(*(f"{split}/{split}/{label}/1.jpg" for label in ("cat", "dog")), "test/a/2.jpg")
    assert list(found.published["train"]) == [
        f"{split}/{split}/cat/1.jpg",
        f"{split}/{split}/dog/1.jpg",
    ]
    assert set(labels(found).values()) == {"cat", "dog", "a"}


def test_classes_whose_names_mention_a_split_stay_classes() -> None:
    found = listed("set/train_station/1.jpg", "set/test_tube/2.jpg", "set/bullet_train/3.jpg")
    assert found.published == {}
    assert set(labels(found).values()) == {"train_station", "test_tube", "bullet_train"}


def test_a_class_that_is_called_as_its_split_stays_one() -> None:
    found = listed("train/train/day/1.jpg", "train/bus/2.jpg", "val/train/day/3.jpg")
    assert list(labels(found).values()) == ["bus", "train", "train"]


def test_a_plain_name_counts_more_than_one_that_says_more() -> None:
    found = listed("train_data/train/cat/1.jpg", "train_data/val/dog/2.jpg")
    assert list(found.published["val"]) == ["train_data/val/dog/2.jpg"]
    assert set(labels(found).values()) == {"cat", "dog"}
