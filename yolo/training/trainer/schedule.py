"""Learning-rate policies: the original's (network.c: get_current_rate) and cosine."""

import math

from yolo.params.optimisation import Schedule


def rate(schedule: Schedule, batch: int, batches: int) -> float:
    """Learning rate of one update.

    Args:
        schedule: the policy and its numbers.
        batch: number of the update; the first is 1, as the original counts before it updates.
        batches: number of the last one, at which the policies poly and cosine reach 0.
    """
    learning_rate = schedule.learning_rate
    if batch < schedule.burn_in:
        return learning_rate * math.pow(batch / schedule.burn_in, schedule.power)
    if schedule.policy == "poly":
        return learning_rate * math.pow(1 - batch / batches, schedule.power)
    if schedule.policy == "cosine":
        part = (batch - schedule.burn_in) / max(1, batches - schedule.burn_in)
        return learning_rate * 0.5 * (1 + math.cos(math.pi * part))
    if schedule.policy == "steps":
        for step, scale in zip(schedule.steps, schedule.scales, strict=True):
            if batch < step:
                break
            learning_rate *= scale
    return learning_rate
