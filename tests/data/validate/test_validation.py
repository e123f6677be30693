"""Every kind of damage, made from clean sets, and what becomes of it."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
from judged_sets import CLASSIFICATION, JPG, ROOT, XML, clean_set, damaged, image_folder, judge
from small_sets import MemoryFiles, annotation, picture, voc_set

from yolo.data.formats.index import Limits
from yolo.data.formats.layouts import read_index_of
from yolo.data.validate import rules
from yolo.data.validate.validation import ValidationResult, validate
from yolo.errors import UserError
from yolo.runtime.workers import Workers


def findings(found: ValidationResult) -> list[tuple]:
    return [
        (one.file.removeprefix(f"{ROOT}/"), one.object, one.rule, one.value, one.action)
        for one in found.filtered.findings
    ]


def names(found: ValidationResult, split: str) -> list[str]:
    pairs = zip(found.images["name"], found.images["split"], strict=True)
    return [name for name, own in pairs if own == split]


def failed(found: ValidationResult) -> list[str]:
    return [rule.name for rule, _ in found.failures]


def test_a_clean_set_is_admitted_whole() -> None:
    found = judge(clean_set())
    assert findings(found) == []
    assert failed(found) == []
    assert found.warnings == []
    assert found.classes == ("cat",)
    assert [names(found, split) for split in ("train", "val", "test")] == [
        ["1", "2", "3"],
        ["4", "5"],
        ["6", "7"],
    ]
    assert found.examples == {"class": ["cat"], "train": [3], "val": [2], "test": [2]}


# What is done to image 2 of train, and the findings.
MISSING = f"missing: named in line 2 of {ROOT}/ImageSets/Main/train.txt"
DAMAGE = {
    "no image": ({JPG: None}, [(XML, 0, "missing_image", MISSING, "drop_image")]),
    "half an image": (
        {JPG: picture(1)[:-200]},
        [(JPG, 0, "unreadable_image", "is truncated", "drop_image")],
    ),
    "the head of an image": (
        {JPG: picture(1)[:200]},
        [(JPG, 0, "unreadable_image", "is damaged: Truncated File Read", "drop_image")],
    ),
    "text for an image": (
        {JPG: b"404"},
        [(JPG, 0, "unreadable_image", "is no image", "drop_image")],
    ),
    "no annotation": ({XML: None}, [(JPG, 0, "missing_annotation", MISSING, "drop_image")]),
    "neither": (
        {XML: None, JPG: None},
        [
            ("2", 0, "missing_annotation", MISSING, "drop_image"),
            ("2", 0, "missing_image", MISSING, "drop_image"),
        ],
    ),
    "broken annotation": (
        {XML: b"<annotation><object>"},
        [
            (
                JPG,
                0,
                "unreadable_annotation",
                "is not readable XML: no element found: line 1, column 20",
                "drop_image",
            )
        ],
    ),
}
KEPT = {
    "another size": (
        {XML: annotation(size=(30, 40))},
        [(JPG, 0, "size_mismatch", "stated 30x40, is 40x30", "warn")],
    ),
    "no size": (
        {XML: annotation(size=None)},
        [(JPG, 0, "size_mismatch", "stated none, is 40x30", "warn")],
    ),
    "another name": (
        {XML: annotation(filename="dog.jpg")},
        [(JPG, 0, "filename_mismatch", "stated dog.jpg, is 2.jpg", "warn")],
    ),
    "a PNG that is named .jpg": (
        {XML: annotation(filename="2"), JPG: picture(9, kind=".png")},
        [(JPG, 0, "format_mismatch", "named JPEG, is PNG", "warn")],
    ),
}
OBJECTS = {
    "zero area": ([("cat", (5, 5, 5, 9))], "empty_box", "5 5 5 9", "drop_object", None),
    "negative area": ([("cat", (9, 5, 5, 9))], "empty_box", "9 5 5 9", "drop_object", None),
    "no number": ([("cat", (1, "x", 5, 9))], "invalid_box", "1 x 5 9", "drop_object", None),
    "not finite": ([("cat", (1, "nan", 5, 9))], "invalid_box", "1 nan 5 9", "drop_object", None),
    "0-based": (
        [("cat", (0, 0, 9, 9))],
        "box_outside",
        "0 0 9 9 in 40x30",
        "clip",
        (1, 1, 9, 9),
    ),
    "too far right": (
        [("cat", (5.5, 5, 50, 31))],
        "box_outside",
        "5.5 5 50 31 in 40x30",
        "clip",
        (5.5, 5, 40, 30),
    ),
    "quite outside": (
        [("cat", (50, 5, 60, 9))],
        "box_outside",
        "50 5 60 9 in 40x30",
        "drop_object",
        None,
    ),
}


@pytest.mark.parametrize(("changes", "expected"), DAMAGE.values(), ids=list(DAMAGE))
def test_a_damaged_picture_is_dropped_and_listed(changes, expected) -> None:
    found = judge(damaged(changes))
    assert findings(found) == expected
    assert failed(found) == []
    assert names(found, "train") == ["1", "3"]
    assert found.objects is not None
    assert found.objects["image_row"] == [0, 2, 3, 4, 5, 6]


@pytest.mark.parametrize(("changes", "expected"), KEPT.values(), ids=list(KEPT))
def test_what_can_be_trusted_nevertheless_is_kept_and_listed(changes, expected) -> None:
    found = judge(damaged(changes))
    assert findings(found) == expected
    assert names(found, "train") == ["1", "2", "3"]


@pytest.mark.parametrize(
    ("objects", "rule", "value", "action", "box"), OBJECTS.values(), ids=list(OBJECTS)
)
def test_a_wrong_box_is_dropped_or_clipped_and_listed(objects, rule, value, action, box) -> None:
    found = judge(damaged({XML: annotation([("cat", (30, 20, 38, 28)), *objects])}))
    assert findings(found) == [(XML, 2, rule, value, action)]
    assert names(found, "train") == ["1", "2", "3"]
    assert found.objects is not None
    rows = [row for row, image in enumerate(found.objects["image_row"]) if image == 1]
    boxes = [
        tuple(found.objects[side][row] for side in ("xmin", "ymin", "xmax", "ymax")) for row in rows
    ]
    assert boxes == [(30, 20, 38, 28), *([box] if box else [])]


def test_a_flag_that_is_neither_0_nor_1_is_listed() -> None:
    flags = "<difficult>true</difficult><truncated>Unspecified</truncated>"
    found = judge(damaged({XML: annotation(flags=flags)}))
    assert findings(found) == [
        (XML, 1, "invalid_flag", "difficult true, truncated Unspecified", "warn")
    ]


def test_rotated_pictures_are_told_from_wrong_sizes() -> None:
    from PIL import Image

    exif = Image.Exif()
    exif[0x0112] = 6
    import io

    file = io.BytesIO()
    Image.new("RGB", (40, 30)).save(file, "JPEG", exif=exif)
    found = judge(damaged({JPG: file.getvalue(), XML: annotation(size=(30, 40))}))
    assert findings(found) == []
    assert (found.images["width"][1], found.images["height"][1]) == (30, 40)


def test_an_unknown_class_is_dropped_and_no_loss() -> None:
    objects = [("cat", (2, 2, 8, 8)), ("cow", (3, 3, 9, 9))]
    found = judge(damaged({XML: annotation(objects)}), classes=["cat"], max_rejected=0.0)
    assert findings(found) == [(XML, 2, "unknown_class", "cow", "drop_object")]
    assert failed(found) == []
    assert found.classes == ("cat",)


def test_all_classes_found_are_known() -> None:
    objects = [("cat", (2, 2, 8, 8)), ("aeroplane", (3, 3, 9, 9))]
    found = judge(damaged({XML: annotation(objects)}))
    assert found.classes == ("aeroplane", "cat")
    assert [(rule.name, lines) for rule, lines in found.warnings] == [
        ("evaluation_coverage", ["aeroplane: val 0, test 0"])
    ]


def test_an_object_without_a_name_is_of_unknown_class() -> None:
    found = judge(damaged({XML: annotation([("", (2, 2, 8, 8))])}))
    assert findings(found) == [(XML, 1, "unknown_class", "has no name", "drop_object")]


def test_a_picture_without_objects_is_admitted() -> None:
    found = judge(damaged({XML: annotation([])}))
    assert names(found, "train") == ["1", "2", "3"]


def test_a_picture_listed_twice_is_used_once() -> None:
    found = judge(damaged({"ImageSets/Main/train.txt": b"1\n2\n2\n3\n"}))
    assert findings(found) == [(JPG, 0, "duplicate_id", "listed twice", "drop_image")]
    assert names(found, "train") == ["1", "2", "3"]


def test_two_files_of_one_id_are_dropped() -> None:
    found = judge(damaged({"JPEGImages/2.png": picture(9, kind=".png")}))
    assert findings(found) == [
        (JPG, 0, "duplicate_id", f"also {ROOT}/JPEGImages/2.png", "drop_image")
    ]


def test_the_same_picture_in_two_splits_refuses_the_set() -> None:
    files = damaged({"JPEGImages/6.jpg": clean_set()[f"{ROOT}/JPEGImages/2.jpg"]})
    found = judge(files)
    assert failed(found) == ["duplicate_image"]
    assert found.failures[0][1] == [f"{ROOT}/JPEGImages/2.jpg: is 6 of test"]


def test_the_same_picture_in_two_splits_can_be_dropped_from_training() -> None:
    files = damaged({"JPEGImages/6.jpg": clean_set()[f"{ROOT}/JPEGImages/2.jpg"]})
    found = judge(files, policies={"duplicate_image": "drop_image"})
    assert failed(found) == []
    assert names(found, "train") == ["1", "3"]
    assert names(found, "test") == ["6", "7"]


def test_one_id_in_two_splits_is_the_same_picture_in_two_splits() -> None:
    found = judge(damaged({"ImageSets/Main/val.txt": b"2\n4\n5\n"}))
    assert found.failures[0][1] == [f"{ROOT}/{JPG}: is in val too"]


def test_the_same_picture_twice_in_one_split_is_no_leak() -> None:
    files = damaged({"JPEGImages/3.jpg": clean_set()[f"{ROOT}/JPEGImages/2.jpg"]})
    assert failed(judge(files)) == []


def photograph(seed: int, quality: int = 95, size: tuple[int, int] = (160, 120)) -> bytes:
    """A smooth image, another for each seed, as a camera's are; noise has no likeness."""
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    smooth = cv2.resize(coarse, size, interpolation=cv2.INTER_CUBIC)
    return cv2.imencode(".jpg", smooth, [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()


def photographs() -> dict[str, bytes]:
    """A set of images that differ from each other as photographs do."""
    files = clean_set()
    for number in range(1, 8):
        files[f"{ROOT}/JPEGImages/{number}.jpg"] = photograph(number)
        files[f"{ROOT}/Annotations/{number}.xml"] = annotation(size=(160, 120))
    return files


@pytest.mark.parametrize("change", [{"quality": 50}, {"size": (80, 60)}], ids=["encoded", "size"])
def test_a_picture_that_looks_like_one_of_another_split_is_listed(change) -> None:
    files = photographs()
    files[f"{ROOT}/JPEGImages/6.jpg"] = photograph(2, **change)
    files[f"{ROOT}/Annotations/6.xml"] = annotation(size=change.get("size", (160, 120)))
    found = judge(files)
    assert failed(found) == []
    [(file, number, rule, value, action)] = findings(found)
    assert (file, number, rule, action) == (JPG, 0, "near_duplicate", "warn")
    assert value.startswith("looks like 6 of test (")
    assert names(judge(files, policies={"near_duplicate": "drop_image"}), "train") == ["1", "3"]
    assert failed(judge(files, policies={"near_duplicate": "fail"})) == ["near_duplicate"]


def test_pictures_of_one_split_and_different_pictures_are_no_near_duplicates() -> None:
    files = photographs()
    files[f"{ROOT}/JPEGImages/3.jpg"] = photograph(2, quality=50)
    assert findings(judge(files)) == []


def test_how_alike_pictures_may_be_is_a_parameter() -> None:
    files = photographs()
    assert len(findings(judge(files, near_duplicate_bits=63))) == 5


def test_objects_in_one_cell_of_the_grid_are_listed() -> None:
    boxes = [(1, 1, 6, 6), (2, 2, 7, 7), (30, 20, 38, 28), (1, 1, 9, 7), (29, 21, 38, 28)]
    files = damaged({XML: annotation([("cat", box) for box in boxes])})
    found = judge(files)
    assert findings(found) == [
        (
            JPG,
            0,
            "cell_collision",
            "objects 1 and 2 and 4, 3 and 5 share a cell of 7x7",
            "warn",
        )
    ]
    # centres of 2 and 4 are 3.5 and 4 pixels from the left, of 3 and 5 33 and 32.5
    assert findings(judge(files, grid=40)) == []


def test_objects_that_are_no_targets_take_no_cell() -> None:
    flags = "<difficult>1</difficult>"
    boxes = [("cat", (1, 1, 6, 6)), ("cat", (1, 1, 6, 7))]
    files = damaged({XML: annotation(boxes, flags=flags)})
    assert findings(judge(files)) == []
    objects = [("cat", (1, 1, 6, 6)), ("dog", (1, 1, 6, 6)), ("cat", (3, 3, 3, 4))]
    found = judge(damaged({XML: annotation(objects)}), classes=["cat"])
    assert "cell_collision" not in [rule for _, _, rule, _, _ in findings(found)]


def test_two_files_that_are_broken_alike_are_no_leak() -> None:
    found = judge(damaged({JPG: b"", "JPEGImages/6.jpg": b""}))
    assert failed(found) == []
    assert [rule for _, _, rule, _, _ in findings(found)] == ["unreadable_image"] * 2


def test_any_rule_can_be_made_to_refuse_the_set() -> None:
    found = judge(damaged({JPG: b"404"}), policies={"unreadable_image": "fail"})
    assert failed(found) == ["unreadable_image"]
    assert found.failures[0][1] == [f"{ROOT}/{JPG}: is no image"]


def test_too_many_dropped_pictures_refuse_the_set() -> None:
    found = judge(damaged({JPG: b"404"}), max_rejected=0.1)
    assert failed(found) == ["max_rejected"]
    assert found.failures[0][1] == ["1 of 7 images", "1 of 7 objects"]
    assert failed(judge(damaged({JPG: b"404"}), max_rejected=0.15)) == []


def test_too_many_dropped_objects_refuse_the_set() -> None:
    found = judge(damaged({XML: annotation([("cat", (5, 5, 5, 9))])}), max_rejected=0.1)
    assert found.failures[0][1] == ["1 of 7 objects"]


def test_a_class_without_training_examples_refuses_the_set() -> None:
    found = judge(clean_set(), classes=["cat", "dog"])
    assert failed(found) == ["class_coverage"]
    assert found.failures[0][1] == ["dog (the set has cat)"]
    assert (
        failed(judge(clean_set(), classes=["cat", "dog"], policies={"class_coverage": "warn"}))
        == []
    )


def test_an_empty_or_small_split_refuses_the_set() -> None:
    files = damaged({"JPEGImages/6.jpg": b"", "JPEGImages/7.jpg": b""})
    found = judge(files)
    assert ("min_images", ["test: 0"]) in [(rule.name, rows) for rule, rows in found.failures]
    assert judge(clean_set(), min_images=3).failures[0][1] == ["val: 2", "test: 2"]


def test_shares_are_drawn_when_the_set_has_no_splits() -> None:
    files = {
        name: data
        for name, data in voc_set({"train": [f"{i:02}" for i in range(20)]}).items()
        if "ImageSets" not in name
    }
    found = judge(files)
    assert [len(names(found, split)) for split in ("train", "val", "test")] == [14, 2, 4]


def test_copies_in_a_set_without_splits_do_not_leak() -> None:
    files = {
        name: data
        for name, data in voc_set({"train": [f"{i:02}" for i in range(20)]}).items()
        if "ImageSets" not in name
    }
    for i in range(0, 20, 2):
        files[f"{ROOT}/JPEGImages/{i:02}.jpg"] = files[f"{ROOT}/JPEGImages/{i + 1:02}.jpg"]
    assert failed(judge(files)) == []


def test_a_clean_image_folder_is_admitted_whole() -> None:
    found = judge(image_folder(), CLASSIFICATION)
    assert findings(found) == []
    assert failed(found) == []
    assert found.classes == ("cat", "dog")
    assert found.objects is None
    assert found.examples == {"class": ["cat", "dog"], "train": [3, 3], "val": [3, 3]}


def test_damage_of_an_image_folder_is_dropped_and_listed() -> None:
    files = image_folder() | {
        "set/train/cat/1.jpg": b"404",
        "set/train/loose.jpg": picture(77),
        "set/val/cow/1.jpg": picture(78),
    }
    found = judge(files, CLASSIFICATION, classes=["cat", "dog"])
    assert findings(found) == [
        ("set/train/cat/1.jpg", 0, "unreadable_image", "is no image", "drop_image"),
        ("set/train/loose.jpg", 0, "missing_annotation", "in no class folder", "drop_image"),
        ("set/val/cow/1.jpg", 0, "unknown_class", "cow", "drop_image"),
    ]
    assert found.filtered.losses() == {
        "what": ["images", "objects"],
        "listed": [13, 0],
        "lost": [2, 0],
        "share": [2 / 13, 0.0],
    }


def test_pictures_of_classes_not_asked_for_are_not_read() -> None:
    files = image_folder()

    class Strict(MemoryFiles):
        def read(self, name: str) -> bytes:
            assert "dog" not in name
            return super().read(name)

    strict = Strict(files)
    index = read_index_of("classification", strict, Limits())
    contract = replace(CLASSIFICATION, classes=["cat", "owl"])
    found = validate(strict, index, contract, rules.run, "test", Workers())
    assert found.examples == {"class": ["cat", "owl"], "train": [3, 0], "val": [3, 0]}


def test_one_class_is_nothing_to_learn() -> None:
    files = {name: data for name, data in image_folder().items() if "dog" not in name}
    with pytest.raises(UserError, match="one class only, 'cat'"):
        judge(files, CLASSIFICATION)


def test_an_empty_archive_is_an_error() -> None:
    with pytest.raises(UserError, match=r"holds no images.*Pascal VOC XML"):
        judge({})
    with pytest.raises(UserError, match=r"holds no images.*train/CLASS/IMAGE"):
        judge({}, CLASSIFICATION)


# Labels that are wrong without being broken.


def test_an_object_annotated_twice_is_listed_and_can_be_dropped() -> None:
    objects = [("cat", (2, 2, 8, 8)), ("cat", (30, 20, 38, 28)), ("cat", (2, 2, 8, 8))]
    files = damaged({XML: annotation(objects)})
    rows = [one for one in findings(judge(files)) if one[2] != "cell_collision"]
    assert rows == [(XML, 3, "duplicate_object", "is object 1 again", "warn")]
    found = judge(files, policies={"duplicate_object": "drop_object"})
    assert found.objects is not None
    assert found.objects["image_row"].count(1) == 2


@pytest.mark.parametrize("other", ["3", "6"])
def test_the_same_image_with_other_boxes_is_listed_also_within_a_split(other: str) -> None:
    changes = {
        f"JPEGImages/{other}.jpg": clean_set()[f"{ROOT}/{JPG}"],
        f"Annotations/{other}.xml": annotation([("cat", (9, 9, 30, 29))]),
    }
    found = judge(damaged(changes), policies={"duplicate_image": "warn"})
    rows = [one for one in findings(found) if one[2] == "conflicting_copy"]
    assert [(file, value) for file, _, _, value, _ in rows] == [
        (JPG, f"has the same bytes as {other}, but other objects"),
        (f"JPEGImages/{other}.jpg", "has the same bytes as 2, but other objects"),
    ]


def test_the_same_image_with_the_same_boxes_is_no_conflict() -> None:
    files = damaged({"JPEGImages/3.jpg": clean_set()[f"{ROOT}/{JPG}"]})
    assert findings(judge(files)) == []


@pytest.mark.parametrize("other", ["Cat", "cat ", "ca_t", "CAT", "c at", "c-at", "\uff43at"])
def test_classes_that_people_take_for_one_are_listed(other: str) -> None:
    found = judge(damaged({XML: annotation([(other, (2, 2, 8, 8))])}))
    lines = [lines for rule, lines in found.warnings if rule.name == "similar_classes"]
    if other.strip() == "cat":
        assert lines == []
        return
    assert sorted(lines[0]) == sorted([f"cat: also {other!r}", f"{other}: also 'cat'"])
    refused = judge(
        damaged({XML: annotation([(other, (2, 2, 8, 8))])}), policies={"similar_classes": "fail"}
    )
    assert failed(refused) == ["similar_classes"]


@pytest.mark.parametrize("name", ["cat\u200b", "cat/dog", "a\\b", "x" * 201])
def test_a_class_that_cannot_be_one_is_named_with_its_file(name: str) -> None:
    files = damaged({XML: annotation([("cat", (2, 2, 8, 8)), (name, (30, 20, 38, 28))])})
    found = judge(files)
    assert failed(found) == ["invalid_class"]
    assert [one[:3] for one in findings(found)] == [(XML, 2, "invalid_class")]
    assert found.classes == ("cat",)
    assert failed(judge(files, policies={"invalid_class": "drop_object"})) == []
    # when classes are named, it is none of them
    assert [one[2] for one in findings(judge(files, classes=["cat"]))] == ["unknown_class"]


def test_classes_can_be_renamed_joined_and_left_out() -> None:
    objects = [("Cat", (2, 2, 8, 8)), ("cow", (30, 20, 38, 28)), ("dog", (20, 2, 29, 9))]
    files = damaged({XML: annotation(objects)})
    found = judge(files, rename={"Cat": "cat", "cow": None, "dog": "tabby cat"})
    assert found.classes == ("cat", "tabby cat")
    assert found.examples["train"] == [3, 1]
    assert [one for one in findings(found) if one[2] != "cell_collision"] == []
    with pytest.raises(UserError, match=r"rename names 'cats', which nothing is called.*Cat, cat"):
        judge(files, rename={"cats": "cat"})


def test_classes_of_folders_can_be_renamed_and_left_out() -> None:
    files = image_folder()
    for number in range(3):
        for split in ("train", "val"):
            files[f"set/{split}/cow/{number}.jpg"] = picture(500 + 10 * number + len(split))
    found = judge(files, CLASSIFICATION, rename={"dog": None, "cat": "felis"})
    assert found.classes == ("cow", "felis")
    assert found.examples == {"class": ["cow", "felis"], "train": [3, 3], "val": [3, 3]}
    assert len(found.index.records) == 12


def test_a_class_asked_for_that_is_not_there_says_which_are() -> None:
    found = judge(clean_set(), classes=["Cat"])
    assert ("class_coverage", ["Cat (the set has cat)"]) in [
        (rule.name, lines) for rule, lines in found.failures
    ]


def test_pixels_that_use_a_small_part_of_their_range_are_listed() -> None:
    deep = np.random.default_rng(0).integers(0, 4096, (30, 40, 3)).astype(np.uint16)
    whole = deep * 16
    for pixels, expected in ((deep, True), (whole, False), (np.zeros_like(deep), False)):
        data = cv2.imencode(".png", pixels)[1].tobytes()
        rows = findings(judge(damaged({JPG: None, "JPEGImages/2.png": data})))
        values = [value for _, _, rule, value, _ in rows if rule == "pixel_range"]
        assert len(values) == expected
        assert all("12 bits stored in 16" in value for value in values)


@pytest.mark.parametrize("kind", [np.float32, np.int32])
def test_pixels_of_a_kind_that_is_not_read_are_said(kind: type) -> None:
    from io import BytesIO

    from PIL import Image

    file = BytesIO()
    Image.fromarray(np.ones((30, 40), kind)).save(file, "TIFF")
    rows = findings(judge(damaged({JPG: None, "JPEGImages/2.tif": file.getvalue()})))
    [value] = [value for _, _, rule, value, _ in rows if rule == "unreadable_image"]
    assert "has 32-bit" in value and "save it with 8 or 16 bits" in value
