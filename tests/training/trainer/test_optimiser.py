"""Weight decay where the original has it."""

import torch
from torch import nn

from yolo.training.trainer.optimiser import set_rate, sgd


def test_only_weights_decay():
    model = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(4, 2))
    decayed = {
        id(parameter)
        for group in sgd(model, momentum=0.9, decay=0.1).param_groups
        if group["weight_decay"]
        for parameter in group["params"]
    }
    assert decayed == {id(model[0].weight), id(model[3].weight)}


def test_an_update_is_the_originals():
    """u = momentum * u - (gradient + decay * w); w += rate * u, by hand over two updates."""
    model = nn.Linear(1, 1, bias=False)
    model.weight.data.fill_(2.0)
    optimiser = sgd(model, momentum=0.5, decay=0.1)
    for rate in (0.1, 0.01):
        set_rate(optimiser, rate)
        model.weight.grad = torch.tensor([[1.0]])
        optimiser.step()
    # w: 2 -> 2 - 0.1 * 1.2 = 1.88; then u = 0.5 * 1.2 + 1.188 = 1.788, w = 1.88 - 0.01788
    assert abs(model.weight.item() - 1.86212) < 1e-6
