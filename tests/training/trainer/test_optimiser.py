"""Each optimiser by hand, and which parameters it changes."""

import pytest
import torch
from small_task import OPTIMISATION
from torch import nn

from yolo.training.trainer.optimiser import adamw, make_optimiser, set_rate, sgd


@pytest.mark.parametrize("make", [sgd, adamw])
def test_only_weights_decay(make):
    model = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(4, 2))
    decayed = {
        id(parameter)
        for group in make(model, momentum=0.9, decay=0.1).param_groups
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


def test_an_adamw_update_by_hand():
    """m and v are corrected means of g and g^2; w -= rate * (m / sqrt(v) + decay * w)."""
    model = nn.Linear(1, 1, bias=False)
    model.weight.data.fill_(2.0)
    optimiser = adamw(model, momentum=0.5, decay=0.1)
    for rate, gradient in ((0.1, 1.0), (0.01, 3.0)):
        set_rate(optimiser, rate)
        model.weight.grad = torch.tensor([[gradient]])
        optimiser.step()
    # first: m = v = 1, so w = 2 - 0.1 * (1 + 0.2) = 1.88
    # then: m = (0.25 * 1 + 0.5 * 3) / 0.75 = 7/3, v = (0.000999 + 0.009) / 0.001999 = 5.002001
    expected = 1.88 - 0.01 * (7 / 3 / 5.002001**0.5 + 0.188)
    assert model.weight.item() == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("name", ["sgd", "adamw"])
def test_a_frozen_parameter_is_none_of_the_optimisers(name):
    model = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2))
    model[0].requires_grad_(False)
    wanted = OPTIMISATION.model_copy(update={"optimiser": name})
    groups = make_optimiser(model, wanted).param_groups
    held = {id(parameter) for group in groups for parameter in group["params"]}
    assert held == {id(parameter) for parameter in model[1].parameters()}


@pytest.mark.parametrize("make", [sgd, adamw])
def test_no_optimiser_moves_while_an_update_is_not_finite(make):
    model = nn.Linear(1, 1)
    before = model.weight.item()
    optimiser = make(model, momentum=0.9, decay=0.1)
    set_rate(optimiser, 0.1)
    for parameter in model.parameters():
        parameter.grad = torch.full_like(parameter, float("nan"))
    optimiser.found_inf = torch.ones(())
    optimiser.step()
    assert model.weight.item() == before
