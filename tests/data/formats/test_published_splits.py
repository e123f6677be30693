"""Lists of images, however they are written and wherever they lie, and folders for want of them."""

import pytest
from judged_sets import ROOT, clean_set, judge
from small_sets import MemoryFiles, annotation, picture, voc_set

from yolo.data.formats.index import Index, Limits
from yolo.data.formats.layouts import read_index
from yolo.data.formats.split_names import split_called, split_in

MAIN = f"{ROOT}/ImageSets/Main"


def index(files: dict[str, bytes]) -> Index:
    return read_index(MemoryFiles(files), Limits())


def flat(*ids: str) -> dict[str, bytes]:
    """Images in `images/`, XML in `annots/`, no list."""
    files = {}
    for seed, id_ in enumerate(ids):
        files[f"images/{id_}.jpg"] = picture(seed)
        files[f"annots/{id_}.xml"] = annotation(filename=f"{id_}.jpg")
    return files


@pytest.mark.parametrize(
    ("name", "split"),
    [
        ("train", "train"),
        ("Train", "train"),
        ("TRAINING", "train"),
        ("val", "val"),
        ("valid", "val"),
        ("Validation", "val"),
        ("dev", "val"),
        ("Test", "test"),
        ("train2017", "train"),
        ("train_val", "trainval"),
        ("trains", None),
        ("cat_train", None),
        ("2007", None),
        ("", None),
    ],
)
def test_splits_have_our_names(name: str, split: str | None) -> None:
    assert split_called(name) == split


@pytest.mark.parametrize(
    ("name", "split"),
    [
        ("instances_train2017", "train"),
        ("test_labels", "test"),
        ("my-valid-set", "val"),
        ("train_and_val", "trainval"),
        ("latest", None),
        ("train_test", None),
    ],
)
def test_a_file_s_name_mentions_its_split(name: str, split: str | None) -> None:
    assert split_in(name) == split


@pytest.mark.parametrize("folder", ["ImageSets/Main", "imagesets/main", "ImageSets", "imagesets"])
@pytest.mark.parametrize("ending", [".txt", ".TXT"])
def test_lists_are_found_in_any_case(folder: str, ending: str) -> None:
    files = {name: data for name, data in clean_set().items() if "ImageSets" not in name}
    files[f"{ROOT}/{folder}/Train{ending}"] = b"1\n2\n"
    files[f"{ROOT}/{folder}/Validation{ending}"] = b"3\n"
    files[f"{ROOT}/{folder}/Test{ending}"] = b"4\n5\n"
    published = index(files).published
    assert (published["train"], published["val"], published["test"]) == (
        ["1", "2"],
        ["3"],
        ["4", "5"],
    )
    # also by its own name
    assert published["Validation"] == ["3"]


@pytest.mark.parametrize("folder", ["", "splits/", "set/lists/"])
def test_lists_beside_the_images_are_splits_where_there_are_no_others(folder: str) -> None:
    files = flat("1", "2", "3") | {f"{folder}train.txt": b"1\n2\n", f"{folder}val.txt": b"3\n"}
    found = index(files)
    assert (found.published["train"], found.published["val"]) == (["1", "2"], ["3"])
    assert found.ignored == []


@pytest.mark.parametrize(
    "line",
    [
        "my 1",
        "my 1.jpg",
        "images/my 1.jpg",
        "./images/my 1.jpg",
        "/home/me/images/my 1.jpg",
        "C:\\data\\images\\my 1.jpg",
        "annots/my 1.xml",
        '"my 1"',
        "'images/my 1.jpg'",
        "my 1  1",
        "my 1\t-1",
        "my 1,1",
        "my 1, cat",
        "MY 1.JPG",
        "my 1;",
    ],
)
def test_a_line_may_hold_a_path_an_ending_quotes_and_a_column(line: str) -> None:
    files = flat("my 1", "2") | {"train.txt": f"{line}\n2\n".encode()}
    assert index(files).published["train"] == ["my 1", "2"]


def test_a_line_may_hold_several_images() -> None:
    files = flat("1", "2", "3") | {"train.txt": b"1,2", "val.txt": b"3"}
    assert index(files).published["train"] == ["1", "2"]


@pytest.mark.parametrize(
    ("name", "encoding"),
    [("clich\u00e9", "cp1252"), ("\u56fe\u7247", "gbk"), ("\u5199\u771f", "shift_jis")],
)
def test_lists_of_other_encodings_are_read_when_they_name_the_images(
    name: str, encoding: str
) -> None:
    files = flat(f"{name} 1", f"{name} 2")
    files["train.txt"] = f"{name} 1\n{name} 2\n".encode(encoding)
    assert index(files).published["train"] == [f"{name} 1", f"{name} 2"]


def test_a_list_names_images_whose_names_a_zip_has_garbled() -> None:
    garbled = "\u56fe\u7247".encode("gbk").decode("utf-8")
    files = flat(f"{garbled}1", f"{garbled}2") | {
        "train.txt": "\u56fe\u72471\n\u56fe\u72472".encode()
    }
    assert index(files).published["train"] == [f"{garbled}1", f"{garbled}2"]


def test_lists_per_class_alone_make_up_the_splits() -> None:
    files = {name: data for name, data in clean_set().items() if "ImageSets" not in name}
    files[f"{MAIN}/cat_train.txt"] = b"1  1\n2 -1\n"
    files[f"{MAIN}/dog_train.txt"] = b"2  1\n1 -1\n3 1\n"
    files[f"{MAIN}/cat_val.txt"] = b"4  1\n5  1\n"
    found = index(files)
    published = found.published
    assert (published["train"], published["val"]) == (["1", "2", "3"], ["4", "5"])
    assert [one.split for one in found.lists] == ["train", "val"]


@pytest.mark.parametrize("name", ["classes.txt", "labels.txt", "readme.txt"])
def test_a_file_of_class_names_is_no_list(name: str) -> None:
    files = clean_set() | {f"{MAIN}/{name}": b"cat\ndog\n"}
    assert set(index(files).published) == set(index(clean_set()).published)


def test_one_of_two_lists_of_a_split_counts_and_the_other_is_said() -> None:
    files = voc_set({"train": ["1"], "val": ["2"]})
    files[f"{MAIN}/valid.txt"] = b"1\n"
    found = index(files)
    assert (found.published["val"], found.published["valid"]) == (["2"], ["1"])


def test_folders_are_splits_where_there_are_no_lists() -> None:
    files = {}
    for number, split in enumerate(("Train", "Valid", "test")):
        files[f"set/{split}/images/{number}.jpg"] = picture(number)
        files[f"set/{split}/annotations/{number}.xml"] = annotation()
    published = index(files).published
    assert published["train"] == ["Train/0"]
    assert (published["val"], published["test"]) == (["Valid/1"], ["test/2"])


def test_a_set_in_a_folder_called_test_is_no_test_split() -> None:
    files = {f"test/{name}": data for name, data in flat("1", "2").items()}
    assert index(files).published == {}


def unused(files: dict[str, bytes], **changes) -> list[str]:
    return [line for rule, lines in judge(files, **changes).warnings for line in lines if (
        rule.name == "unused_list")]  # fmt: skip


def test_a_list_that_is_not_used_is_said_and_how_to_use_it() -> None:
    files = clean_set() | {f"{MAIN}/mine.txt": b"1\n2\n", "set/other.txt": b"1\n7\n"}
    assert unused(files) == [
        f"{MAIN}/mine.txt lists 2 images and is not used; to use it, name 'mine' in "
        "data.detection.splits",
        "set/other.txt lists 2 images and is not used; to use it, name 'set/other.txt' in "
        "data.detection.splits",
    ]
    named = {"train": ["set/other.txt"], "val": ["val"], "test": None}
    assert unused(files, splits=named) == [
        f"{MAIN}/mine.txt lists 2 images and is not used; to use it, name 'mine' in "
        "data.detection.splits",
        f"{MAIN}/test.txt lists 2 images and is not used; to use it, name 'test' in "
        "data.detection.splits",
        f"{MAIN}/train.txt lists 3 images and is not used; to use it, name 'train' in "
        "data.detection.splits",
    ]
    refused = judge(files, policies={"unused_list": "fail"})
    assert [rule.name for rule, _ in refused.failures] == ["unused_list"]


def test_lists_that_say_nothing_else_are_no_finding() -> None:
    files = clean_set() | {
        f"{MAIN}/trainval.txt": b"1\n2\n3\n4\n5\n",
        f"{MAIN}/default.txt": b"1\n2\n3\n4\n5\n6\n7\n",
        f"{MAIN}/cat_train.txt": b"1  1\n2 -1\n3  1\n",
    }
    assert unused(files) == []


def test_who_names_every_split_means_to_leave_the_others() -> None:
    files = clean_set() | {f"{MAIN}/mine.txt": b"1\n2\n"}
    assert unused(files, splits={"train": ["mine"], "val": ["val"], "test": ["test"]}) == []


def test_own_splits_are_drawn_only_where_the_set_has_none() -> None:
    files = {name: data for name, data in clean_set().items() if "/test.txt" not in name}
    found = judge(files, shares={"val": 0.3, "test": 0.3})
    assert (found.origin["val"], found.origin["test"]) == ("val", "drawn from train")
    assert found.drawn == ("test",)


def test_images_without_annotation_are_left_out_of_a_set_without_lists() -> None:
    files = flat("1", "2", "3", "4", "5", "6") | {"images/spare.jpg": picture(77)}
    found = judge(files, shares={"val": 0.2, "test": 0.2})
    assert found.failures == []
    assert [record.name for record in found.unlisted] == ["spare"]
    assert found.listed == 6
