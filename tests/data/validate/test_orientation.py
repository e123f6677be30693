"""Photos that EXIF turns: which image the annotation means, and what the clean data hold."""

import io
import json
from pathlib import Path

import numpy as np
import pytest
from judged_sets import CLASSIFICATION, JPG, XML, damaged, image_folder, judge
from PIL import Image, ImageOps
from small_sets import MemoryFiles, annotation

from yolo.data.formats.annotations import Annotation, Object
from yolo.data.store.clean_set import CleanSet
from yolo.data.store.images import decode
from yolo.data.validate.orientation import boxes, describe, turn
from yolo.data.validate.probe import ImageProbe, Probe
from yolo.data.validate.validation import ValidationResult
from yolo.data.validate.write_clean import write_store
from yolo.runtime.workers import Workers

WIDTH, HEIGHT = 40, 30
"""Of what is stored."""


def scene(kind: str, orientation: int) -> bytes:
    """A smooth image with a red box at columns 5 to 14 and rows 3 to 20, counted from 1."""
    pixels = np.full((HEIGHT, WIDTH, 3), 90, np.uint8)
    pixels[2:20, 4:14] = (230, 20, 20)
    exif = Image.Exif()
    exif[0x0112] = orientation
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind, exif=exif, quality=95)
    return file.getvalue()


STORED = (5, 3, 14, 20)


def upright(data: bytes) -> np.ndarray:
    return np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert("RGB"))


def red_box(image: np.ndarray) -> list[int]:
    """Where the image is red, counted from 1."""
    rows, columns = np.nonzero(image[..., 0].astype(int) - image[..., 1] > 100)
    return [columns.min() + 1, rows.min() + 1, columns.max() + 1, rows.max() + 1]


def clean(folder: Path, files: dict[str, bytes], found: ValidationResult) -> CleanSet:
    write_store(folder, MemoryFiles(files), found, ["train"], None, Workers())
    return CleanSet(folder)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_boxes_that_count_stored_pixels_turn_with_the_image(
    tmp_path: Path, kind: str, orientation: int
) -> None:
    data = scene(kind, orientation)
    name = JPG if kind == "JPEG" else "JPEGImages/2.png"
    stored = annotation([("cat", STORED)], size=(WIDTH, HEIGHT))
    if orientation in (2, 3, 4):
        # Both images have this size: the annotation is taken as made on what viewers show.
        stored = annotation([("cat", red_box(upright(data)))], size=(WIDTH, HEIGHT))
    files = damaged({JPG: None, name: data, XML: stored})
    found = judge(files)
    train = clean(tmp_path, files, found).split("train")
    image = decode(train.image(1), "2")
    assert train.boxes(1).tolist() == [red_box(image)]
    assert train.size(1) == image.shape[1::-1] == upright(data).shape[1::-1]
    assert np.abs(image.astype(int) - upright(data)).mean() < (3 if kind == "JPEG" else 0.01)
    rules = [one.rule for one in found.filtered.findings]
    assert rules == (["exif_orientation"] if orientation > 1 else [])


def test_boxes_made_on_the_turned_image_stay(tmp_path: Path) -> None:
    data = scene("JPEG", 6)
    box = red_box(upright(data))
    files = damaged({JPG: data, XML: annotation([("cat", box)], size=(HEIGHT, WIDTH))})
    found = judge(files)
    assert found.filtered.findings == []
    train = clean(tmp_path, files, found).split("train")
    assert train.boxes(1).tolist() == [box]
    assert train.size(1) == (HEIGHT, WIDTH)


def test_a_size_and_boxes_that_contradict_each_other_are_said() -> None:
    objects = [("cat", (2, 30, 20, 39))]
    files = damaged({JPG: scene("JPEG", 6), XML: annotation(objects, size=(WIDTH, HEIGHT))})
    values = {one.rule: one.value for one in judge(files).filtered.findings}
    assert (
        "states the stored size 40x30; but only in the turned image" in (values["exif_orientation"])
    )
    assert "box_outside" in values
    refused = judge(files, policies={"exif_orientation": "fail"})
    assert [rule.name for rule, _ in refused.failures] == ["exif_orientation"]


def test_a_size_that_is_neither_is_a_mismatch() -> None:
    files = damaged({JPG: scene("JPEG", 6), XML: annotation(size=(41, 30))})
    values = {one.rule: one.value for one in judge(files).filtered.findings}
    assert values["size_mismatch"] == "stated 41x30, is 30x40"


def test_an_inverted_box_stays_inverted() -> None:
    image = ImageProbe(width=HEIGHT, height=WIDTH, orientation=6)
    xmin, ymin, xmax, ymax = turn((14, 3, 5, 20), image)
    assert (ymin > ymax, xmin < xmax) == (True, True)


def test_shares_are_of_the_turned_image() -> None:
    image = ImageProbe(width=30, height=40, orientation=6)
    objects = (Object(1, "cat", (0.0, 0.25, 0.5, 1.0), ""),)
    probe = Probe(image, Annotation(objects, shares=True))
    assert boxes(probe) == [(1, 11, 15, 40)]
    assert "shares of the turned image" in describe(probe)


def test_reduced_images_are_turned_too(tmp_path: Path) -> None:
    files = damaged({JPG: scene("JPEG", 8), XML: annotation(size=(HEIGHT, WIDTH))})
    write_store(tmp_path, MemoryFiles(files), judge(files), ["train"], 15, Workers())
    train = CleanSet(tmp_path).split("train")
    assert decode(train.image(1), "2").shape == (20, 15, 3)
    assert train.size(1) == (HEIGHT, WIDTH)


def test_images_of_classes_are_turned(tmp_path: Path) -> None:
    files = image_folder() | {"set/train/cat/0.jpg": scene("JPEG", 6)}
    found = judge(files, CLASSIFICATION)
    assert [(one.rule, one.value) for one in found.filtered.findings] == [
        ("exif_orientation", "EXIF orientation 6: turned")
    ]
    write_store(tmp_path, MemoryFiles(files), found, ["train"], None, Workers())
    assert decode(CleanSet(tmp_path).split("train").image(0), "0").shape == (WIDTH, HEIGHT, 3)


def test_the_detector_sees_what_predict_sees(tmp_path: Path) -> None:
    from yolo.inference.image_input import read_image

    data = scene("JPEG", 6)
    box = red_box(upright(data))
    files = damaged({JPG: data, XML: annotation([("cat", box)], size=(HEIGHT, WIDTH))})
    train = clean(tmp_path, files, judge(files)).split("train")
    (tmp_path / "1.jpg").write_bytes(data)
    seen = read_image(tmp_path / "1.jpg")
    assert np.abs(seen.astype(int) - decode(train.image(1), "2")).mean() < 3


def test_coco_s_sizes_are_those_of_the_turned_image() -> None:
    data = scene("JPEG", 6)
    xmin, ymin, xmax, ymax = (int(side) for side in red_box(upright(data)))
    document = {
        "images": [{"id": 1, "file_name": "1.jpg", "width": HEIGHT, "height": WIDTH}],
        "annotations": [
            {
                "id": 1,
                "image_id": 1,
                "category_id": 1,
                "bbox": [xmin - 1, ymin - 1, xmax - xmin + 1, ymax - ymin + 1],
            }
        ],
        "categories": [{"id": 1, "name": "cat"}],
    }
    files = {"images/1.jpg": data, "train.json": json.dumps(document).encode()}
    found = judge(files, splits={"train": None})
    assert found.objects is not None
    sides = ("xmin", "ymin", "xmax", "ymax")
    assert [found.objects[side][0] for side in sides] == [xmin, ymin, xmax, ymax]
    assert found.filtered.findings == []
