"""COCO's average precision, against values worked out by hand and against faster-coco-eval."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from yolo.evaluation.analysis import bootstrap, coco_ap
from yolo.evaluation.analysis.coco_ap import MOST_DETECTIONS, CocoScores, match
from yolo.metrics.voc_ap import Detections, Truth

CLASSES = 3


def score(detections: Detections, truth: Truth, classes: int) -> CocoScores:
    images = int(max(detections.image.max(initial=0), truth.image.max(initial=0))) + 1
    return coco_ap.score(match(detections, truth), truth, classes, images)


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


def library_scores(detections: Detections, truth: Truth) -> list[float]:
    """AP over all IoUs, at 0.5 and at 0.75, by faster-coco-eval."""
    from faster_coco_eval import COCO, COCOeval_faster

    def from_zero(box: np.ndarray) -> list[list[float]]:
        return np.concatenate([box[:, :2] - 1, box[:, 2:] - box[:, :2] + 1], axis=1).tolist()

    objects = zip(
        truth.image.tolist(),
        truth.label.tolist(),
        from_zero(truth.box),
        truth.difficult.tolist(),
        strict=True,
    )
    known = COCO(
        {
            "images": [{"id": i} for i in np.union1d(truth.image, detections.image).tolist()],
            "categories": [{"id": label} for label in range(CLASSES)],
            # the library reads the number 0 as "no object"
            "annotations": [
                {
                    "id": number,
                    "image_id": image,
                    "category_id": label,
                    "bbox": box,
                    "area": box[2] * box[3],
                    "iscrowd": int(difficult),
                }
                for number, (image, label, box, difficult) in enumerate(objects, 1)
            ],
        }
    )
    results = zip(
        detections.image.tolist(),
        detections.label.tolist(),
        detections.score.tolist(),
        from_zero(detections.box),
        strict=True,
    )
    found = known.loadRes(
        [
            {"image_id": image, "category_id": label, "score": score, "bbox": box}
            for image, label, score, box in results
        ]
    )
    evaluation = COCOeval_faster(known, found, "bbox")
    evaluation.params.maxDets = [MOST_DETECTIONS]
    evaluation.params.areaRng, evaluation.params.areaRngLbl = [[0, 1e10]], ["all"]
    evaluation.evaluate()
    evaluation.accumulate()
    # (IoUs, recalls, classes); -1 for a class without objects
    table = np.asarray(evaluation.eval["precision"], dtype=np.float64)[..., 0, 0]
    by_iou = np.nanmean(np.where(table == -1, np.nan, table).mean(axis=1), axis=1)
    return [float(by_iou.mean()), float(by_iou[0]), float(by_iou[5])]


def crowded(
    seed: int, difficult: int = 10, objects: tuple[int, int] = (47, 39)
) -> tuple[Detections, Truth, int]:
    """Twelve images whose objects overlap, each found several times, and some that are nothing."""
    rng = np.random.default_rng(seed)
    count = sum(objects)
    corner = rng.uniform(1, 60, (count, 2))
    box = np.concatenate([corner, corner + rng.uniform(20, 60, (count, 2))], axis=1)
    image = np.sort(rng.integers(0, 12, count))
    label = rng.permutation([0] * objects[0] + [1] * objects[1])
    flags = np.zeros(count, bool)
    for own in (np.flatnonzero(label == 0), np.flatnonzero(label == 1)):
        flags[own[:difficult]] = True
    truth = Truth(image, label, box, flags)
    source = np.sort(rng.integers(0, count, 400))
    moved = box[source] + rng.normal(0, 5, (400, 4))
    scores = rng.permutation(400) / 400
    return Detections(image[source], rng.integers(0, CLASSES, 400), scores, moved), truth, 12


def resampled(detections: Detections, truth: Truth, weights: np.ndarray) -> np.ndarray:
    """(R, 3) AP over all IoUs, at 0.5 and at 0.75."""
    found = coco_ap.resample(match(detections, truth), truth, CLASSES, weights)
    return np.stack([found.map, found.map50, found.map75], axis=1)


@pytest.mark.parametrize("objects", [(47, 39), (110, 60), (35, 20)])
@pytest.mark.parametrize("difficult", [0, 10])
@pytest.mark.parametrize("seed", range(5))
def test_scores_are_the_librarys(seed: int, difficult: int, objects: tuple[int, int]) -> None:
    """Also where recalls equal COCO's thresholds but for rounding (100, 50, 25, 20 objects)."""
    detections, truth, images = crowded(seed, difficult, objects)
    found = coco_ap.score(match(detections, truth), truth, CLASSES, images)
    assert 0.02 < found.map < found.map50 < 0.95
    assert np.isnan(found.ap[2])
    np.testing.assert_allclose(
        [found.map, found.map50, found.map75], library_scores(detections, truth), atol=1e-12
    )
    once = np.ones((1, images), np.int32)
    assert resampled(detections, truth, once)[0].tolist() == pytest.approx(
        [found.map, found.map50, found.map75], abs=1e-15
    )


@pytest.mark.parametrize("positives", [10, 20, 25, 50, 100, 200])
def test_each_threshold_of_recall_is_reached_as_in_the_library(positives: int) -> None:
    """A true detection, then a false one, and so on: each recall has a precision of its own."""
    images = np.arange(positives)
    box = np.tile([[1.0, 1, 50, 50]], (positives, 1))
    truth = Truth(images, np.zeros(positives, np.int64), box, np.zeros(positives, bool))
    detections = Detections(
        np.repeat(images, 2),
        np.zeros(2 * positives, np.int64),
        np.linspace(1, 0.1, 2 * positives),
        np.tile([[1.0, 1, 50, 50], [101, 101, 150, 150]], (positives, 1)),
    )
    for share in (positives, positives // 2 + 1, positives // 10):
        part = Detections(*(column[: 2 * share] for column in vars(detections).values()))
        found = score(part, truth, 1)
        np.testing.assert_allclose(found.map, library_scores(part, truth)[0], atol=1e-12)


def test_equal_scores_count_in_the_order_of_the_images() -> None:
    detections, truth, images = crowded(3)
    coarse = np.round(detections.score, 1)
    tied = Detections(detections.image, detections.label, coarse, detections.box)
    order = np.random.default_rng(0).permutation(len(coarse))
    mixed = Detections(*(column[order] for column in vars(tied).values()))
    for own in (tied, mixed):
        found = coco_ap.score(match(own, truth), truth, CLASSES, images)
        np.testing.assert_allclose(found.map, library_scores(own, truth)[0], atol=1e-12)


def test_a_resample_scores_as_the_repeated_images_do(repeated: Callable[..., Any]) -> None:
    detections, truth, images = crowded(7)
    weights = bootstrap.draw(images, resamples=6, seed=2)
    once = np.ones((1, images), np.int32)
    for found, draws in zip(resampled(detections, truth, weights), weights, strict=True):
        expected = resampled(*repeated(detections, truth, draws), once)[0]
        np.testing.assert_allclose(found, expected, atol=1e-9)


def test_parts_of_the_resamples_add_up(monkeypatch: pytest.MonkeyPatch) -> None:
    detections, truth, images = crowded(3)
    weights = bootstrap.draw(images, resamples=20)
    whole = resampled(detections, truth, weights)
    monkeypatch.setattr(coco_ap, "_CELLS_AT_ONCE", 1000)
    np.testing.assert_array_equal(resampled(detections, truth, weights), whole)


def test_only_the_best_hundred_are_resampled() -> None:
    box = np.tile([[101.0, 101, 150, 150]], (MOST_DETECTIONS + 1, 1))
    box[-1] = (1, 1, 50, 50)
    zeros = np.zeros(len(box), np.int64)
    truth = Truth(zeros[:1], zeros[:1], box[-1:], np.array([False]))
    ones = np.ones((1, 1), np.int32)
    last_counts = Detections(zeros[1:], zeros[1:], np.linspace(1, 0, len(box) - 1), box[1:])
    assert resampled(last_counts, truth, ones)[0, 0] == pytest.approx(0.01)
    last_is_one_too_many = Detections(zeros, zeros, np.linspace(1, 0, len(box)), box)
    assert resampled(last_is_one_too_many, truth, ones)[0, 0] == 0


def test_nothing_found_is_zero_and_nothing_to_find_is_undefined() -> None:
    detections, truth, images = crowded(0)
    ones = np.ones((2, images), np.int32)
    nothing = Detections(*(column[:0] for column in vars(detections).values()))
    assert (resampled(nothing, truth, ones) == 0).all()
    empty = Truth(*(column[:0] for column in vars(truth).values()))
    assert np.isnan(resampled(detections, empty, ones)).all()
