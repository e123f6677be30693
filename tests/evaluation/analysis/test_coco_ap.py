"""COCO's average precision, against values worked out by hand."""

import numpy as np
import pytest

from yolo.evaluation.analysis.coco_ap import MOST_DETECTIONS, score
from yolo.metrics.voc_ap import Detections, Truth


def truth(images: int = 4, difficult: tuple[int, ...] = ()) -> Truth:
    """An object of class 0 and one of class 1 in each image, 100 x 100 pixels."""
    image = np.repeat(np.arange(images), 2)
    box = np.tile([[11.0, 21, 110, 120], [201, 21, 300, 120]], (images, 1))
    flags = np.isin(np.arange(2 * images), difficult)
    return Truth(image, np.tile([0, 1], images), box, flags)


def found(of: Truth, shift: float = 0.0) -> Detections:
    """Each object, its box moved to the right."""
    scores = np.linspace(0.9, 0.1, len(of.image))
    return Detections(of.image, of.label, scores, of.box + np.array([shift, 0, shift, 0]))


def without_boxes() -> Detections:
    none = np.zeros(0, np.int64)
    return Detections(none, none, np.zeros(0), np.zeros((0, 4)))


def test_the_truth_scores_one_and_nothing_scores_zero() -> None:
    best, worst = score(found(truth()), truth(), 2), score(without_boxes(), truth(), 2)
    assert (best.map, best.map50, best.map75) == (1, 1, 1)
    assert (worst.map, worst.map50, worst.map75) == (0, 0, 0)
    np.testing.assert_array_equal(worst.ap, [0, 0])


@pytest.mark.parametrize(
    # of 100 pixels 100 - s are shared: IoU = (100 - s) / (100 + s)
    ("shift", "share", "at_75"),
    [(10, 0.7, 1.0), (20, 0.4, 0.0), (50, 0.0, 0.0)],  # IoU 0.818, 0.667, 0.333
)
def test_a_shifted_box_is_right_up_to_its_overlap(shift: float, share: float, at_75: float) -> None:
    scores = score(found(truth(), shift), truth(), 2)
    assert scores.map == pytest.approx(share)
    assert scores.map50 == (1.0 if share else 0.0)
    assert scores.map75 == at_75


def test_inclusive_pixels_are_counted() -> None:
    """A box of 1 pixel and one of 2 x 1 that holds it: IoU 1/2, not 0/1."""
    one = Truth(np.array([0]), np.array([0]), np.array([[5.0, 5, 5, 5]]), np.array([False]))
    two = Detections(np.array([0]), np.array([0]), np.ones(1), np.array([[5.0, 5, 6, 5]]))
    scores = score(two, one, 1)
    assert scores.map50 == 1
    assert scores.map == pytest.approx(0.1)


def test_a_difficult_object_is_neither_missed_nor_found() -> None:
    partly = truth(difficult=(0, 1))
    hit, passed_over = found(partly), found(truth())
    rest = ~partly.difficult
    fewer = Detections(*(column[rest] for column in (hit.image, hit.label, hit.score, hit.box)))
    assert score(passed_over, partly, 2).map == score(fewer, partly, 2).map == 1


def test_a_class_without_positives_is_undefined_and_left_out() -> None:
    scores = score(found(truth()), truth(), 3)
    assert np.isnan(scores.ap[2])
    assert scores.map == 1
    only_difficult = score(found(truth()), truth(difficult=tuple(range(0, 8, 2))), 2)
    assert np.isnan(only_difficult.ap[0])
    assert only_difficult.map == only_difficult.ap[1] == 1
    nothing = Truth(*(column[:0] for column in vars(truth()).values()))
    assert np.isnan(score(found(truth()), nothing, 2).map)


def test_a_false_detection_above_a_true_one_halves_the_precision() -> None:
    one = Truth(np.array([0]), np.array([0]), np.array([[1.0, 1, 50, 50]]), np.array([False]))
    two = Detections(
        np.array([0, 0]),
        np.array([0, 0]),
        np.array([0.9, 0.8]),
        np.array([[101.0, 101, 150, 150], [1, 1, 50, 50]]),
    )
    assert score(two, one, 1).map == pytest.approx(0.5)


def test_images_without_objects_count() -> None:
    one = Truth(np.array([0]), np.array([0]), np.array([[1.0, 1, 50, 50]]), np.array([False]))
    two = Detections(
        np.array([7, 0]), np.array([0, 0]), np.array([0.9, 0.8]), np.tile(one.box, (2, 1))
    )
    assert score(two, one, 1).map == pytest.approx(0.5)


def test_the_best_hundred_of_an_image_and_class_count() -> None:
    one = Truth(np.array([0]), np.array([0]), np.array([[1.0, 1, 50, 50]]), np.array([False]))
    count = MOST_DETECTIONS + 1
    boxes = np.tile([[101.0, 101, 150, 150]], (count, 1))
    boxes[-1] = one.box
    zeros = np.zeros(count, np.int64)
    assert score(Detections(zeros, zeros, np.linspace(1, 0.1, count), boxes), one, 1).map == 0
