"""The progress of a training, which a resumed training restores, and its result."""

from dataclasses import dataclass, field

from torch import Tensor, nn


@dataclass
class TrainState:
    """What the next update depends on besides the weights and the optimiser."""

    batch: int = 0
    """Updates done."""
    curves: list[dict[str, float]] = field(default_factory=list)
    """A row per validation: batch, learning rate, mean loss terms since the last one, metrics."""
    best: dict[str, Tensor] = field(default_factory=dict)
    """Trained weights at the best validation. If several are equal, the latest counts."""
    best_batch: int = 0
    seconds: float = 0.0
    """Time spent, over all starts."""

    def add_validation(self, row: dict[str, float], metric: str, model: nn.Module) -> None:
        """Add a validation of `model`, and keep its weights if none before was better."""
        if not self.curves or row[metric] >= max(other[metric] for other in self.curves):
            self.best, self.best_batch = weights_of(model), self.batch
        self.curves.append(row)

    def has_converged(self, patience: int | None, metric: str) -> bool:
        """Whether the last `patience` validations were no better than the best before them."""
        if patience is None or not self.curves:
            return False
        values = [row[metric] for row in self.curves]
        return len(values) - 1 - values.index(max(values)) >= patience


@dataclass(frozen=True)
class TrainResult:
    """The outcome of a training."""

    weights: dict[str, Tensor]
    """The trained weights that `keep` asks for, without those of frozen layers."""
    batch: int
    """The update after which they were taken."""
    curves: list[dict[str, float]]
    updates: int
    """Number of updates done."""
    seconds: float
    """Time spent, over all starts."""


def weights_of(model: nn.Module) -> dict[str, Tensor]:
    """A copy, on the CPU, of the weights and statistics that training changes."""
    return {name: value.cpu().clone() for name, value in trained_of(model).items()}


def trained_of(model: nn.Module) -> dict[str, Tensor]:
    """The state of `model` without its frozen layers, whose parameters need no gradient."""
    frozen = {
        id(tensor)
        for layer in model.modules()
        if (own := [*layer.parameters(recurse=False)])
        and not any(parameter.requires_grad for parameter in own)
        for tensor in (*own, *layer.buffers(recurse=False))
    }
    state = model.state_dict(keep_vars=True)
    return {name: value.detach() for name, value in state.items() if id(value) not in frozen}
