"""The flat output."""

import pytest
import torch

from yolo.detection.layout import outputs, split

torch.set_num_threads(1)


def test_the_papers_and_the_releases_sizes():
    assert outputs(grid=7, boxes=2, classes=20) == 1470
    assert outputs(grid=7, boxes=3, classes=20) == 1715


def test_parts_lie_one_after_another():
    flat = torch.arange(2.0 * 4 * (3 + 5 * 2)).view(2, -1)
    parts = split(flat, grid=2, boxes=2, classes=3)
    assert parts.classes[0].tolist() == [[0, 1, 2], [3, 4, 5], [6, 7, 8], [9, 10, 11]]
    assert parts.confidence[0].tolist() == [[12, 13], [14, 15], [16, 17], [18, 19]]
    assert parts.coordinates[0, 1].tolist() == [[28, 29, 30, 31], [32, 33, 34, 35]]
    assert parts.classes[1, 0, 0] == 52


def test_another_size_is_an_error_that_says_which():
    with pytest.raises(ValueError, match=r"\(1, 1470\).*3 boxes.*\(images, 1715\)"):
        split(torch.zeros(1, 1470), grid=7, boxes=3, classes=20)
