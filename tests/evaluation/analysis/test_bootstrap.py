"""Resampled scores equal those of a data set in which images really are repeated."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from yolo.evaluation.analysis import bootstrap
from yolo.metrics.voc_ap import rank, score


@pytest.mark.parametrize("name", ["main_", "edge_"])
def test_a_resample_scores_as_the_repeated_images_do(
    reference: Callable[[str], Any], repeated: Callable[..., Any], name: str
) -> None:
    detections, truth, classes, data = reference(name)
    images = int(data["n_images"])
    weights = bootstrap.draw(images, resamples=8, seed=4)
    weights[0] = 1
    resampled = bootstrap.resample(rank(detections, truth, classes), truth, weights)
    for number, draws in enumerate(weights):
        expected = score(*repeated(detections, truth, draws), classes)
        np.testing.assert_allclose(
            resampled.ap07[number], [c.ap07 for c in expected.per_class], atol=1e-12
        )
        np.testing.assert_allclose(
            resampled.ap[number], [c.ap for c in expected.per_class], atol=1e-12
        )
        assert resampled.voc07_map[number] == pytest.approx(expected.voc07_map, nan_ok=True)
        assert resampled.voc_map[number] == pytest.approx(expected.voc_map, nan_ok=True)
    np.testing.assert_allclose(resampled.ap07[0], data["devkit_ap11"], atol=1e-9)


def test_parts_of_the_resamples_add_up(
    reference: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    detections, truth, classes, data = reference("main_")
    rankings = rank(detections, truth, classes)
    weights = bootstrap.draw(int(data["n_images"]), resamples=20)
    whole = bootstrap.resample(rankings, truth, weights)
    monkeypatch.setattr(bootstrap, "_CELLS_AT_ONCE", 100)
    np.testing.assert_array_equal(bootstrap.resample(rankings, truth, weights).ap, whole.ap)


def test_each_resample_draws_as_many_images_as_there_are() -> None:
    weights = bootstrap.draw(30, resamples=200, seed=1)
    assert weights.shape == (200, 30)
    assert (weights.sum(axis=1) == 30).all()
    assert (weights == bootstrap.draw(30, resamples=200, seed=1)).all()
    assert weights.mean(axis=0).max() < 1.3


def test_the_interval_covers_the_middle_95_percent() -> None:
    low, high = bootstrap.interval(np.append(np.arange(1001) / 1000, np.nan))
    assert (low, high) == pytest.approx((0.025, 0.975))
    assert np.isnan(bootstrap.interval(np.full(3, np.nan))).all()
