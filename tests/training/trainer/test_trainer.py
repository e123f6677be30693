"""The training loop on a problem that takes milliseconds."""

import json
import os
import signal

import pytest
import torch
from small_task import OPTIMISATION, Linear, Regression, same, train

from yolo.errors import Stopped, UserError
from yolo.runtime.settings import Runtime
from yolo.training.trainer.checkpoint import StateFolder


def stop_at(number):
    def happening(update):
        if update == number:
            os.kill(os.getpid(), signal.SIGTERM)

    return happening


SCHEDULE = OPTIMISATION.schedule.model_copy(update={"policy": "cosine", "burn_in": 3})


def frozen(task, layers):
    """The task with the first layers of its network frozen."""
    task.model[:layers].requires_grad_(False)
    return task


@pytest.mark.parametrize(
    ("changes", "layers"),
    [
        ({}, 0),
        ({"ema": 0.9}, 0),
        ({"optimiser": "adamw"}, 0),
        ({"optimiser": "adamw", "ema": 0.9, "schedule": SCHEDULE}, 1),
        ({"ema": 0.9}, 1),
    ],
)
@pytest.mark.parametrize("moment", [1, 5, 7])
def test_a_stopped_training_ends_with_the_bytes_of_one_that_was_not(
    tmp_path, moment, changes, layers
):
    optimisation = OPTIMISATION.model_copy(update=changes)
    whole = train(tmp_path / "whole", frozen(Regression(), layers), optimisation=optimisation)
    with pytest.raises(Stopped, match="same command") as stopped:
        task = frozen(Regression(stop_at(moment)), layers)
        train(tmp_path / "cut", task, optimisation=optimisation)
    assert stopped.value.status == 75
    resumed = train(tmp_path / "cut", frozen(Regression(), layers), optimisation=optimisation)
    assert same(whole.weights, resumed.weights)
    assert whole.curves == resumed.curves


def test_a_frozen_layer_keeps_its_weights_and_is_saved_once(tmp_path):
    task = frozen(Regression(stop_at(7)), 1)
    before = task.model[0].weight.clone()
    with pytest.raises(Stopped):
        train(tmp_path, task, optimisation=OPTIMISATION.model_copy(update={"ema": 0.9}))
    assert torch.equal(task.model[0].weight, before)
    state = StateFolder(tmp_path, "0").load()
    trained = {"2.weight", "2.bias"}
    assert set(state["model"]) == {"0.weight", "0.bias"} | trained
    assert set(state["average"]["model"]) == set(state["state"]["best"]) == trained
    assert len(state["optimiser"]["state"]) == len(trained)


def test_a_training_that_was_told_to_stop_may_be_told_again(tmp_path):
    """A launcher passes on what the process group has got; the process must not die of it."""
    with pytest.raises(Stopped):
        train(tmp_path, Regression(stop_at(3)))
    signal.raise_signal(signal.SIGTERM)


def test_other_seeds_give_other_weights(tmp_path):
    first = train(tmp_path / "a", Regression())
    task = Regression()
    task.model[0].weight.data.add_(0.1)
    assert not same(first.weights, train(tmp_path / "b", task).weights)


def test_micro_batches_change_rounding_only(tmp_path):
    whole = train(tmp_path / "whole", Linear())
    runtime = Runtime(device="cpu", threads=1, micro_batch=2)
    cut = train(tmp_path / "cut", Linear(), runtime=runtime)
    for name, value in whole.weights.items():
        torch.testing.assert_close(cut.weights[name], value, rtol=1e-5, atol=1e-6)


def test_a_micro_batch_below_the_normalisation_group_is_refused(tmp_path):
    runtime = Runtime(device="cpu", threads=1, micro_batch=1)
    with pytest.raises(UserError, match=r"YOLO_MICRO_BATCH is 1.*at least batch_norm_images, 2"):
        train(tmp_path, Linear(), runtime=runtime)


def test_a_loss_that_is_not_finite_stops_with_terms_and_images(tmp_path):
    task = Linear()
    task.model[0].weight.data.fill_(float("nan"))
    with pytest.raises(UserError, match=r"batch 1: loss nan, term nan.*Images.*\(0, "):
        train(tmp_path, task)


def test_the_best_weights_are_those_of_the_best_validation(tmp_path):
    class Scored(Linear):
        scores = iter([0.2, 0.7, 0.7, 0.1])

        def validate(self, model):
            return {"accuracy": next(self.scores)}

    optimisation = OPTIMISATION.model_copy(update={"batches": 20})
    result = train(tmp_path, Scored(), keep="best", optimisation=optimisation)
    # Of equal validations the later counts.
    assert result.batch == 15
    assert [row["accuracy"] for row in result.curves] == [0.2, 0.7, 0.7, 0.1]


def test_the_moving_average_is_what_is_kept(tmp_path):
    """It starts as the first weights, then is d * average + (1 - d) * weights; d is .5 at most and
    2/11, 3/12 at first."""
    seen = []

    class Watched(Linear):
        def loss(self, outputs, batch):
            seen.append(self.model[2].bias.detach().clone())
            return super().loss(outputs, batch)

    optimisation = OPTIMISATION.model_copy(update={"ema": 0.5, "batches": 3})
    averaged = train(tmp_path / "ema", Watched(), optimisation=optimisation)
    last = train(
        tmp_path / "plain", Linear(), optimisation=OPTIMISATION.model_copy(update={"batches": 3})
    )
    after = [*seen[1:3], last.weights["2.bias"]]
    expected = after[0]
    for decay, value in zip((2 / 11, 3 / 12), after[1:], strict=True):
        expected = decay * expected + (1 - decay) * value
    torch.testing.assert_close(averaged.weights["2.bias"], expected)


def test_clipping_bounds_the_first_step(tmp_path):
    optimisation = OPTIMISATION.model_copy(
        update={"clip_norm": 0.001, "batches": 1, "decay": 0.0, "momentum": 0.0}
    )
    task = Linear()
    before = {name: value.clone() for name, value in task.model.state_dict().items()}
    result = train(tmp_path, task, optimisation=optimisation)
    moved = sum((result.weights[k] - before[k]).square().sum() for k in before).sqrt()
    assert moved == pytest.approx(0.05 * 0.001, rel=1e-3)


def test_curves_hold_the_mean_terms_between_validations(tmp_path):
    result = train(tmp_path, Linear())
    assert [row["batch"] for row in result.curves] == [5, 10, 12]
    assert set(result.curves[0]) == {"batch", "learning_rate", "loss", "term", "accuracy"}
    logged = [json.loads(line) for line in (tmp_path / "0" / "log.jsonl").open()]
    assert [row.pop("images_per_second") > 0 for row in logged] == [True] * 3
    assert logged == result.curves


@pytest.mark.parametrize(("precision", "kind"), [("fp32", torch.float32), ("bf16", torch.bfloat16)])
def test_the_layers_work_in_the_precision_of_the_parameters(tmp_path, precision, kind):
    task, kinds = Linear(), set()
    task.model[0].register_forward_hook(lambda layer, inputs, output: kinds.add(output.dtype))
    train(tmp_path, task, optimisation=OPTIMISATION.model_copy(update={"precision": precision}))
    assert kinds == {kind}


class LongValidation(Regression):
    """A validation of many forward passes; a signal comes in the second one of some update."""

    def __init__(self, told_at=None):
        super().__init__()
        self._told_at, self.passes, self.done = told_at, 0, 0

    def validate(self, model):
        correct = 0.0
        for number in range(100):
            if self._updates == self._told_at and number == 1:
                os.kill(os.getpid(), signal.SIGTERM)
            self.passes += 1
            correct += float(model(torch.tensor([[0.0, number / 100]])).sum())
        self.done += 1
        return {"accuracy": correct}


@pytest.mark.parametrize("ema", [None, 0.9])
@pytest.mark.parametrize("moment", [5, 10, 12])
def test_a_signal_ends_a_validation_which_the_resumed_training_repeats(tmp_path, moment, ema):
    """Also the last one, after which no update follows. What is kept is the best of them."""
    optimisation = OPTIMISATION.model_copy(update={"ema": ema})
    common = {"keep": "best", "optimisation": optimisation}
    whole = train(tmp_path / "whole", LongValidation(), **common)
    task = LongValidation(moment)
    with pytest.raises(Stopped, match=f"at batch {moment} of 12") as stopped:
        train(tmp_path / "cut", task, **common)
    assert stopped.value.status == 75
    assert task.passes % 100 == 2
    resumed = LongValidation()
    result = train(tmp_path / "cut", resumed, **common)
    assert same(whole.weights, result.weights)
    assert whole.curves == result.curves
    assert (whole.batch, whole.updates) == (result.batch, result.updates)
    assert resumed.done == {5: 3, 10: 2, 12: 1}[moment]
