"""A scene worked out by hand: one detection of each kind."""

import numpy as np
import pytest

from yolo.evaluation.analysis.error_types import (
    KINDS,
    anatomy,
    fixed,
    kinds,
    missed_by_size,
    similar_classes,
)
from yolo.metrics.voc_ap import Detections, Truth, rank, summarise

CLASSES = ("cat", "chair", "dog")
CAT, CHAIR, DOG = 0, 1, 2
# One image of 200 x 200: two cats, a dog, a chair and a difficult cat, far from each other.
TRUTH = Truth(
    np.zeros(5, int),
    np.array([CAT, CAT, DOG, CHAIR, CAT]),
    np.array(
        [
            [1, 1, 20, 20],
            [101, 1, 120, 20],
            [1, 101, 20, 120],
            [101, 101, 120, 120],
            [181, 181, 200, 200],
        ],
        float,
    ),
    np.array([False, False, False, False, True]),
)
# All called cat, by falling score: the difficult cat, a cat, that cat again, half of the other
# cat (IoU 8 * 20 / 400 = 0.4), the dog, the chair, nothing.
BOXES = np.array(
    [[181, 181, 200, 200], [1, 1, 20, 20], [1, 1, 20, 19], [101, 1, 108, 20],
     [1, 101, 20, 120], [101, 101, 120, 120], [150, 50, 160, 60]], float
)  # fmt: skip
DETECTIONS = Detections(
    np.zeros(7, int), np.full(7, CAT), np.array([0.99, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4]), BOXES
)


def test_each_false_detection_has_its_kind() -> None:
    rankings = rank(DETECTIONS, TRUTH, 3)
    found = kinds(rankings, DETECTIONS, TRUTH, CLASSES)
    names = [KINDS[kind] if kind >= 0 else "" for kind in found[CAT]]
    assert names == ["", "", "localisation", "localisation", "similar", "other", "background"]


def test_the_anatomy_looks_at_as_many_detections_as_there_are_objects() -> None:
    rankings = rank(DETECTIONS, TRUTH, 3)
    found = kinds(rankings, DETECTIONS, TRUTH, CLASSES)
    own = anatomy(rankings[CAT], found[CAT])
    # two cats count; the ignored best detection is passed over
    assert (own.considered, own.correct) == (2, 1)
    assert own.false == {"localisation": 1, "similar": 0, "other": 0, "background": 0}
    assert anatomy(rankings[DOG], found[DOG]).considered == 0


def test_each_repair_gives_the_score_it_should() -> None:
    rankings = rank(DETECTIONS, TRUTH, 3)
    repaired = fixed(rankings, kinds(rankings, DETECTIONS, TRUTH, CLASSES), TRUTH)
    # cats: one of two found first, the other never; dogs and chairs: none
    assert summarise(rankings).voc_map == pytest.approx(0.5 / 3)
    # the second cat is found too, the repeated detection is gone
    assert repaired["localisation"].per_class[CAT].ap == pytest.approx(1.0)
    assert repaired["similar"].per_class[CAT].ap == pytest.approx(0.5)
    # one cat that is found counts
    assert repaired["missed"].per_class[CAT].ap == pytest.approx(1.0)
    # a class of which nothing is found stays at 0
    assert repaired["missed"].voc_map == pytest.approx(1 / 3)


def test_removing_false_detections_before_a_true_one_raises_its_precision() -> None:
    # background 0.9, then the only object: precision 1/2, and 1 without the first
    truth = Truth(np.array([0]), np.array([0]), np.array([[1.0, 1, 9, 9]]), np.array([False]))
    detections = Detections(
        np.zeros(2, int), np.zeros(2, int), np.array([0.9, 0.8]),
        np.array([[50.0, 50, 60, 60], [1, 1, 9, 9]]),
    )  # fmt: skip
    rankings = rank(detections, truth, 1)
    repaired = fixed(rankings, kinds(rankings, detections, truth, ("x",)), truth)
    assert summarise(rankings).voc_map == 0.5
    assert repaired["background"].voc_map == 1.0
    assert repaired["localisation"].voc_map == 0.5


def test_objects_are_counted_by_their_share_of_the_picture() -> None:
    # sides of 20 in 200 x 200: a share of 0.1
    rows = missed_by_size(rank(DETECTIONS, TRUTH, 3), TRUTH, np.array([[200, 200]]), 0.95)
    assert [(row.size, row.objects, row.found, row.shown) for row in rows] == [
        ("small", 0, 0, 0),
        ("medium", 4, 1, 0),
        ("large", 0, 0, 0),
    ]
    assert rows[1].label == "medium (10% to 30%)"


def test_similar_classes_are_those_of_hoiem() -> None:
    similar = similar_classes(("aeroplane", "bird", "boat", "cell", "sofa"))
    assert similar == [{1, 2}, {0}, {0}, set(), set()]
