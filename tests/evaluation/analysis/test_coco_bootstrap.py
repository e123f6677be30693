"""The vectorised matching and the resampled AP equal what faster-coco-eval counts."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from yolo.evaluation.analysis import bootstrap, coco_ap, coco_bootstrap
from yolo.evaluation.analysis.coco_matches import match
from yolo.metrics.voc_ap import Detections, Truth

CLASSES = 3


def crowded(seed: int, difficult: int = 10) -> tuple[Detections, Truth, int]:
    """Twelve images whose objects overlap, each found several times, and some that are nothing.

    With 47 and 39 objects, 37 and 29 that count, no recall equals one of COCO's: there the
    library's floats fall short by a rounding, now and then, where ours are whole numbers.
    """
    rng = np.random.default_rng(seed)
    corner = rng.uniform(1, 60, (86, 2))
    box = np.concatenate([corner, corner + rng.uniform(20, 60, (86, 2))], axis=1)
    image, label = np.sort(rng.integers(0, 12, 86)), rng.permutation([0] * 47 + [1] * 39)
    flags = np.zeros(86, bool)
    for own in (np.flatnonzero(label == 0), np.flatnonzero(label == 1)):
        flags[own[:difficult]] = True
    truth = Truth(image, label, box, flags)
    source = np.sort(rng.integers(0, 86, 400))
    moved = box[source] + rng.normal(0, 5, (400, 4))
    scores = rng.permutation(400) / 400
    return Detections(image[source], rng.integers(0, CLASSES, 400), scores, moved), truth, 12


def means(detections: Detections, truth: Truth, weights: np.ndarray) -> np.ndarray:
    """(R, 3) AP over all IoUs, at 0.5 and at 0.75."""
    found = coco_bootstrap.resample(match(detections, truth), truth, CLASSES, weights)
    return np.stack([found.map, found.map50, found.map75], axis=1)


def counted(detections: Detections, truth: Truth) -> list[float]:
    scores = coco_ap.score(detections, truth, CLASSES)
    return [scores.map, scores.map50, scores.map75]


@pytest.mark.parametrize("difficult", [0, 10])
@pytest.mark.parametrize("seed", range(5))
def test_all_images_once_score_as_the_library_says(seed: int, difficult: int) -> None:
    detections, truth, images = crowded(seed, difficult)
    ones = np.ones((1, images), np.int32)
    found = means(detections, truth, ones)[0]
    assert 0.05 < found[0] < found[1] < 0.9
    np.testing.assert_allclose(found, counted(detections, truth), atol=1e-9)


def test_a_resample_scores_as_the_repeated_images_do(repeated: Callable[..., Any]) -> None:
    detections, truth, images = crowded(7)
    weights = bootstrap.draw(images, resamples=6, seed=2)
    once = np.ones((1, images), np.int32)
    for found, draws in zip(means(detections, truth, weights), weights, strict=True):
        expected = means(*repeated(detections, truth, draws), once)[0]
        np.testing.assert_allclose(found, expected, atol=1e-9)


def test_parts_of_the_resamples_add_up(monkeypatch: pytest.MonkeyPatch) -> None:
    detections, truth, images = crowded(3)
    weights = bootstrap.draw(images, resamples=20)
    whole = means(detections, truth, weights)
    monkeypatch.setattr(coco_bootstrap, "_CELLS_AT_ONCE", 1000)
    np.testing.assert_array_equal(means(detections, truth, weights), whole)


def test_the_best_hundred_of_an_image_and_class_count() -> None:
    box = np.tile([[101.0, 101, 150, 150]], (coco_ap.MOST_DETECTIONS + 1, 1))
    box[-1] = (1, 1, 50, 50)
    zeros = np.zeros(len(box), np.int64)
    truth = Truth(zeros[:1], zeros[:1], box[-1:], np.array([False]))
    ones = np.ones((1, 1), np.int32)
    last_counts = Detections(zeros[1:], zeros[1:], np.linspace(1, 0, len(box) - 1), box[1:])
    assert means(last_counts, truth, ones)[0, 0] == pytest.approx(0.01)
    last_is_one_too_many = Detections(zeros, zeros, np.linspace(1, 0, len(box)), box)
    assert means(last_is_one_too_many, truth, ones)[0, 0] == 0


def test_nothing_found_is_zero_and_nothing_to_find_is_undefined() -> None:
    detections, truth, images = crowded(0)
    ones = np.ones((2, images), np.int32)
    nothing = Detections(*(column[:0] for column in vars(detections).values()))
    assert (means(nothing, truth, ones) == 0).all()
    empty = Truth(*(column[:0] for column in vars(truth).values()))
    assert np.isnan(means(detections, empty, ones)).all()
