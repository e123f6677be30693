"""What a training promises on every device; on a GPU to within its rounding."""

import os
import signal

import pytest
import torch
from small_task import OPTIMISATION, Linear, train

from yolo.errors import Stopped, UserError
from yolo.model.detector.detector import DetectorSpec, build_detector
from yolo.params.detect_train import Loss
from yolo.runtime.settings import Runtime
from yolo.training.detect_train.task import loss_on
from yolo.training.monitoring import failed_batch

GPU = pytest.param(
    "auto",
    marks=[
        pytest.mark.gpu,
        pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU"),
    ],
)
devices = pytest.mark.parametrize("device", ["cpu", GPU])
SCALES = Loss(coord_scale=5.0, object_scale=1.0, noobject_scale=0.5, class_scale=1.0, rescore=True)


class Line(Linear):
    """A line whose keys are on the device; something may happen at an update."""

    def __init__(self, happening=None):
        super().__init__()
        self._happening = happening or (lambda update: None)

    def inputs(self, batch):
        return batch.keys.to(next(self.model.parameters()).device) / 20

    def loss(self, outputs, batch):
        self._updates += 1
        self._happening(self._updates)
        error = outputs[:, 0] - batch.keys[:, 1].to(outputs.device) / 20
        return {"loss": error.square().mean(), "term": error.abs().mean()}


def settings(device):
    return Runtime(device=device, threads=1)


@devices
def test_a_resumed_training_ends_with_the_weights_of_one_that_was_not_stopped(tmp_path, device):
    def stop(update):
        if update == 5:
            os.kill(os.getpid(), signal.SIGTERM)

    whole = train(tmp_path / "whole", Line(), runtime=settings(device))
    with pytest.raises(Stopped):
        train(tmp_path / "cut", Line(stop), runtime=settings(device))
    resumed = train(tmp_path / "cut", Line(), runtime=settings(device))
    for name, value in whole.weights.items():
        torch.testing.assert_close(resumed.weights[name], value, rtol=1e-5, atol=1e-6)


class Diverging(Line):
    """Its loss is not a number from update 4 on."""

    def loss(self, outputs, batch):
        losses = super().loss(outputs, batch)
        return {n: v * float("nan") if self._updates >= 4 else v for n, v in losses.items()}


@devices
def test_no_update_follows_a_loss_that_is_not_finite(tmp_path, device):
    """The host reads late on a GPU; `found_inf` keeps the optimiser from changing the weights."""
    three = OPTIMISATION.model_copy(update={"batches": 3})
    before = train(tmp_path / "three", Line(), optimisation=three, runtime=settings(device))
    with pytest.raises(UserError, match="not finite at batch 4"):
        train(tmp_path / "diverging", Diverging(), runtime=settings(device))
    saved = failed_batch.load(tmp_path / "diverging" / "0" / failed_batch.FILE)
    for name, value in before.weights.items():
        torch.testing.assert_close(saved.model[name], value, rtol=1e-5, atol=1e-6)


class Boxes(Line):
    """A small detector on noise, at the highest rate of the original's schedule."""

    def __init__(self):
        super().__init__()
        self.spec = DetectorSpec("nano", 0.25, 64, 4, 2, ("a", "b"))
        self.model = build_detector(self.spec, seed=1)

    def inputs(self, batch):
        generator = torch.Generator().manual_seed(int(batch.keys.sum()))
        images = torch.rand(len(batch.keys), 3, 64, 64, generator=generator)
        return images.to(next(self.model.parameters()).device)

    def loss(self, outputs, batch):
        rows = [[number, number % 2, 0.4, 0.6, 0.3, 0.5] for number in range(len(batch.keys))]
        boxes = torch.tensor(rows, device=outputs.device)
        return {"loss": loss_on(outputs.float(), boxes, self.spec, SCALES).total}


@devices
def test_bf16_stays_finite_at_the_peak_rate(tmp_path, device):
    schedule = OPTIMISATION.schedule.model_copy(update={"learning_rate": 0.01})
    changes = {"precision": "bf16", "schedule": schedule, "batch": 4, "batches": 20}
    wanted = OPTIMISATION.model_copy(update=changes)
    result = train(tmp_path, Boxes(), optimisation=wanted, runtime=settings(device))
    assert all(value.isfinite().all() for value in result.weights.values())
    assert result.curves[-1]["loss"] < result.curves[0]["loss"]
