"""Which images are shown."""

import numpy as np

from yolo.evaluation.analysis.image_ranking import PerImage, choose, per_image
from yolo.metrics.voc_ap import Detections, Truth, rank


def test_images_are_counted_above_the_threshold() -> None:
    box = np.array([[1.0, 1, 9, 9], [21, 21, 29, 29], [1, 1, 9, 9]])
    truth = Truth(np.array([0, 0, 1]), np.zeros(3, int), box, np.array([False, False, True]))
    moved = box + np.array([[0], [0], [50]])
    detections = Detections(np.array([0, 0, 1]), np.zeros(3, int), np.array([0.9, 0.2, 0.8]), moved)
    counts = per_image(rank(detections, truth, 1), truth, 3, 0.2)
    assert counts.true.tolist() == [1, 0, 0]
    assert counts.false.tolist() == [0, 1, 0]
    assert counts.missed.tolist() == [1, 0, 0]
    assert counts.f1.tolist() == [2 / 3, 0.0, 1.0]


def test_kinds_are_disjoint_and_the_sample_is_spread_over_the_rest() -> None:
    true = np.array([3, 1, 0, 0, 2, 1, 1, 1])
    false = np.array([0, 0, 5, 1, 0, 0, 0, 0])
    missed = np.array([0, 0, 0, 1, 4, 0, 0, 0])
    chosen = choose(PerImage(true, false, missed), 4)
    assert chosen == {"sample": [1], "best": [0], "missed": [4], "worst": [2]}
    assert choose(PerImage(true, false, missed), 0)["sample"] == []
    everything = choose(PerImage(true, false, missed), 100)
    assert sorted(image for images in everything.values() for image in images) == list(range(8))


def test_a_perfect_result_has_no_worst_pictures() -> None:
    ones, none = np.ones(10, int), np.zeros(10, int)
    chosen = choose(PerImage(ones, none, none), 8)
    assert chosen["worst"] == chosen["missed"] == []
    assert len(chosen["best"]) == 2
    assert chosen["sample"][0] == 2 and chosen["sample"][-1] == 9
    assert len(chosen["sample"]) == 6
