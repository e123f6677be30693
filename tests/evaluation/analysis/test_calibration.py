"""Scores against precision."""

import numpy as np
import pytest

from yolo.evaluation.analysis.calibration import calibrate
from yolo.metrics.voc_ap import Detections, Truth, rank


def test_bins_hold_means_and_ignored_detections_do_not_count() -> None:
    box = np.array([[1.0, 1, 9, 9], [21, 21, 29, 29], [41, 41, 49, 49]])
    truth = Truth(np.zeros(3, int), np.zeros(3, int), box, np.array([False, False, True]))
    # 0.95 and 0.85 true, 0.81 false (nothing there), 0.3 difficult, 1.2 false
    boxes = np.array([*box[:2], [61, 61, 70, 70], box[2], [81, 81, 90, 90]])
    scores = np.array([0.95, 0.85, 0.81, 0.3, 1.2])
    detections = Detections(np.zeros(5, int), np.zeros(5, int), scores, boxes)
    own = calibrate(rank(detections, truth, 1))
    assert own.count.tolist() == [0] * 8 + [2, 2]
    assert own.score[8:].tolist() == pytest.approx([0.83, 0.975])
    assert own.precision[8:].tolist() == [0.5, 0.5]
    assert own.error == pytest.approx((0.33 * 2 + 0.475 * 2) / 4)


def test_without_detections_nothing_is_wrong() -> None:
    none = Detections(np.zeros(0, int), np.zeros(0, int), np.zeros(0), np.zeros((0, 4)))
    truth = Truth(np.zeros(1, int), np.zeros(1, int), np.ones((1, 4)), np.zeros(1, bool))
    own = calibrate(rank(none, truth, 1))
    assert own.error == 0
    assert own.count.sum() == 0
