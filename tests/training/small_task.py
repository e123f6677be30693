"""A problem for the training loop that takes milliseconds, and how to train on it."""

from dataclasses import dataclass

import torch
from torch import nn

from yolo.data.loading.loader import load
from yolo.params.optimisation import Optimisation
from yolo.runtime.settings import Runtime
from yolo.training.monitoring.tracking import Tracker
from yolo.training.trainer.checkpoint import StateFolder
from yolo.training.trainer.trainer import Trainer

OPTIMISATION = Optimisation.model_validate(
    {
        "batch": 8,
        "batches": 12,
        "batch_norm_images": 2,
        "precision": "fp32",
        "optimiser": "sgd",
        "momentum": 0.9,
        "decay": 0.001,
        "clip_norm": None,
        "ema": None,
        "patience": None,
        "schedule": {
            "policy": "constant",
            "learning_rate": 0.05,
            "burn_in": 0,
            "power": 1.0,
            "steps": [],
            "scales": [],
        },
    }
)


@dataclass(frozen=True)
class Numbers:
    names: list[str]
    keys: torch.Tensor

    def to(self, device):
        return self


class Points:
    def __len__(self):
        return 20

    def __getitem__(self, key):
        return key


def collate(keys):
    return Numbers([str(key) for key in keys], torch.tensor(keys, dtype=torch.float32))


class Regression:
    """Learn a line; dropout makes each update depend on its own random numbers."""

    metric = "accuracy"
    images = 20

    def __init__(self, happening=None):
        torch.manual_seed(0)
        self.model = nn.Sequential(nn.Linear(2, 8), nn.Dropout(0.5), nn.Linear(8, 1))
        self._happening = happening or (lambda update: None)
        self._updates = 0

    def batches(self, sampler, workers, device):
        return load(Points(), sampler, collate, workers)

    def inputs(self, batch):
        return batch.keys / 20

    def loss(self, outputs, batch):
        self._updates += 1
        self._happening(self._updates)
        error = outputs[:, 0] - batch.keys[:, 1] / 20
        return {"loss": error.square().mean(), "term": error.abs().mean()}

    def validate(self, model):
        return {"accuracy": 0.5}

    def examples(self):
        return ()


class Linear(Regression):
    """Without dropout, for what must not depend on how a batch is cut."""

    def __init__(self):
        super().__init__()
        self.model = nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 1))


def train(folder, task, *, keep="last", optimisation=OPTIMISATION, runtime=None):
    state = StateFolder(folder, "0")
    runtime = runtime or Runtime(device="cpu", threads=1)
    tracker = Tracker(state.path, "disabled", "test", {})
    trainer = Trainer(
        task,
        optimisation,
        seed=1,
        validate_every=5,
        folder=state,
        runtime=runtime,
        tracker=tracker,
    )
    try:
        return trainer.run(keep)
    finally:
        tracker.close()


def same(left, right):
    return left.keys() == right.keys() and all(torch.equal(left[k], right[k]) for k in left)
