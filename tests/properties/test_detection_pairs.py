"""Targets and predictions, pixels and shares, moves and moves back: what must undo each other."""

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from yolo.data.loading.augment import Crop
from yolo.detection.decode import detections
from yolo.detection.layout import outputs, split
from yolo.detection.targets import encode
from yolo.model.detector.predict import to_pixels
from yolo.training.detect_train.augment_boxes import from_voc, move_boxes

torch.set_num_threads(1)


@st.composite
def grids(draw: st.DrawFn) -> tuple[int, int, int, np.ndarray]:
    """S, B, C and rows class, cx, cy, w, h whose centres lie in cells of their own."""
    grid, boxes, classes = draw(st.integers(1, 9)), draw(st.integers(1, 3)), draw(st.integers(1, 5))
    cells = draw(st.lists(st.integers(0, grid * grid - 1), unique=True, max_size=8))
    inside = st.floats(0.01, 0.99)
    rows = [
        (
            draw(st.integers(0, classes - 1)),
            (cell % grid + draw(inside)) / grid,
            (cell // grid + draw(inside)) / grid,
            draw(st.floats(0.01, 1)),
            draw(st.floats(0.01, 1)),
        )
        for cell in cells
    ]
    return grid, boxes, classes, np.array(rows, np.float32).reshape(-1, 5)


@given(grids())
def test_a_network_that_predicts_its_targets_finds_each_box(case) -> None:
    grid, boxes, classes, rows = case
    truth = encode(torch.from_numpy(rows), grid=grid, classes=classes).reshape(grid * grid, -1)
    prediction = torch.zeros(1, outputs(grid=grid, boxes=boxes, classes=classes))
    parts = split(prediction, grid=grid, boxes=boxes, classes=classes)
    parts.classes[0] = truth[:, 1 : 1 + classes]
    # The last box of each cell predicts; the others predict nothing.
    parts.confidence[0, :, -1] = truth[:, 0]
    parts.coordinates[0, :, -1] = torch.cat((truth[:, -4:-2], truth[:, -2:].sqrt()), dim=1)
    [found] = detections(
        prediction, grid=grid, boxes=boxes, classes=classes, iou_threshold=1.0, score_threshold=0.5
    )
    assert found.scores.tolist() == [1.0] * len(rows)
    decoded = torch.cat((found.labels[:, None].float(), found.boxes), dim=1).numpy()
    np.testing.assert_allclose(_sorted(decoded), _sorted(rows), atol=1e-6)


def _sorted(rows: np.ndarray) -> np.ndarray:
    return rows[np.lexsort(rows.round(4).T)]


@st.composite
def annotated(draw: st.DrawFn) -> tuple[int, int, np.ndarray]:
    """Width, height, and boxes in whole pixels of VOC."""
    width, height = draw(st.integers(2, 4000)), draw(st.integers(2, 4000))
    boxes = []
    for _ in range(draw(st.integers(0, 5))):
        x = sorted(draw(st.lists(st.integers(1, width), min_size=2, max_size=2)))
        y = sorted(draw(st.lists(st.integers(1, height), min_size=2, max_size=2)))
        boxes.append((x[0], y[0], x[1], y[1]))
    return width, height, np.array(boxes, np.float32).reshape(-1, 4)


@given(annotated())
def test_pixels_become_shares_and_pixels_again(case) -> None:
    width, height, boxes = case
    rows = from_voc(boxes, np.zeros(len(boxes)), width, height)
    np.testing.assert_allclose(to_pixels(rows[:, 1:], width, height), boxes, atol=2e-3)


@given(annotated(), st.booleans(), st.booleans())
def test_a_flip_undoes_itself(case, flip: bool, vertical: bool) -> None:
    width, height, boxes = case
    rows = from_voc(boxes, np.arange(len(boxes)), width, height)
    whole = Crop(0, 0, width, height)
    kept = move_boxes(rows, whole, width, height, flip=False)
    once = move_boxes(kept, whole, width, height, flip, vertical)
    twice = move_boxes(once, whole, width, height, flip, vertical)
    np.testing.assert_allclose(twice, kept, atol=1e-6)


@given(annotated(), st.data())
def test_a_crop_of_a_crop_is_one_crop(case, data: st.DataObject) -> None:
    width, height, boxes = case
    rows = from_voc(boxes, np.arange(len(boxes)), width, height)
    first = _crop(data, width, height)
    second = _crop(data, first.width, first.height)
    direct = Crop(first.left + second.left, first.top + second.top, second.width, second.height)
    moved = move_boxes(rows, first, width, height, flip=False)
    moved = move_boxes(moved, second, first.width, first.height, flip=False)
    expected = {row[0]: row for row in move_boxes(rows, direct, width, height, flip=False)}
    for row in moved:
        # A box that the first crop clips to less than the smallest size is gone for good.
        if row[0] in expected:
            np.testing.assert_allclose(row, expected[row[0]], atol=1e-3)
        else:
            assert min(row[3:]) < 0.006


def _crop(data: st.DataObject, width: int, height: int) -> Crop:
    left, top = data.draw(st.integers(0, width - 1)), data.draw(st.integers(0, height - 1))
    return Crop(
        left, top, data.draw(st.integers(1, width - left)), data.draw(st.integers(1, height - top))
    )
