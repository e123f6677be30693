"""Boxes under augmentation against the original's numbers, and against the images."""

import json

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from yolo.data.loading import augment
from yolo.data.loading.augment import Crop
from yolo.detection.targets import encode
from yolo.training.detect_train.augment_boxes import from_voc, move_boxes

torch.set_num_threads(1)
CASES = range(12)


@pytest.fixture(scope="module")
def fixtures(original):
    with np.load(original / "target_encode.npz") as file:
        return [
            (case, file[f"c{number}_boxes"], file[f"c{number}_truth"])
            for number, case in enumerate(json.loads(str(file["meta"])))
        ]


@pytest.mark.parametrize("number", CASES)
def test_moved_and_encoded_boxes_are_the_originals(fixtures, number):
    case, boxes, truth = fixtures[number]
    width, height = case["orig_w"], case["orig_h"]
    crop = Crop(
        case["pleft"],
        case["ptop"],
        width - case["pleft"] - case["pright"],
        height - case["ptop"] - case["pbot"],
    )
    moved = move_boxes(boxes, crop, width, height, bool(case["flip"]))
    assert len(boxes) - len(moved) == case["n_dropped"]
    # of two boxes in one cell the original keeps a random one
    orders = (moved, moved[::-1]) if case["collision"] else (moved,)
    found = [
        encode(torch.from_numpy(order.copy()), grid=case["S"], classes=case["C"]).numpy()
        for order in orders
    ]
    for row, column in np.ndindex(case["S"], case["S"]):
        differences = [np.abs(grid[row, column] - truth[row, column]).max() for grid in found]
        assert min(differences) <= 2e-6


def test_a_move_by_hand():
    # 200 x 100 image; the crop is its right half, without the top fifth
    crop = Crop(100, 20, 100, 80)
    boxes = np.float32([[3, 0.75, 0.6, 0.2, 0.4]])  # x 130..170, y 40..80
    kept = move_boxes(boxes, crop, 200, 100, flip=False)
    assert kept == pytest.approx(np.array([[3, 0.5, 0.5, 0.4, 0.5]]))
    boxes = np.float32([[3, 0.5, 0.6, 0.2, 0.4]])  # x 80..120: a part of it is outside
    assert move_boxes(boxes, crop, 200, 100, flip=False) == pytest.approx(
        np.array([[3, 0.1, 0.5, 0.2, 0.5]])
    )
    assert move_boxes(boxes, crop, 200, 100, flip=True) == pytest.approx(
        np.array([[3, 0.9, 0.5, 0.2, 0.5]])
    )


def test_boxes_outside_and_slivers_are_left_out_with_their_class():
    boxes = np.float32(
        [
            [0, 0.1, 0.5, 0.1, 0.5],  # left of the crop
            [1, 0.75, 0.5, 0.1, 0.5],
            [2, 0.4995, 0.5, 0.005, 0.5],  # a sliver of .002 is inside, .004 of the crop
            [3, 0.6, 0.5, 0.1, 0.004],
        ]
    )
    moved = move_boxes(boxes, Crop(50, 0, 50, 100), 100, 100, flip=False)
    assert moved[:, 0].tolist() == [1]


def test_no_boxes_stay_none():
    assert move_boxes(np.zeros((0, 5), np.float32), Crop(0, 0, 9, 9), 9, 9, True).shape == (0, 5)
    assert from_voc(np.zeros((0, 4)), np.zeros(0), 9, 9).shape == (0, 5)


@settings(max_examples=100, deadline=None)
@given(
    count=st.integers(0, 12),
    width=st.integers(50, 600),
    height=st.integers(50, 600),
    flips=st.tuples(st.booleans(), st.booleans()),
    seed=st.integers(0, 2**32 - 1),
)
def test_each_box_that_is_left_has_the_class_of_its_source(count, width, height, flips, seed):
    rng = np.random.default_rng(seed)
    low = rng.uniform(0, 0.9, (count, 2))
    high = low + rng.uniform(0.002, 1 - low, (count, 2))
    # the class is the row's number, so that it says where a row comes from
    boxes = np.column_stack([np.arange(count), (low + high) / 2, high - low]).astype(np.float32)
    crop = augment.draw_crop(rng, width, height, jitter=0.2)
    moved = move_boxes(boxes, crop, width, height, *flips)
    assert (np.diff(moved[:, 0]) > 0).all()

    # the same in pixels and float64, one box at a time
    size, origin = np.array([crop.width, crop.height]), np.array([crop.left, crop.top])
    expected, doubtful = {}, set()
    for label, start, end in zip(range(count), low, high, strict=True):
        a, b = ((corner * (width, height) - origin) / size for corner in (start, end))
        for axis, is_mirrored in enumerate(flips):
            if is_mirrored:
                a[axis], b[axis] = 1 - b[axis], 1 - a[axis]
        a, b = a.clip(0, 1), b.clip(0, 1)
        if np.abs(b - a - 0.005).min() < 1e-5:
            doubtful.add(label)
        elif (b - a >= 0.005).all():
            expected[label] = [*(a + b) / 2, *b - a]
    found = {int(row[0]): row[1:] for row in moved}
    assert found.keys() - doubtful == expected.keys()
    for label, box in expected.items():
        np.testing.assert_allclose(found[label], box, atol=2e-6)


@settings(max_examples=40, deadline=None)
@given(flips=st.tuples(st.booleans(), st.booleans()), seed=st.integers(0, 2**32 - 1))
def test_a_box_moves_with_its_image(flips, seed):
    rng = np.random.default_rng(seed)
    width, height, size = 200, 160, 224
    left, top = rng.integers(45, 90), rng.integers(40, 70)
    right, bottom = left + rng.integers(20, 60), top + rng.integers(20, 40)
    image = np.zeros((height, width, 3), np.uint8)
    image[top:bottom, left:right] = 255
    rows = from_voc(np.array([[left + 1, top + 1, right + 1, bottom + 1]]), [7], width, height)
    crop = augment.draw_crop(rng, width, height, jitter=0.2)
    ((_, cx, cy, w, h),) = move_boxes(rows, crop, width, height, *flips)
    seen = augment.warp(image, crop, size, *flips)[..., 0] > 127
    columns, lines = np.flatnonzero(seen.any(0)), np.flatnonzero(seen.any(1))
    painted = np.array([columns[0], lines[0], columns[-1] + 1, lines[-1] + 1])
    box = np.array([cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2]) * size
    # a box ends on pixel edges, a resized image on pixel centres
    assert np.abs(painted - box).max() <= 2


def test_voc_pixels_by_hand():
    # voc_label.py: x = ((101 + 301) / 2 - 1) / 500, w = (301 - 101) / 500
    rows = from_voc(np.array([[101, 51, 301, 151]]), np.array([4]), 500, 400)
    assert rows.dtype == np.float32
    assert rows == pytest.approx(np.array([[4, 0.4, 0.25, 0.4, 0.25]]))


def test_detections_go_the_exact_way_back():
    to_pixels = pytest.importorskip("yolo.model.detector.predict").to_pixels
    boxes = np.float32([[101, 51, 301, 151], [1, 1, 500, 400], [17, 3, 18, 399]])
    rows = from_voc(boxes, np.zeros(3), 500, 400)
    np.testing.assert_allclose(to_pixels(rows[:, 1:], 500, 400), boxes, atol=1e-3)
