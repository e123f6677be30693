"""YOLO's label files, their `data.yaml`, and what is wrong in them."""

import pytest
from format_sets import darknet, examples, yolo
from judged_sets import judge
from small_sets import MemoryFiles, picture

from yolo.data.formats.index import Index, Limits
from yolo.data.formats.yolo_labels import Labels
from yolo.data.formats.yolo_txt import read
from yolo.data.validate.validation import ValidationResult
from yolo.errors import UserError

NAMES = b"names: [cat, dog]\n"
GOOD = b"0 0.5 0.5 0.25 0.2\n"


def small(labels: bytes = GOOD, **more: bytes) -> dict[str, bytes]:
    """Five images with a cat each; the labels of `a` are given."""
    files = {"data.yaml": NAMES}
    for number, name in enumerate(("a", "b", "c", "d", "e")):
        files[f"images/{name}.jpg"] = picture(number)
        files[f"labels/{name}.txt"] = GOOD
    return {**files, "labels/a.txt": labels, **more}


def index(files: dict[str, bytes]) -> Index:
    found = read(MemoryFiles(files), Limits())
    assert found is not None
    return found


def found(files: dict[str, bytes], **changes) -> ValidationResult:
    changes = {"splits": {"train": None}, "policies": {"class_coverage": "warn"}, **changes}
    return judge(files, **changes)


WRONG = {
    "no numbers": (b"0 a b c d", "invalid_box", "a b c d (not all are numbers)", "drop_object"),
    "not finite": (
        b"0 nan 0.5 0.1 0.1",
        "invalid_box",
        "nan 0.5 0.1 0.1 (not all are numbers)",
        "drop_object",
    ),
    "three numbers": (
        b"0 0.5 0.5 0.1",
        "invalid_box",
        "0.5 0.5 0.1 (3 numbers in place of x, y, width, height or an outline)",
        "drop_object",
    ),
    "five numbers": (
        b"0 0.5 0.5 0.1 0.1 0.9",
        "invalid_box",
        "0.5 0.5 0.1 0.1 0.9 (5 numbers in place of x, y, width, height or an outline)",
        "drop_object",
    ),
    "only Python reads it": (
        b"0 0_5 1 1 1",
        "invalid_box",
        "0_5 1 1 1 (not all are numbers)",
        "drop_object",
    ),
    "only a class": (
        b"0",
        "invalid_box",
        "(0 numbers in place of x, y, width, height or an outline)",
        "drop_object",
    ),
    "pixels": (
        b"0 20 15 8 8",
        "invalid_box",
        "20 15 8 8 (these are no shares of the image, which are 0 to 1)",
        "drop_object",
    ),
    "no width": (b"0 0.5 0.5 0 0.1", "empty_box", "0.5 0.5 0 0.1", "drop_object"),
    "outside": (b"0 0.9 0.5 0.5 0.1", "box_outside", "0.9 0.5 0.5 0.1 in 40x30", "clip"),
    "an unknown class": (
        b"7 0.1 0.1 0.1 0.1",
        "unknown_class",
        "class 7 is not among the names of the classes, which are numbered 0 to 1",
        "drop_object",
    ),
    "a class that is no number": (
        b"cat 0.1 0.1 0.1 0.1",
        "unknown_class",
        "its class is 'cat', which is no number",
        "drop_object",
    ),
    "a class beyond all numbers": (
        b"1e999 0.1 0.1 0.1 0.1",
        "unknown_class",
        "its class is '1e999', which is no number",
        "drop_object",
    ),
    "twice": (GOOD.strip(), "duplicate_object", "is object 1 again", "warn"),
}


@pytest.mark.parametrize(("line", "rule", "value", "action"), WRONG.values(), ids=list(WRONG))
def test_a_wrong_object_is_named(line: bytes, rule: str, value: str, action: str) -> None:
    rows = found(small(GOOD + line)).filtered.findings
    assert [
        (one.file, one.object, one.rule, one.value, one.action)
        for one in rows
        if one.rule != "cell_collision"
    ] == [("labels/a.txt", 2, rule, value, action)]


@pytest.mark.parametrize(
    "labels",
    [b"", b"\n \r\n", b"\xef\xbb\xbf" + GOOD, GOOD.replace(b"\n", b"\r\n"), b"0.0 .5 .5 1 1"],
)
def test_what_programs_write_is_no_flaw(labels: bytes) -> None:
    result = found(small(labels))
    assert result.filtered.findings == []
    assert len(result.images["name"]) == 5


@pytest.mark.parametrize("labels", [b"\xff\xfe\x00\x01", b"\x89PNG" * 9])
def test_labels_that_are_no_text_are_found(labels: bytes) -> None:
    [one] = found(small(labels)).filtered.findings
    assert (one.file, one.rule) == ("images/a.jpg", "unreadable_annotation")


def test_labels_above_the_limit_are_not_parsed() -> None:
    [one] = found(small(GOOD * 60_000)).filtered.findings
    assert one.rule == "unreadable_annotation"
    assert "the limit is" in one.value


def box(line: bytes, **options) -> tuple | None:
    return Labels(("cat", "dog"), **options)(line).objects[0].box


def test_of_an_outline_the_box_around_it_is_taken() -> None:
    assert box(b"1 0.25 0.5 0.75 0.5 0.5 1") == (0.25, 0.5, 0.75, 1.0)
    assert box(b"1 0.1 0.1 0.4 0.1 0.4 0.3 0.1 0.3") == (0.1, 0.1, 0.4, 0.3)


def test_keypoints_are_no_outline() -> None:
    assert box(b"0 0.5 0.5 0.5 0.25 0.1 0.1 2 0.9 0.9 2", keypoints=True) == (
        0.25,
        0.375,
        0.75,
        0.625,
    )
    files = small() | {"data.yaml": NAMES + b"kpt_shape: [17, 3]\n"}
    assert index(files).parse == Labels(("cat", "dog"), keypoints=True)


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("names: [cat, dog]", ("cat", "dog")),
        ("names: {0: cat, 2: dog}", ("cat", "", "dog")),
        ("nc: 2\nnames:\n- cat\n- 7", ("cat", "7")),
    ],
)
def test_names_are_a_list_or_a_mapping(text: str, names: tuple) -> None:
    parse = index(small() | {"data.yaml": text.encode()}).parse
    assert parse == Labels(names)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("names: {a: cat}", r"data\.yaml: names should be a list"),
        ("names: {999999999: cat}", r"data\.yaml: names has the class number"),
    ],
)
def test_names_that_are_neither_are_an_error(text: str, words: str) -> None:
    with pytest.raises(UserError, match=words):
        index(small() | {"data.yaml": text.encode()})


@pytest.mark.parametrize("text", ["- a", "{", "a: &x [*x]", "train: 3", "&a [*a, *a]", "\x00"])
def test_other_yaml_is_not_taken_for_it(text: str) -> None:
    files = small() | {"data.yaml": text.encode(), "classes.txt": b"cat\ndog\n"}
    assert index(files).parse == Labels(("cat", "dog"))


def test_without_names_the_numbers_are_the_classes_and_it_is_said() -> None:
    files = small()
    del files["data.yaml"]
    one = index(files)
    assert one.parse == Labels(None)
    assert "add data.yaml" in one.notes[0]
    assert found(files).classes == ("0",)


def test_files_that_name_different_classes_are_an_error() -> None:
    files = small() | {"classes.txt": b"a\n", "obj.names": b"b\n"}
    del files["data.yaml"]
    with pytest.raises(UserError, match=r"classes\.txt and obj\.names name different classes"):
        index(files)


@pytest.mark.parametrize(
    "paths",
    [
        "train: images/train\nval: images/val",
        "path: .\ntrain: images/train/\nval: ./images/val",
        "path: /home/me/datasets/coco8\ntrain: images/train\nval: images/val",
        "train: ../coco8/images/train\nval: ../coco8/images/val",
        "train: C:\\data\\coco8\\images\\train\nvalid: images\\val",
        "train: [images/train]\nval: [images/val]",
    ],
)
def test_splits_are_found_wherever_the_paths_come_from(paths: str) -> None:
    files = yolo(examples()) | {"coco8/data.yaml": f"{paths}\n{NAMES.decode()}".encode()}
    one = index(files)
    assert one.published == {"train": ["train/a1", "train/a2", "train/a3"],
                             "val": ["val/b1", "val/b2"]}  # fmt: skip
    assert one.notes == []


def test_list_files_are_splits() -> None:
    files = yolo(examples()) | {
        "coco8/data.yaml": b"train: train.txt\nval: ./lists/val.txt\n" + NAMES,
        "coco8/train.txt": b"./images/train/a1.png\n./images/train/gone.png\n",
        "coco8/lists/val.txt": b"/data/coco8/images/val/b1.png\n",
    }
    one = index(files)
    assert one.published["train"] == ["train/a1", "./images/train/gone.png"]
    assert one.published["val"] == ["val/b1"]
    missing = found(files).filtered.findings
    assert [(row.rule, row.value) for row in missing if row.rule == "missing_image"] == [
        ("missing_image", "missing: named in line 2 of coco8/train.txt")
    ]


def test_a_split_that_is_not_there_is_said_and_no_other_folder_is_taken() -> None:
    files = {n: d for n, d in yolo(examples()).items() if "/test/" not in n}
    one = index(files)
    assert "test" not in one.published
    assert one.notes == ["coco8/data.yaml names images/test for test, which is not there"]


def test_a_listed_image_without_labels_has_no_objects() -> None:
    files = yolo(examples())
    del files["coco8/labels/train/a1.txt"]
    one = index(files)
    record = one.records["train/a1"]
    assert record.annotated and record.boxes is not None and record.boxes.objects == ()
    assert one.notes == ["1 images have no label file: they count as without objects"]


def test_darknet_s_lists_are_splits() -> None:
    one = index(darknet(examples()))
    assert one.published["val"] == ["b1", "b2"]
    assert one.parse == Labels(("dog", "tabby cat"))


def test_data_yaml_without_labels_is_an_error_that_says_where_they_are_looked_for() -> None:
    files = {n: d for n, d in yolo(examples()).items() if "/labels/" not in n}
    with pytest.raises(UserError, match=r"coco8/data\.yaml.*no image has a label file.*labels/"):
        index(files)


def test_text_files_that_are_no_labels_make_no_set() -> None:
    files = {"cat/1.jpg": picture(1), "cat/1.txt": b"a nice cat\n"}
    assert read(MemoryFiles(files), Limits()) is None


def test_objects_without_a_class_count_as_lost() -> None:
    result = found(small(b"9 0.5 0.5 0.2 0.2\n9 0.2 0.2 0.2 0.2\n"), max_rejected=0.1)
    assert any(rule.name == "max_rejected" for rule, _ in result.failures)
