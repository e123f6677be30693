"""Paired differences."""

import numpy as np
import pytest

from yolo.evaluation.analysis.comparison import compare
from yolo.metrics.voc_ap import Detections, Truth


def test_a_better_detector_is_better_and_itself_is_not() -> None:
    image = np.arange(60)
    box = np.tile([10.0, 10, 40, 40], (60, 1))
    truth = Truth(image, image % 2, box, np.zeros(60, bool))
    full = Detections(image, truth.label, np.linspace(0.9, 0.5, 60), box)
    part = Detections(*(column[::3] for column in (image, truth.label, full.score, box)))

    same = compare(full, full, truth, 60, ("a", "b")).voc_map
    assert same.difference == 0
    assert same.interval == (0, 0)

    # every third object of each class found, all of them right: AP 1/3 against 1
    better = compare(part, full, truth, 60, ("a", "b")).voc_map
    assert better.a == pytest.approx(1 / 3)
    assert better.b == pytest.approx(1.0)
    assert better.difference == pytest.approx(2 / 3)
    assert 0.5 < better.interval[0] < 2 / 3 < better.interval[1] < 0.8
