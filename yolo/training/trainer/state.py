"""How far a training is, and what comes of it."""

from dataclasses import dataclass, field

from torch import Tensor, nn


@dataclass
class Course:
    """Everything that the next update depends on, besides the weights."""

    batch: int = 0
    """Updates done."""
    curves: list[dict[str, float]] = field(default_factory=list)
    """A row per validation: batch, rate, means of the loss terms since the last one, metrics."""
    best: dict[str, Tensor] = field(default_factory=dict)
    """Weights at the best validation; of equal ones the later counts."""
    best_batch: int = 0
    seconds: float = 0.0
    """Time spent, over all starts."""

    def add(self, row: dict[str, float], metric: str, model: nn.Module) -> None:
        """Take up a validation of `model`, and its weights when none was better by `metric`."""
        if not self.curves or row[metric] >= max(other[metric] for other in self.curves):
            self.best, self.best_batch = weights_of(model), self.batch
        self.curves.append(row)

    def is_settled(self, patience: int | None, metric: str) -> bool:
        """Whether `patience` validations in a row were no better than the best before them."""
        if patience is None or not self.curves:
            return False
        values = [row[metric] for row in self.curves]
        return len(values) - 1 - values.index(max(values)) >= patience


@dataclass(frozen=True)
class Result:
    """The outcome of a training."""

    weights: dict[str, Tensor]
    """The weights that `keep` asks for."""
    batch: int
    """The update after which they were taken."""
    curves: list[dict[str, float]]
    updates: int
    """All that were done."""
    seconds: float
    """Time spent, over all starts."""


def weights_of(model: nn.Module) -> dict[str, Tensor]:
    """A copy of the weights and statistics, on the CPU."""
    return {name: value.detach().cpu().clone() for name, value in model.state_dict().items()}
