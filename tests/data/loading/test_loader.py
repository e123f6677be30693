"""Which image comes when, and that nothing but seed, epoch and sample decides what it becomes."""

import gc
import multiprocessing
from itertools import chain

import numpy as np
import pytest
import torch

from yolo.data.loading import augment
from yolo.data.loading.loader import BatchSampler, SampleOrder, load
from yolo.data.store.clean_set import DETECTION_SCHEMA, Split, Writer
from yolo.data.store.images import encode_jpeg
from yolo.errors import UserError
from yolo.params.detect_train import DetectorAugmentation
from yolo.training.detect_train.samples import TrainingSamples, collate


def micro_batches(**changes):
    settings = {
        "order": SampleOrder(10, seed=3),
        "first": 1,
        "last": 5,
        "batch": 4,
        "micro_batch": 4,
    }
    return list(BatchSampler(**(settings | changes)))


def test_an_epoch_shows_each_image_once():
    indices = [index for _, index in SampleOrder(10, seed=3).keys(10, 20)]
    assert sorted(indices) == list(range(10))


def test_epochs_and_seeds_have_their_own_order():
    first, second = SampleOrder(50, 0).keys(0, 50), SampleOrder(50, 0).keys(50, 100)
    other = SampleOrder(50, 1).keys(0, 50)
    assert [index for _, index in first] != [index for _, index in second]
    assert first != other
    assert {epoch for epoch, _ in second} == {1}


def test_an_update_may_span_two_epochs():
    keys = SampleOrder(10, 3).keys(8, 12)
    assert [epoch for epoch, _ in keys] == [0, 0, 1, 1]


def test_the_order_of_an_epoch_is_drawn_once_for_all_its_updates(monkeypatch):
    order = SampleOrder(20, seed=11)
    whole = order.keys(0, 40)
    monkeypatch.setattr(np.random, "default_rng", None)
    assert order.keys(3, 9) + order.keys(9, 31) == whole[3:31]


def test_a_restart_goes_on_with_the_same_images():
    assert micro_batches(first=3) == micro_batches()[2:]


@pytest.mark.parametrize("micro_batch", [1, 2, 4])
def test_micro_batches_cut_an_update_without_changing_its_order(micro_batch):
    parts = micro_batches(micro_batch=micro_batch, last=1)
    assert [len(part) for part in parts] == [micro_batch] * (4 // micro_batch)
    assert list(chain.from_iterable(parts)) == micro_batches(last=1)[0]


def test_processes_share_an_update_without_loss_or_doubling():
    sampler = [micro_batches(micro_batch=2, process=p, processes=2) for p in (0, 1)]
    together = [left + right for left, right in zip(*sampler, strict=True)]
    assert together == micro_batches()


class Named:
    """A data set that gives the place itself."""

    def __len__(self):
        return 10

    def __getitem__(self, place):
        return place


@pytest.mark.parametrize("workers", [0, 2])
def test_workers_change_nothing(workers):
    sampler = BatchSampler(SampleOrder(10, 3), 1, 4, 4, 2)
    assert list(load(Named(), sampler, list, workers)) == list(sampler)


def pictures_with_boxes(path, damaged=()):
    """A split of nine images of different sizes, most with two boxes."""
    rng = np.random.default_rng(0)
    with Writer(path, DETECTION_SCHEMA) as writer:
        for number in range(9):
            height, width = rng.integers(60, 120, 2)
            count = 2 * (number % 4 > 0)
            image = encode_jpeg(rng.integers(0, 256, (height, width, 3), np.uint8))
            writer.append(
                {
                    "name": f"image {number}",
                    "image": image[: len(image) // 2] if number in damaged else image,
                    "width": width,
                    "height": height,
                    "boxes": [[5, 5, 40, 50], [20, 10, 55, 45]][:count],
                    "labels": [number % 3, 1][:count],
                    "difficult": [False, number == 5][:count],
                    "truncated": [False] * count,
                }
            )
    return Split(path)


def batches_of_bytes(split, workers, first=1, seed=3):
    """What the batches of the updates `first` to 6 hold, byte for byte, after their colours."""
    augmentation = DetectorAugmentation(
        jitter=0.2, flip=True, vertical_flip=True, hue=0.1, saturation=1.5, exposure=1.5
    )
    samples = TrainingSamples(split, 48, augmentation, seed)
    sampler = BatchSampler(SampleOrder(len(split), seed), first, 6, 4, 2)
    return [
        (
            batch.names,
            augment.recolour(batch.images, batch.colour).numpy().tobytes(),
            batch.boxes.numpy().tobytes(),
        )
        for batch in load(samples, sampler, collate, workers)
    ]


def test_batches_are_the_same_bytes_with_any_number_of_workers(tmp_path):
    split = pictures_with_boxes(tmp_path / "train.arrow")
    alone = batches_of_bytes(split, workers=0)
    assert len(alone) == 12
    # the stream passes the nine images more than twice, and draws anew each time
    again = [pixels for names, pixels, _ in alone if "image 3" in names]
    assert len(again) > 1 and len(set(again)) == len(again)
    for workers in (1, 4):
        assert batches_of_bytes(split, workers) == alone
    assert batches_of_bytes(split, 0, seed=4) != alone


def test_batches_are_the_same_bytes_with_any_number_of_threads(tmp_path):
    split = pictures_with_boxes(tmp_path / "train.arrow")
    before = torch.get_num_threads()
    found = []
    try:
        for threads in (1, 3):
            torch.set_num_threads(threads)
            found.append(batches_of_bytes(split, workers=0))
    finally:
        torch.set_num_threads(before)
    assert found[0] == found[1]


def test_batches_are_the_same_bytes_after_a_restart(tmp_path):
    split = pictures_with_boxes(tmp_path / "train.arrow")
    alone = batches_of_bytes(split, workers=0)
    for first, workers in ((2, 0), (4, 1), (6, 0)):
        assert batches_of_bytes(split, workers, first) == alone[2 * (first - 1) :]


@pytest.mark.parametrize("workers", [0, 1])
def test_bytes_that_went_bad_after_validation_are_an_error_with_the_records_name(tmp_path, workers):
    split = pictures_with_boxes(tmp_path / "train.arrow", damaged=[7])
    # nothing but the error's going may end the workers: a stage does not wait for the collector
    gc.collect()
    gc.disable()
    try:
        with pytest.raises(UserError, match=r"^image 7 cannot be decoded: it is truncated$"):
            batches_of_bytes(split, workers)
        assert not multiprocessing.active_children()
    finally:
        gc.enable()
