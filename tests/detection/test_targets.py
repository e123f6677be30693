"""Truth grids."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from waiting import waits

from yolo.detection.targets import encode, encode_batch

torch.set_num_threads(1)


def test_a_grid_by_hand():
    truth = encode(torch.tensor([[2.0, 0.5, 0.875, 0.25, 0.125]]), grid=4, classes=3)
    assert truth.shape == (4, 4, 8)
    # column .5 * 4 = 2, row .875 * 4 = 3.5
    assert truth[3, 2].tolist() == [1, 0, 0, 1, 0, 0.5, 0.25, 0.125]
    assert truth.count_nonzero() == 5


def test_the_first_row_of_a_cell_wins():
    rows = torch.tensor([[1.0, 0.5, 0.5, 0.1, 0.1], [0.0, 0.51, 0.49, 0.2, 0.2]])
    for first in (rows, rows.flip(0)):
        truth = encode(first, grid=1, classes=2)
        assert truth[0, 0, 1 + int(first[0, 0])] == 1
        assert truth[0, 0, 1:3].sum() == 1
        assert truth[0, 0, 5] == first[0, 3]


def test_a_generator_makes_the_winner_random():
    rows = torch.tensor([[float(label), 0.5, 0.5, 0.1, 0.1] for label in range(4)])
    generator = torch.Generator().manual_seed(0)
    winners = [
        encode(rows, grid=1, classes=4, generator=generator)[0, 0, 1:5].argmax().item()
        for _ in range(400)
    ]
    counts = np.bincount(winners, minlength=4)
    # 100 each, standard deviation 8.7
    assert (abs(counts - 100) < 45).all()


def test_small_boxes_are_no_targets_and_hide_none():
    rows = torch.tensor(
        [[0.0, 0.5, 0.5, 0.004, 0.5], [0.0, 0.5, 0.5, 0.5, 0.0], [1.0, 0.5, 0.5, 0.006, 0.006]]
    )
    assert encode(rows[:2], grid=2, classes=2).count_nonzero() == 0
    assert encode(rows, grid=2, classes=2)[1, 1, :3].tolist() == [1, 0, 1]


def test_no_boxes_are_an_empty_grid():
    assert not encode(torch.zeros(0, 5), grid=3, classes=2).any()
    assert encode_batch(torch.zeros(0, 6), images=2, grid=3, classes=2).shape == (2, 3, 3, 7)


@pytest.mark.parametrize("label", [2.0, -1.0, 0.5])
def test_an_unknown_class_is_named(label):
    rows = torch.tensor([[0.0, 0.5, 0.5, 0.1, 0.1], [label, 0.5, 0.5, 0.1, 0.1]])
    with pytest.raises(ValueError, match=rf"row 1 .* class {label:g}; allowed: 0 to 1"):
        encode(rows, grid=2, classes=2)


def test_rows_of_another_width_are_an_error():
    with pytest.raises(ValueError, match="class, cx, cy, w, h"):
        encode(torch.zeros(3, 4), grid=2, classes=2)


def fill_truth(rows, grid, classes):
    """data.c: fill_truth_region, box by box."""
    truth = np.zeros((grid, grid, 5 + classes), np.float32)
    for label, x, y, w, h in rows.tolist():
        if w < 0.005 or h < 0.005:
            continue
        x, y = np.float32(x) * grid, np.float32(y) * grid
        column, row = min(int(x), grid - 1), min(int(y), grid - 1)
        if truth[row, column, 0]:
            continue
        truth[row, column, 0] = truth[row, column, 1 + int(label)] = 1
        truth[row, column, -4:] = x - column, y - row, w, h
    return truth


@settings(max_examples=50, deadline=None)
@given(
    images=st.integers(1, 4),
    grid=st.integers(1, 9),
    classes=st.integers(1, 20),
    count=st.integers(0, 30),
    seed=st.integers(0, 2**32 - 1),
)
def test_a_batch_is_its_images_filled_box_by_box(images, grid, classes, count, seed):
    rng = np.random.default_rng(seed)
    rows = np.column_stack(
        [
            rng.integers(0, images, count),
            rng.integers(0, classes, count),
            rng.uniform(0, 1, (count, 2)),
            rng.choice([0.001, 0.01, 0.3, 1.0], (count, 2)),
        ]
    ).astype(np.float32)
    truths = encode_batch(torch.from_numpy(rows), images, grid, classes).numpy()
    for image, truth in enumerate(truths):
        expected = fill_truth(rows[rows[:, 0] == image, 1:], grid, classes)
        np.testing.assert_array_equal(truth, expected)


def test_a_batch_does_not_wait_for_the_device():
    rows = torch.rand(6, 6)
    assert not waits(lambda: encode_batch(rows, images=1, grid=3, classes=2))
