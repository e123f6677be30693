"""Stochastic gradient descent as the original does it."""

from torch import nn, optim


def sgd(model: nn.Module, *, momentum: float, decay: float) -> optim.SGD:
    """SGD without Nesterov; weight decay on weights only, not on biases or normalisation.

    With the loss averaged over the images of a batch this is the original's update
    (convolutional_layer.c: update_convolutional_layer; specification section 7). The learning
    rate is set before every update by the schedule.
    """
    decayed, others = [], []
    for name, parameter in model.named_parameters():
        is_weight = name.rsplit(".", 1)[-1] == "weight" and parameter.ndim > 1
        (decayed if is_weight else others).append(parameter)
    return optim.SGD(
        [{"params": decayed, "weight_decay": decay}, {"params": others, "weight_decay": 0.0}],
        lr=0.0,
        momentum=momentum,
        # one pass over the weights, and none at all while the optimiser's `found_inf` is 1
        fused=True,
    )


def set_rate(optimiser: optim.Optimizer, rate: float) -> None:
    """Use `rate` for the next update."""
    for group in optimiser.param_groups:
        group["lr"] = rate
