"""The scores equal those of the VOC devkit's rules, to the number."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from yolo.metrics.voc_ap import Detections, Truth, best_overlap, inclusive_iou, rank, score


def detections_of(truth: Truth, label: np.ndarray) -> Detections:
    return Detections(truth.image, label, np.linspace(0.9, 0.1, len(label)), truth.box)


@pytest.fixture
def scene() -> Truth:
    rng = np.random.default_rng(3)
    corner = rng.integers(1, 300, (120, 2))
    box = np.concatenate([corner, corner + rng.integers(0, 200, (120, 2))], 1).astype(float)
    return Truth(rng.integers(0, 40, 120), rng.integers(0, 5, 120), box, rng.random(120) < 0.1)


@pytest.mark.parametrize("name", ["main_", "nodiff_", "edge_"])
def test_scores_equal_the_devkit(reference: Callable[[str], Any], name: str) -> None:
    detections, truth, classes, data = reference(name)
    scores = score(detections, truth, classes)
    np.testing.assert_allclose(
        [c.ap07 for c in scores.per_class], data["devkit_ap11"], rtol=0, atol=1e-9
    )
    np.testing.assert_allclose(
        [c.ap for c in scores.per_class], data["devkit_apall"], rtol=0, atol=1e-9
    )
    assert [c.positives for c in scores.per_class] == data["npos"].tolist()
    assert scores.voc07_map == pytest.approx(np.nanmean(data["devkit_ap11"]), abs=1e-9)
    assert scores.voc_map == pytest.approx(np.nanmean(data["devkit_apall"]), abs=1e-9)


@pytest.mark.parametrize("name", ["main_", "edge_"])
def test_the_order_of_rows_does_not_matter(reference: Callable[[str], Any], name: str) -> None:
    detections, truth, classes, data = reference(name)
    order = np.random.default_rng(0).permutation(len(detections.image))
    shuffled = Detections(
        detections.image[order],
        detections.label[order],
        detections.score[order],
        detections.box[order],
    )
    scores = score(shuffled, truth, classes)
    np.testing.assert_allclose(
        [c.ap07 for c in scores.per_class], data["devkit_ap11"], rtol=0, atol=1e-9
    )


def test_ground_truth_as_detections_scores_one(scene: Truth) -> None:
    scores = score(detections_of(scene, scene.label), scene, 5)
    assert scores.voc07_map == pytest.approx(1.0)
    assert scores.voc_map == pytest.approx(1.0)


def test_no_detections_score_zero(scene: Truth) -> None:
    none = Detections(np.zeros(0, int), np.zeros(0, int), np.zeros(0), np.zeros((0, 4)))
    scores = score(none, scene, 5)
    assert scores.voc07_map == 0.0
    assert scores.voc_map == 0.0


def test_shuffled_labels_score_near_zero() -> None:
    rng = np.random.default_rng(1)
    image = np.repeat(np.arange(500), 2)
    corner = rng.integers(1, 300, (1000, 2))
    box = np.concatenate([corner, corner + 60], 1).astype(float)
    truth = Truth(image, rng.integers(0, 20, 1000), box, np.zeros(1000, bool))
    scores = score(detections_of(truth, rng.permutation(truth.label)), truth, 20)
    assert scores.voc_map < 0.05


def test_a_class_without_positives_is_left_out_of_the_mean() -> None:
    truth = Truth(
        np.array([0, 0]),
        np.array([0, 1]),
        np.array([[1.0, 1, 10, 10], [20, 20, 30, 30]]),
        np.array([False, True]),
    )
    scores = score(detections_of(truth, truth.label), truth, 3)
    assert [c.positives for c in scores.per_class] == [1, 0, 0]
    assert scores.per_class[0].ap07 == pytest.approx(1.0)
    assert all(np.isnan(c.ap07) and np.isnan(c.ap) for c in scores.per_class[1:])
    assert scores.voc07_map == pytest.approx(1.0)


def test_without_any_positive_the_mean_is_undefined() -> None:
    truth = Truth(np.zeros(0, int), np.zeros(0, int), np.zeros((0, 4)), np.zeros(0, bool))
    scores = score(detections_of(truth, truth.label), truth, 2)
    assert np.isnan(scores.voc07_map)
    assert np.isnan(scores.voc_map)


def test_pixels_count_inclusively_and_half_is_a_hit() -> None:
    # 10 x 10 pixels and its upper half, 10 x 5: exactly 0.5; without +1: 4 * 9 / 81 = 0.44
    whole, half = np.array([[1.0, 1, 10, 10]]), np.array([[1.0, 1, 10, 5]])
    assert inclusive_iou(whole, half).tolist() == [0.5]
    truth = Truth(np.array([0]), np.array([0]), whole, np.array([False]))
    detections = Detections(np.array([0]), np.array([0]), np.array([0.3]), half)
    assert score(detections, truth, 1).voc_map == 1.0


def test_hits_of_a_difficult_object_are_ignored_however_many() -> None:
    truth = Truth(
        np.array([0, 0]),
        np.array([0, 0]),
        np.array([[1.0, 1, 10, 10], [50, 50, 90, 90]]),
        np.array([True, False]),
    )
    boxes = truth.box[[0, 0, 1]]
    detections = Detections(np.zeros(3, int), np.zeros(3, int), np.array([0.9, 0.8, 0.7]), boxes)
    ranking = score(detections, truth, 1).per_class[0].ranking
    assert ranking.true.tolist() == [False, False, True]
    assert ranking.false.tolist() == [False, False, False]


def test_a_second_detection_of_an_object_is_false() -> None:
    # recall 1/2 at precision 1/1, then 1/2; the other object is never found
    truth = Truth(
        np.array([0, 1]),
        np.array([0, 0]),
        np.array([[1.0, 1, 10, 10], [1, 1, 10, 10]]),
        np.array([False, False]),
    )
    detections = Detections(
        np.array([0, 0]), np.array([0, 0]), np.array([0.9, 0.8]), truth.box[[0, 0]]
    )
    result = score(detections, truth, 1).per_class[0]
    assert result.recall.tolist() == [0.5, 0.5]
    assert result.precision.tolist() == [1.0, 0.5]
    assert result.ap == 0.5
    assert result.ap07 == pytest.approx(6 / 11)


def test_a_recall_of_three_tenths_reaches_the_point_at_three_tenths() -> None:
    truth = Truth(
        np.arange(10), np.zeros(10, int), np.tile([1.0, 1, 9, 9], (10, 1)), np.zeros(10, bool)
    )
    found = Detections(np.arange(3), np.zeros(3, int), np.array([0.9, 0.8, 0.7]), truth.box[:3])
    assert score(found, truth, 1).voc07_map == pytest.approx(4 / 11)


def test_best_overlap_takes_the_first_of_equal_objects_of_the_same_image() -> None:
    overlap, nearest = best_overlap(
        np.array([1, 0, 2]),
        np.array([[1.0, 1, 4, 4], [1, 1, 4, 4], [1, 1, 4, 4]]),
        np.array([0, 1, 1]),
        np.array([[30.0, 30, 40, 40], [1, 1, 4, 4], [1, 1, 4, 4]]),
    )
    assert overlap.tolist() == [1.0, 0.0, 0.0]
    assert nearest.tolist() == [1, 0, -1]


def plainly(detections: Detections, truth: Truth, label: int) -> tuple[float, float]:
    """AP of a class, VOCevaldet.m line by line: one detection after another."""
    objects = np.flatnonzero(truth.label == label)
    positives = int((~truth.difficult[objects]).sum())
    if positives == 0:
        return float("nan"), float("nan")
    rows = np.flatnonzero(detections.label == label)
    rows = rows[np.argsort(-detections.score[rows], kind="stable")]
    taken: set[int] = set()
    true, false = [], []
    for row in rows:
        best, match = -np.inf, -1
        for item in objects[truth.image[objects] == detections.image[row]]:
            a, b = detections.box[row], truth.box[item]
            width = min(a[2], b[2]) - max(a[0], b[0]) + 1
            height = min(a[3], b[3]) - max(a[1], b[1]) + 1
            if width > 0 and height > 0:
                areas = [(c[2] - c[0] + 1) * (c[3] - c[1] + 1) for c in (a, b)]
                overlap = width * height / (sum(areas) - width * height)
                if overlap > best:
                    best, match = overlap, item
        hit = best >= 0.5
        ignored = hit and truth.difficult[match]
        true.append(hit and not ignored and match not in taken)
        false.append(not ignored and not true[-1])
        if true[-1]:
            taken.add(match)
    tp, fp = np.cumsum(true, dtype=float), np.cumsum(false, dtype=float)
    recall, precision = tp / positives, tp / np.maximum(tp + fp, 1)
    eleven = sum(
        max((p for r, p in zip(recall, precision, strict=True) if r >= k / 10), default=0.0)
        for k in range(11)
    )
    area, r = 0.0, np.concatenate([[0], recall, [1]])
    p = np.concatenate([[0], precision, [0]])
    for place in range(len(p) - 2, -1, -1):
        p[place] = max(p[place], p[place + 1])
    for place in range(len(r) - 1):
        area += (r[place + 1] - r[place]) * p[place + 1]
    return eleven / 11, area


@pytest.mark.parametrize("seed", range(20))
def test_scores_equal_a_plain_loop_on_crowded_images(seed: int) -> None:
    rng = np.random.default_rng(seed)

    def boxes(count: int) -> np.ndarray:
        corner = rng.integers(1, 12, (count, 2))
        return np.concatenate([corner, corner + rng.integers(0, 12, (count, 2))], 1).astype(float)

    objects, found = int(rng.integers(0, 40)), int(rng.integers(0, 150))
    truth = Truth(
        rng.integers(0, 5, objects),
        rng.integers(0, 3, objects),
        boxes(objects),
        rng.random(objects) < 0.25,
    )
    # few different scores, so that many are equal
    detections = Detections(
        rng.integers(0, 6, found),
        rng.integers(0, 3, found),
        rng.integers(1, 30, found) / 30,
        boxes(found),
    )
    for label, result in enumerate(score(detections, truth, 3).per_class):
        expected = plainly(detections, truth, label)
        np.testing.assert_allclose((result.ap07, result.ap), expected, rtol=0, atol=1e-12)


def test_equal_scores_keep_their_order() -> None:
    rng = np.random.default_rng(0)
    scores = rng.choice(np.array([0.0, 0.25, 0.5, 1.0], np.float32), 3000)
    zeros = np.zeros(3000, np.int64)
    detections = Detections(zeros, zeros, scores, np.ones((3000, 4)))
    truth = Truth(zeros[:1], zeros[:1], np.ones((1, 4)), np.zeros(1, bool))
    (ranking,) = rank(detections, truth, 1)
    np.testing.assert_array_equal(ranking.row, np.argsort(-scores, kind="stable"))
