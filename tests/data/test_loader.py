"""Which image comes when."""

from itertools import chain

import pytest

from yolo.data.loader import Shares, Stream, load


def micro_batches(**changes):
    settings = {"stream": Stream(10, seed=3), "first": 1, "last": 5, "batch": 4, "micro_batch": 4}
    return list(Shares(**(settings | changes)))


def test_an_epoch_shows_each_image_once():
    indices = [index for _, index in Stream(10, seed=3).places(10, 20)]
    assert sorted(indices) == list(range(10))


def test_epochs_and_seeds_have_their_own_order():
    first, second = Stream(50, 0).places(0, 50), Stream(50, 0).places(50, 100)
    other = Stream(50, 1).places(0, 50)
    assert [index for _, index in first] != [index for _, index in second]
    assert first != other
    assert {epoch for epoch, _ in second} == {1}


def test_an_update_may_span_two_epochs():
    places = Stream(10, 3).places(8, 12)
    assert [epoch for epoch, _ in places] == [0, 0, 1, 1]


def test_a_restart_goes_on_with_the_same_images():
    assert micro_batches(first=3) == micro_batches()[2:]


@pytest.mark.parametrize("micro_batch", [1, 2, 4])
def test_micro_batches_cut_an_update_without_changing_its_order(micro_batch):
    parts = micro_batches(micro_batch=micro_batch, last=1)
    assert [len(part) for part in parts] == [micro_batch] * (4 // micro_batch)
    assert list(chain.from_iterable(parts)) == micro_batches(last=1)[0]


def test_processes_share_an_update_without_loss_or_doubling():
    shares = [micro_batches(micro_batch=2, process=p, processes=2) for p in (0, 1)]
    together = [left + right for left, right in zip(*shares, strict=True)]
    assert together == micro_batches()


class Named:
    """A data set that gives the place itself."""

    def __len__(self):
        return 10

    def __getitem__(self, place):
        return place


@pytest.mark.parametrize("workers", [0, 2])
def test_workers_change_nothing(workers):
    shares = Shares(Stream(10, 3), 1, 4, 4, 2)
    assert list(load(Named(), shares, list, workers)) == list(shares)
