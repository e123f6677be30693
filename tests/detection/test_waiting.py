"""The guard itself notices what it is for."""

import pytest
import torch
from waiting import waits

torch.set_num_threads(1)
VALUES = torch.tensor([1.0, 2.0])


@pytest.mark.parametrize(
    "reads",
    [
        lambda: VALUES.sum().item(),
        lambda: VALUES[VALUES > 1],
        lambda: VALUES.clone().__setitem__(VALUES > 1, VALUES[:1]),
        lambda: (VALUES > 1).nonzero(),
        lambda: bool(VALUES.any()),
        lambda: torch.equal(VALUES, VALUES),
    ],
)
def test_reading_values_is_noticed(reads):
    assert waits(reads)


def test_arithmetic_is_not():
    assert not waits(lambda: torch.where(VALUES > 1, VALUES, 0).sum())
