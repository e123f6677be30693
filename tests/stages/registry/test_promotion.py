"""The rule by which a model may take the place of the released one."""

import math

import pytest

from stages.registry.promotion import Decision, apply_rule, compare_with_released
from yolo.evaluation.analysis.comparison import Comparison, Difference
from yolo.params.promotion import Promotion

RULE = Promotion(metric="voc07_map", largest_loss=0.01)


def compared(a: float, b: float, low: float, high: float) -> Comparison:
    row = Difference(a, b, b - a, (low, high))
    other = Difference(0.5, 0.9, 0.4, (0.3, 0.5))
    return Comparison(row, other, (), ())


@pytest.mark.parametrize(
    ("result", "promoted", "verdict"),
    [
        (compared(0.50, 0.55, 0.01, 0.09), True, "not worse"),
        (compared(0.50, 0.495, -0.02, 0.01), True, "not worse"),
        (compared(0.50, 0.48, -0.05, 0.01), False, "not within the 1 points that may be lost"),
        # small, but on every resample
        (compared(0.50, 0.495, -0.008, -0.002), False, "surely worse"),
        (compared(math.nan, 0.5, math.nan, math.nan), False, "not within"),
    ],
)
def test_only_what_is_not_worse_is_promoted(
    result: Comparison, promoted: bool, verdict: str
) -> None:
    decision = apply_rule(RULE, result, "detector@v1.0.0")
    assert decision.promoted is promoted
    assert verdict in decision.reason
    assert "of detector@v1.0.0" in decision.reason


def test_the_reason_carries_the_numbers() -> None:
    assert apply_rule(RULE, compared(0.50, 0.48, -0.05, 0.01), "detector@v1.0.0").reason == (
        "voc07_map 48.0% against 50.0% of detector@v1.0.0: -2.0 points, "
        "95 % interval -5.0 to +1.0: not within the 1 points that may be lost"
    )


def test_the_metric_of_the_rule_decides() -> None:
    rule = Promotion(metric="voc_map", largest_loss=0.0)
    assert apply_rule(rule, compared(0.50, 0.1, -0.5, -0.3)).promoted


def test_a_first_release_is_compared_with_nothing() -> None:
    assert compare_with_released(None) == Decision(True, "nothing has been released yet")
