"""`YOLO_MICRO_BATCH`: a batch in as large parts as the memory holds."""

import pytest
import torch
from small_task import OPTIMISATION, Linear, same, train
from torch import nn

from yolo.errors import Stopped, UserError
from yolo.model.network.layers import BatchNorm, set_batch_norm_images
from yolo.runtime.settings import Runtime

AUTO = Runtime(device="cpu", threads=1, micro_batch="auto")


class Hungry(Linear):
    """Normalised; out of memory with more than `room` images, told to stop at a moment."""

    def __init__(self, room, stop_at=None):
        super().__init__()
        torch.manual_seed(0)
        self.model = nn.Sequential(nn.Linear(2, 8), BatchNorm(8), nn.Tanh(), nn.Linear(8, 1))
        set_batch_norm_images(self.model, OPTIMISATION.batch_norm_images)
        self._room, self._stop_at = room, stop_at
        self.sizes = []

    def loss(self, outputs, batch):
        size = len(batch.names)
        if size > self._room:
            # the forward pass has changed the running statistics
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB.")
        self.sizes.append(size)
        if self._stop_at and len(self.sizes) == self._stop_at:
            raise Stopped("", 75)
        return super().loss(outputs, batch)


def test_auto_takes_the_largest_part_that_fits_and_changes_nothing_else(tmp_path):
    task = Hungry(room=5)
    found = train(tmp_path / "auto", task, runtime=AUTO)
    # of 8, in groups of 2: 8 does not fit, 4 does, once in the attempt and twice in each update
    assert task.sizes == [4] * (1 + 2 * OPTIMISATION.batches)
    told = Runtime(device="cpu", threads=1, micro_batch=4)
    chosen = train(tmp_path / "told", Hungry(room=5), runtime=told)
    assert same(found.weights, chosen.weights)
    assert found.curves == chosen.curves


def test_auto_holds_the_whole_batch_where_it_fits(tmp_path):
    task = Hungry(room=100)
    train(tmp_path, task, runtime=AUTO)
    assert task.sizes == [8] * (1 + OPTIMISATION.batches)


def test_what_does_not_fit_at_all_is_an_error_that_says_what_to_change(tmp_path):
    with pytest.raises(UserError, match=r"micro-batch of 2 images.*smaller network, input_size"):
        train(tmp_path, Hungry(room=1), runtime=AUTO)


def test_another_error_is_not_taken_for_a_lack_of_memory(tmp_path):
    class Broken(Hungry):
        def loss(self, outputs, batch):
            raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        train(tmp_path, Broken(room=8), runtime=AUTO)


def test_a_resumed_training_keeps_its_micro_batch_when_more_would_fit(tmp_path):
    whole = train(tmp_path / "whole", Hungry(room=5), runtime=AUTO)
    eager = Runtime(device="cpu", threads=1, micro_batch="auto", save_batches=1)
    with pytest.raises(Stopped):
        train(tmp_path / "cut", Hungry(room=5, stop_at=8), runtime=eager)
    task = Hungry(room=100)
    resumed = train(tmp_path / "cut", task, runtime=AUTO)
    assert set(task.sizes) == {4}
    assert same(whole.weights, resumed.weights)
