"""`patience`: a training ends when its validations no longer get better."""

import signal

import pytest
from small_task import OPTIMISATION, Linear, same, train

from yolo.errors import Stopped


class Scored(Linear):
    """Validated every 5 updates, with the scores given; told to stop at an update."""

    def __init__(self, scores, stop_at=None):
        super().__init__()
        self._scores = iter(scores)
        self._happening = lambda update: update == stop_at and signal.raise_signal(signal.SIGTERM)

    def validate(self, model):
        return {"accuracy": next(self._scores)}


def optimised(batches, patience):
    return OPTIMISATION.model_copy(update={"batches": batches, "patience": patience})


def test_it_ends_after_that_many_validations_without_a_new_best(tmp_path):
    task = Scored([0.2, 0.7, 0.3, 0.4, 0.9])
    result = train(tmp_path / "a", task, keep="best", optimisation=optimised(40, patience=2))
    assert [row["accuracy"] for row in result.curves] == [0.2, 0.7, 0.3, 0.4]
    assert (result.updates, result.batch) == (20, 10)
    # the weights kept are those of the tenth update
    short = train(tmp_path / "b", Linear(), optimisation=optimised(10, patience=None))
    assert same(result.weights, short.weights)


def test_a_new_best_starts_the_count_anew(tmp_path):
    task = Scored([0.5, 0.4, 0.6, 0.4, 0.7, 0.1])
    result = train(tmp_path, task, keep="best", optimisation=optimised(30, patience=2))
    assert (result.updates, result.batch) == (30, 25)


def test_the_count_goes_on_after_a_stop(tmp_path):
    with pytest.raises(Stopped):
        train(tmp_path, Scored([0.7, 0.3], stop_at=12), optimisation=optimised(40, patience=2))
    resumed = Scored([0.3, 0.9])
    result = train(tmp_path, resumed, keep="best", optimisation=optimised(40, patience=2))
    assert (result.updates, result.batch) == (15, 5)
