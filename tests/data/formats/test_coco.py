"""COCO's ways and what is wrong in such files."""

import json
from typing import Any

import pytest
from format_sets import coco_document, examples
from judged_sets import judge
from small_sets import MemoryFiles, picture

from yolo.data.formats.coco import read
from yolo.data.formats.index import Index, Limits
from yolo.data.validate.validation import ValidationResult
from yolo.errors import UserError

IMAGES = {f"images/{name}.jpg": picture(n) for n, name in enumerate(("a", "b", "c", "d", "e"))}


def document(*boxes: Any, **more: Any) -> dict[str, Any]:
    """Five images, a cat in each, and in `a` what is given."""
    names = ("a", "b", "c", "d", "e")
    sizes = {"width": 40, "height": 30}
    return {
        "images": [{"id": n, "file_name": f"{name}.jpg", **sizes} for n, name in enumerate(names)],
        "annotations": [
            *({"id": n, "image_id": n, "category_id": 1, "bbox": [3, 3, 9, 9]} for n in range(5)),
            *(
                {"id": 100 + n, "image_id": 0, "category_id": 1, **box}
                for n, box in enumerate(boxes)
            ),
        ],
        "categories": [{"id": 1, "name": "cat"}, {"id": 2, "name": " dog "}],
        **more,
    }


def files(content: Any, name: str = "train.json") -> dict[str, bytes]:
    return {**IMAGES, name: json.dumps(content).encode()}


def found(content: Any) -> ValidationResult:
    return judge(files(content), splits={"train": None}, classes=["cat", "dog"],
                 policies={"class_coverage": "warn"})  # fmt: skip


def index(held: dict[str, bytes]) -> Index:
    result = read(MemoryFiles(held), Limits())
    assert result is not None
    return result


def findings(content: Any) -> list[tuple]:
    return [
        (one.file, one.object, one.rule, one.value, one.action)
        for one in found(content).filtered.findings
    ]


WRONG = {
    "no width": ({"bbox": [5, 5, 0, 4]}, "empty_box", "5 5 0 4 (annotation 100)", "drop_object"),
    "negative": ({"bbox": [5, 5, -2, 4]}, "empty_box", "5 5 -2 4 (annotation 100)", "drop_object"),
    "outside": (
        {"bbox": [30, 5, 11, 4]},
        "box_outside",
        "30 5 11 4 (annotation 100) in 40x30",
        "clip",
    ),
    "three numbers": ({"bbox": [1, 2, 3]}, "invalid_box", "1 2 3 (annotation 100)", "drop_object"),
    "no numbers": (
        {"bbox": ["1", 2, 3, 4]},
        "invalid_box",
        "1 2 3 4 (annotation 100)",
        "drop_object",
    ),
    "not finite": (
        {"bbox": [1, 2, 3, float("nan")]},
        "invalid_box",
        "1 2 3 nan (annotation 100)",
        "drop_object",
    ),
    "huge": (
        {"bbox": [1, 2, 3, 10**400]},
        "invalid_box",
        None,
        "drop_object",
    ),
    "a truth value": (
        {"bbox": [True, 2, 3, 4]},
        "invalid_box",
        "True 2 3 4 (annotation 100)",
        "drop_object",
    ),
    "no list": ({"bbox": "all"}, "invalid_box", "all (annotation 100)", "drop_object"),
    "an unknown category": (
        {"bbox": [20, 20, 5, 5], "category_id": 9},
        "unknown_class",
        "its category 9 is not listed",
        "drop_object",
    ),
    "twice": ({"bbox": [3, 3, 9, 9]}, "duplicate_object", "is object 1 again", "warn"),
}


@pytest.mark.parametrize(("box", "rule", "value", "action"), WRONG.values(), ids=list(WRONG))
def test_a_wrong_object_is_named(box: dict, rule: str, value: str | None, action: str) -> None:
    rows = [one for one in findings(document(box)) if one[2] != "cell_collision"]
    [(file, number, name, text, done)] = rows
    assert (file, number, name, done) == ("images/a.jpg", 2, rule, action)
    assert value is None or text == value


def test_a_box_that_touches_all_edges_is_inside() -> None:
    assert found(document({"bbox": [0, 0, 40, 30]})).filtered.findings == []


def test_crowds_are_difficult_and_masks_are_ignored() -> None:
    mask = {"size": [30, 40], "counts": [5, 9, 3]}
    one = found(document({"bbox": [20.5, 15.25, 9, 9], "iscrowd": 1, "segmentation": mask}))
    assert one.objects is not None
    assert one.objects["difficult"].count("1") == 1
    assert (one.objects["xmin"][1], one.objects["ymax"][1]) == (21.5, 24.25)


def test_an_outline_without_box_has_one_around_it() -> None:
    one = found(document({"segmentation": [[4, 4, 20, 4, 20, 16], [4, 10, 6, 12, 5, 18]]}))
    assert one.objects is not None
    sides = ("xmin", "ymin", "xmax", "ymax")
    assert [one.objects[side][1] for side in sides] == [5, 5, 20, 18]


def test_ids_may_be_text_and_images_in_other_folders() -> None:
    content = document()
    for entry in content["images"]:
        entry |= {"id": str(entry["id"]), "file_name": f"C:\\data\\old\\{entry['file_name']}"}
    records = index(files(content)).records
    assert [record.image for record in records.values()] == list(IMAGES)
    assert all(record.boxes and record.boxes.objects for record in records.values())


def test_images_that_are_missing_or_not_listed_are_named() -> None:
    content = document({"bbox": [1, 1, 9, 9], "image_id": 77})
    content["images"].append({"id": 6, "file_name": "gone.jpg"})
    rows = {one[0]: one for one in findings(content)}
    assert rows["train.json"][2] == "missing_image"
    missing = [one for one in found(content).filtered.findings if one.rule == "missing_image"]
    assert sorted(one.value for one in missing) == [
        "missing: train.json does not say which file it is",
        "missing: train.json names it",
    ]


def test_images_that_no_file_describes_are_left_out() -> None:
    content = document()
    content["images"].pop()
    content["annotations"].pop()
    result = found(content)
    assert [record.name for record in result.unlisted] == ["e"]
    assert result.failures == []


def test_an_image_without_objects_stays() -> None:
    content = document()
    content["annotations"].pop()
    assert found(content).images["name"] == ["a", "b", "c", "d", "e"]


def test_of_coco_s_own_files_the_instances_count() -> None:
    own = examples()["train"]
    held = {f"train2017/{name}.png": one.image for name, one in own.items()}
    held["annotations/instances_train2017.json"] = json.dumps(coco_document(own)).encode()
    captions = {"images": coco_document(own)["images"], "annotations": [{"caption": "a cat"}]}
    held["annotations/captions_train2017.json"] = json.dumps(captions).encode()
    one = index(held)
    assert list(one.published) == ["train"]
    assert one.notes == ["annotations/captions_train2017.json was not read"]


def test_one_file_for_all_images_leaves_the_splits_to_folders() -> None:
    content = document()
    for entry, split in zip(content["images"], ("train", "train", "train", "val", "test"),
                            strict=True):  # fmt: skip
        entry["file_name"] = f"{split}/{entry['file_name']}"
    held = {name.replace("images/", f"{split}/"): data for (name, data), split in zip(
        IMAGES.items(), ("train", "train", "train", "val", "test"), strict=True)}  # fmt: skip
    one = index(held | {"annotations.json": json.dumps(content).encode()})
    assert one.published["val"] == ["val/d"]
    assert len(one.published["annotations"]) == 5


def test_an_image_annotated_otherwise_in_a_second_file_is_no_silent_choice() -> None:
    other = document({"bbox": [20, 20, 5, 5]})
    held = files(document()) | {"val.json": json.dumps(other).encode()}
    assert index(held).records["a"].listing == "also annotated otherwise in val.json"
    assert index(held).records["b"].listing == "ok"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b'{"images": [', "not readable JSON"),
        (
            b'{"images": [{"id": 1}, {"id": "1"}], "annotations": [{"bbox": [1]}]}',
            "2 images the id",
        ),
        (b'{"images": [1], "annotations": []}', "among its images"),
        (b'{"images": [{"id": 1}], "annotations": []}', "no file has both"),
        (b'{"images": [], "annotations": [{"bbox": [1, 2, 3, 4]}]}', "no file has both"),
        (b'{"images": [' + b'{"a":' * 50_000, "not readable JSON"),
    ],
)
def test_a_damaged_file_is_an_error_that_names_it(content: bytes, words: str) -> None:
    with pytest.raises(UserError, match=words) as error:
        index({**IMAGES, "set/instances_train.json": content})
    assert "set/instances_train.json" in str(error.value)


def test_more_objects_than_the_limit_are_an_error() -> None:
    with pytest.raises(UserError, match=r"train\.json has more than 4 objects.*limits\.objects"):
        read(MemoryFiles(files(document())), Limits(objects=4))
