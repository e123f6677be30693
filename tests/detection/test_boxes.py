"""Overlap and distance of boxes."""

import numpy as np
import pytest
import torch
from darknet_layer import box_iou, box_rmse
from hypothesis import given
from hypothesis import strategies as st

from yolo.detection.boxes import iou, rmse

torch.set_num_threads(1)


@pytest.mark.parametrize(
    ("first", "second", "overlap"),
    [
        ((0, 0, 2, 2), (0, 0, 2, 2), 1.0),
        ((0.5, 0.5, 1, 1), (0.25, 0.5, 0.5, 1), 0.5),
        # squares of side 2 that share one of side 1: 1 / (4 + 4 - 1)
        ((0, 0, 2, 2), (1, 1, 2, 2), 1 / 7),
        # edges touch: continuous coordinates, no pixel in common
        ((0, 0, 2, 2), (2, 0, 2, 2), 0.0),
        ((0, 0, 2, 2), (5, 5, 2, 2), 0.0),
        ((0, 0, 2, 2), (0, 0, 0, 0), 0.0),
        ((0, 0, 0, 0), (0, 0, 0, 0), 0.0),
        ((0, 0, -1, 1), (0, 0, 1, 1), 0.0),
        ((float("nan"), 0, 1, 1), (0, 0, 1, 1), 0.0),
    ],
)
def test_iou_by_hand(first, second, overlap):
    boxes = torch.tensor(first, dtype=torch.float32), torch.tensor(second, dtype=torch.float32)
    assert iou(*boxes).item() == pytest.approx(overlap)
    assert iou(*reversed(boxes)).item() == pytest.approx(overlap)


def test_rmse_is_the_root_of_the_sum():
    # box_rmse takes no mean, whatever its name says
    assert rmse(torch.tensor([3.0, 0, 2, 1]), torch.tensor([0.0, 4, 2, 1])).item() == 5


def test_boxes_broadcast():
    boxes = torch.rand(4, 4, generator=torch.Generator().manual_seed(0))
    assert iou(boxes[:, None], boxes).shape == (4, 4)
    np.testing.assert_allclose(iou(boxes[:, None], boxes).diagonal(), np.ones(4), rtol=1e-5)


number = st.floats(-3, 3, width=32)
size = st.floats(0, 3, width=32)
box = st.tuples(number, number, size, size)


@given(box, box)
def test_measures_are_the_originals(first, second):
    a, b = np.float32(first), np.float32(second)
    found = iou(torch.from_numpy(a), torch.from_numpy(b)).item()
    with np.errstate(under="ignore"):
        assert found == pytest.approx(box_iou(a, b), abs=1e-6)
    assert 0 <= found <= 1 + 1e-5
    assert rmse(torch.from_numpy(a), torch.from_numpy(b)).item() == pytest.approx(
        box_rmse(a, b), rel=1e-6, abs=1e-20
    )
