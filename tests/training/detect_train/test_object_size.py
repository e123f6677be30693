"""The input size that is advised for small objects."""

import re

import pytest

from yolo.data.store.clean_set import DETECTION_SCHEMA, Split, Writer
from yolo.training.detect_train.object_size import SMALL, advice, object_sides

CLASSES = ("large", "small")


def split_of(path, objects):
    """One image of 200 x 100 pixels: (label, width, height, difficult) of each object."""
    with Writer(path, DETECTION_SCHEMA) as writer:
        writer.append(
            {
                "name": "image",
                "image": b"",
                "width": 200,
                "height": 100,
                "boxes": [[1, 1, width, height] for _, width, height, _ in objects],
                "labels": [label for label, *_ in objects],
                "difficult": [difficult for *_, difficult in objects],
                "truncated": [False] * len(objects),
            }
        )
    return Split(path)


def test_a_small_class_is_named_with_the_input_size_that_shows_it(tmp_path):
    # of the image's area: 20 * 10 / (200 * 100) = 0.01, so a side of 0.1: 16 pixels at 160
    objects = [(1, 20, 10, False)] * 3 + [(0, 150, 90, False)] * 50
    found = advice(split_of(tmp_path / "a.arrow", objects), CLASSES, 160, 10)
    assert found is not None
    assert found.startswith("half of the objects of class small are smaller than 16 pixels")
    # 22 pixels need a side of 220, the next whole number of cells of 16 pixels is 14
    assert "model.input_size 224 with model.grid 14" in found
    assert "2.0 times the training time" in found


@pytest.mark.parametrize("grid", [7, 14, 20])
def test_the_size_advised_is_one_at_which_nothing_is_advised(tmp_path, grid):
    split = split_of(tmp_path / "a.arrow", [(1, 9, 9, False)])
    found = advice(split, CLASSES, 16 * grid, grid)
    assert found is not None
    match = re.search(r"model.input_size (\d+) with model.grid (\d+)", found)
    assert match is not None
    size, cells = map(int, match.groups())
    assert size == 16 * cells
    assert advice(split, CLASSES, size, cells) is None
    assert advice(split, CLASSES, size - 16, cells - 1) is not None


def test_large_difficult_and_no_objects_are_no_reason_for_advice(tmp_path):
    large = int(SMALL) + 1  # at an input size of 200 x 200 it is taller than that
    split = split_of(tmp_path / "a.arrow", [(0, large, large, False), (1, 2, 2, True)])
    assert advice(split, CLASSES, 200, 10) is None
    assert advice(split_of(tmp_path / "b.arrow", []), CLASSES, 200, 10) is None


def test_of_many_images_some_are_looked_at_from_the_first_to_the_last(tmp_path):
    with Writer(tmp_path / "a.arrow", DETECTION_SCHEMA) as writer:
        for number in range(10):
            record = {"name": str(number), "image": b"", "width": 100, "height": 100}
            box = [[1, 1, 10, 10]]
            objects = {"labels": [number], "difficult": [False], "truncated": [False]}
            writer.append(record | {"boxes": box} | objects)
    split = Split(tmp_path / "a.arrow")
    assert object_sides(split)[1].tolist() == list(range(10))
    assert object_sides(split, most=5)[1].tolist() == [0, 2, 4, 6, 8]
