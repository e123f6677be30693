"""The learning rate of a whole training, as a curve and as numbers."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from yolo.files import replacing
from yolo.params.optimisation import Optimisation
from yolo.training.trainer.schedule import rate

_POINTS = 2000


def landmarks(optimisation: Optimisation) -> list[tuple[int, float]]:
    """(update, rate) at the first and last update, the end of the burn-in, and each step."""
    schedule, last = optimisation.schedule, optimisation.batches
    places = {1, last, schedule.burn_in}
    if schedule.policy == "steps":
        places.update(schedule.steps)
    if schedule.policy == "poly":
        places.update((last // 4, last // 2, 3 * last // 4))
    return [(place, rate(schedule, place, last)) for place in sorted(places) if 1 <= place <= last]


def peak(optimisation: Optimisation) -> float:
    """The highest rate of the training."""
    return max(_curve(optimisation)[1])


def draw_rates(trainings: Mapping[str, Optimisation], path: Path) -> None:
    """Write a PNG with a curve per training."""
    figure = Figure(figsize=(8, 2.8 * len(trainings)), layout="constrained")
    FigureCanvasAgg(figure)
    for number, (name, optimisation) in enumerate(trainings.items(), 1):
        axes = figure.add_subplot(len(trainings), 1, number)
        updates, rates = _curve(optimisation)
        axes.plot(updates, rates, color="#3b82f6")
        axes.set(title=name, xlabel="update", ylabel="learning rate", xlim=(0, updates[-1]))
        axes.set_ylim(bottom=0)
        axes.grid(alpha=0.2)
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png", dpi=110, metadata={"Software": None})


def _curve(optimisation: Optimisation) -> tuple[list[int], list[float]]:
    last = optimisation.batches
    chosen = {round(place) for place in np.linspace(1, last, min(last, _POINTS))}
    # both sides of each step, and every update of a short burn-in
    steps = {step for end, _ in landmarks(optimisation) for step in (end - 1, end)}
    rise = set(range(1, min(optimisation.schedule.burn_in, _POINTS) + 1))
    updates = sorted(place for place in chosen | steps | rise if 1 <= place <= last)
    return updates, [rate(optimisation.schedule, update, last) for update in updates]
