"""Synthetic sets: true boxes and flags, the promised layout, the same bytes for the same recipe."""

from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import cv2
import numpy as np
import pytest

from yolo.data.download.tar_writer import write_tar
from yolo.data.synthetic import shapes
from yolo.data.synthetic.generate import classification_members, detection_members
from yolo.data.synthetic.recipes import ClassificationRecipe, DetectionRecipe
from yolo.data.synthetic.scenes import scene
from yolo.data.synthetic.shapes import SHAPES, Pose, coverage, place

PICTURE = {"seed": 5, "min_side": 64, "max_side": 96, "min_scale": 0.2, "max_scale": 0.6}
CLASSES = ["circle", "cross", "heart", "star", "triangle"]


def classification(**changes: Any) -> ClassificationRecipe:
    images = {"train": 16, "val": 8}
    return ClassificationRecipe.model_validate(
        {**PICTURE, "classes": list(SHAPES), "images": images, **changes}
    )


def detection(**changes: Any) -> DetectionRecipe:
    images = {"train": 6, "val": 3, "test": 2}
    return DetectionRecipe.model_validate(
        {**PICTURE, "classes": CLASSES, "images": images, "max_objects": 6, **changes}
    )


def test_a_square_covers_exactly_its_pixels() -> None:
    # centre (10, 6), 8 wide and 4 high: columns 6..13, rows 4..7
    alpha = coverage(place("square", Pose(10, 6, 8, 4, 0)), 20, 16)
    expected = np.zeros((16, 20))
    expected[4:8, 6:14] = 1
    np.testing.assert_allclose(alpha, expected, atol=0.02)


def test_half_covered_pixels_are_half_transparent() -> None:
    alpha = coverage(place("square", Pose(10, 6, 9, 4, 0)), 20, 16)
    # drawn at four times the size, where the rim may be one column off
    assert alpha[5, 5] == pytest.approx(0.5, abs=0.26)
    assert alpha[5, 14] == pytest.approx(0.5, abs=0.26)


@pytest.mark.parametrize(
    ("shape", "share"),
    # area over that of the bounding box, from geometry
    [
        ("circle", np.pi / 4),
        ("square", 1.0),
        ("triangle", 0.5),
        ("ring", np.pi / 4 * (1 - 0.55**2)),
        ("cross", 1 - (1 - 0.32) ** 2),
    ],
)
def test_areas_are_those_of_geometry(shape: str, share: float) -> None:
    area = coverage(place(shape, Pose(100, 100, 150, 120, 0)), 200, 200).sum()
    assert area / (150 * 120) == pytest.approx(share, rel=0.01)


@pytest.mark.parametrize("shape", SHAPES)
def test_every_shape_fills_the_sides_it_is_given(shape: str) -> None:
    seen = coverage(place(shape, Pose(60, 50, 80, 60, 0)), 120, 100) > 0.3
    columns, rows = np.flatnonzero(seen.any(axis=0)), np.flatnonzero(seen.any(axis=1))
    assert abs(columns[0] - 20) <= 1
    assert abs(columns[-1] - 99) <= 1
    assert abs(rows[0] - 20) <= 2
    assert abs(rows[-1] - 79) <= 2


def test_rotation_by_a_right_angle_swaps_the_sides() -> None:
    upright = coverage(place("star", Pose(50, 50, 60, 40, 0)), 100, 100)
    turned = coverage(place("star", Pose(50, 50, 60, 40, 90)), 100, 100)
    np.testing.assert_allclose(np.rot90(upright, -1), turned, atol=0.26)


@pytest.fixture
def painted(monkeypatch: pytest.MonkeyPatch) -> list[np.ndarray]:
    """Coverages in the order in which a scene paints them."""
    alphas: list[np.ndarray] = []
    monkeypatch.setattr(shapes, "paint", lambda image, alpha, rng: alphas.append(alpha))
    return alphas


def test_boxes_and_flags_are_those_of_what_is_painted(painted: list[np.ndarray]) -> None:
    kinds = set()
    for number in range(60):
        painted.clear()
        image, items = scene(detection(min_side=96), np.random.default_rng((1, number)))
        height, width = image.shape[:2]
        assert 1 <= len(items) <= 6
        owner = np.full((height, width), -1)
        for index, alpha in enumerate(painted):
            owner[alpha > 0.5] = index
        cells = set()
        for index, item in enumerate(items):
            rows, columns = np.nonzero(owner == index)
            expected = columns.min() + 1, rows.min() + 1, columns.max() + 1, rows.max() + 1
            assert item.box == expected
            xmin, ymin, xmax, ymax = item.box
            assert 1 <= xmin <= xmax <= width
            assert 1 <= ymin <= ymax <= height
            if item.truncated:
                assert xmin == 1 or ymin == 1 or xmax == width or ymax == height or len(items) > 1
            own = painted[index] > 0.5
            share = (owner == index).sum() / own.sum()
            side = max(xmax - xmin, ymax - ymin) + 1
            if share < 0.5:
                assert item.difficult
            if share >= 0.5 and side > 0.15 * min(width, height):
                assert not item.difficult
            cells.add(
                (int((xmin + xmax - 1) / 2 / width * 8), int((ymin + ymax - 1) / 2 / height * 8))
            )
            kinds.add((item.label, item.truncated, item.difficult))
        assert len(cells) == len(items)
    assert {label for label, _, _ in kinds} == set(CLASSES)
    assert {truncated for _, truncated, _ in kinds} == {False, True}
    assert {difficult for _, _, difficult in kinds} == {False, True}


def test_classes_take_turns_in_an_imagefolder() -> None:
    members = dict(classification_members(classification()))
    assert len(members) == 24
    for split, each in (("train", 2), ("val", 1)):
        for shape in SHAPES:
            found = [name for name in members if name.startswith(f"{split}/{shape}/")]
            assert len(found) == each
    for data in members.values():
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
        assert image is not None
        assert all(64 <= side <= 96 for side in image.shape[:2])


def test_vocdevkit_layout_is_complete_and_consistent() -> None:
    members = dict(detection_members(detection()))
    root = "VOCdevkit/VOC2007"
    lists = {
        split: members[f"{root}/ImageSets/Main/{split}.txt"].decode().split()
        for split in ("train", "val", "trainval", "test")
    }
    assert lists["train"] == ["000001", "000002", "000003", "000004", "000005", "000006"]
    assert lists["val"] == ["000007", "000008", "000009"]
    assert lists["trainval"] == lists["train"] + lists["val"]
    assert lists["test"] == ["000010", "000011"]
    assert len(members) == 11 * 2 + 4
    for name in lists["trainval"] + lists["test"]:
        data = members[f"{root}/JPEGImages/{name}.jpg"]
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
        annotation = ElementTree.fromstring(members[f"{root}/Annotations/{name}.xml"])
        assert annotation.findtext("filename") == f"{name}.jpg"
        size = [annotation.findtext(f"size/{side}") for side in ("height", "width", "depth")]
        assert image is not None
        assert tuple(map(int, filter(None, size))) == image.shape
        objects = annotation.findall("object")
        assert objects
        for item in objects:
            assert item.findtext("name") in CLASSES
            assert item.findtext("difficult") in ("0", "1")
            assert item.findtext("truncated") in ("0", "1")
            assert [corner.tag for corner in item.find("bndbox") or ()] == [
                "xmin",
                "ymin",
                "xmax",
                "ymax",
            ]


def test_the_same_recipe_gives_the_same_bytes_whoever_draws(tmp_path: Path) -> None:
    write_tar(tmp_path / "one.tar", detection_members(detection()))
    write_tar(tmp_path / "two.tar", detection_members(detection(), workers=3))
    assert (tmp_path / "one.tar").read_bytes() == (tmp_path / "two.tar").read_bytes()
    alone = list(classification_members(classification()))
    assert list(classification_members(classification(), workers=3)) == alone


def test_seed_split_and_number_each_give_another_picture() -> None:
    first = dict(classification_members(classification()))
    second = dict(classification_members(classification(seed=6)))
    assert first.keys() == second.keys()
    every = [*first.values(), *second.values()]
    assert len(set(every)) == len(every)


def test_more_pictures_leave_the_first_ones_as_they_were() -> None:
    few = dict(detection_members(detection()))
    images = {"train": 9, "val": 3, "test": 2}
    many = dict(detection_members(detection(images=images)))
    name = "VOCdevkit/VOC2007/JPEGImages/000006.jpg"
    assert few[name] == many[name]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"classes": ["circle", "dog"]}, "classes.1"),
        ({"classes": ["circle"]}, "classes"),
        ({"min_side": 200}, "min_side 200 above max_side 96"),
        ({"min_scale": 0.9}, "min_scale 0.9 above max_scale 0.6"),
        ({"max_objects": 0}, "max_objects"),
    ],
)
def test_wrong_recipes_are_refused(change: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        detection(**change)
