"""The optimisers: SGD as the original does it, and AdamW."""

from typing import Any

from torch import nn, optim

from yolo.params.optimisation import Optimisation

_SECOND_MOMENT = 0.999
MOMENTS = {"sgd": 1, "adamw": 2}
"""Values that each optimiser keeps per trained parameter."""


def make_optimiser(model: nn.Module, wanted: Optimisation) -> optim.Optimizer:
    """The optimiser that the parameters ask for, on the parameters of `model` that are trained."""
    make = adamw if wanted.optimiser == "adamw" else sgd
    return make(model, momentum=wanted.momentum, decay=wanted.decay)


def sgd(model: nn.Module, *, momentum: float, decay: float) -> optim.SGD:
    """SGD without Nesterov; weight decay on weights only, not on biases or normalisation.

    With the loss averaged over the images of a batch this is the original's update
    (convolutional_layer.c: update_convolutional_layer). The learning rate is set before every
    update by the schedule.
    """
    # Fused: one pass over the weights, and none at all while the optimiser's `found_inf` is 1.
    return optim.SGD(_groups(model, decay), lr=0.0, momentum=momentum, fused=True)


def adamw(model: nn.Module, *, momentum: float, decay: float) -> optim.AdamW:
    """AdamW, with `momentum` as its first beta; rate * decay * weight is subtracted from weights.

    As in `sgd`, biases and normalisation do not decay.
    """
    betas = (momentum, _SECOND_MOMENT)
    return optim.AdamW(_groups(model, decay), lr=0.0, betas=betas, fused=True)


def set_rate(optimiser: optim.Optimizer, rate: float) -> None:
    """Use `rate` for the next update."""
    for group in optimiser.param_groups:
        group["lr"] = rate


def _groups(model: nn.Module, decay: float) -> list[dict[str, Any]]:
    decayed, others = [], []
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            is_weight = name.rsplit(".", 1)[-1] == "weight" and parameter.ndim > 1
            (decayed if is_weight else others).append(parameter)
    groups = [
        {"params": decayed, "weight_decay": decay},
        {"params": others, "weight_decay": 0.0},
    ]
    return [group for group in groups if group["params"]]
