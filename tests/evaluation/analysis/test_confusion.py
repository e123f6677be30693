"""Who is taken for whom, by hand."""

import numpy as np

from yolo.evaluation.analysis.confusion import confuse
from yolo.metrics.voc_ap import Detections, Truth

LEFT, RIGHT, AWAY = [1.0, 1, 50, 50], [101.0, 1, 150, 50], [201.0, 201, 250, 250]


def truth(*rows: tuple[int, int, list[float], bool]) -> Truth:
    image, label, box, difficult = zip(*rows, strict=True)
    return Truth(np.array(image), np.array(label), np.array(box), np.array(difficult))


def found(*rows: tuple[int, int, float, list[float]]) -> Detections:
    image, label, score, box = zip(*rows, strict=True)
    return Detections(np.array(image), np.array(label), np.array(score), np.array(box))


def test_every_object_and_every_detection_of_none_has_a_place() -> None:
    objects = truth((0, 0, LEFT, False), (0, 1, RIGHT, False), (1, 1, LEFT, False))
    detections = found((0, 0, 0.9, LEFT), (0, 0, 0.8, RIGHT), (1, 1, 0.1, LEFT), (1, 0, 0.7, AWAY))
    result = confuse(detections, objects, 0.2)
    # right; 1 taken for 0; 1 of the second image missed, as 0.1 is not shown; 0 where nothing is
    assert result.matrix(2).tolist() == [[1, 0, 0], [1, 0, 1], [1, 0, 0]]


def test_the_better_of_two_detections_has_the_object() -> None:
    objects = truth((0, 0, LEFT, False))
    same_box = found((0, 1, 0.5, LEFT), (0, 0, 0.9, LEFT))
    assert confuse(same_box, objects, 0.2).matrix(2).tolist() == [[1, 0, 0], [0, 0, 0], [0, 1, 0]]
    nearer = found((0, 1, 0.5, LEFT), (0, 0, 0.9, [1.0, 1, 50, 40]))
    assert confuse(nearer, objects, 0.2).matrix(2).tolist() == [[0, 1, 0], [0, 0, 0], [1, 0, 0]]


def test_difficult_objects_are_left_out() -> None:
    objects = truth((0, 0, LEFT, True), (0, 0, RIGHT, True))
    assert confuse(found((0, 1, 0.9, LEFT)), objects, 0.2).matrix(2).sum() == 0


def test_nothing_at_all_is_an_empty_table() -> None:
    none = np.zeros(0, np.int64)
    result = confuse(
        Detections(none, none, np.zeros(0), np.zeros((0, 4))),
        Truth(none, none, np.zeros((0, 4)), np.zeros(0, bool)),
        0.2,
    )
    assert result.matrix(3).sum() == 0
