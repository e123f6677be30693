"""Pre-training: the backbone under a classification layer (paper section 2.2)."""

from collections.abc import Iterable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from yolo.data.loading import augment
from yolo.data.loading.loader import BatchSampler, load
from yolo.data.store.clean_set import CleanSet
from yolo.model.classifier.classifier import Classifier
from yolo.params.pretrain import Pretrain
from yolo.training.monitoring.tracking import Example
from yolo.training.pretrain.samples import (
    Batch,
    TrainingSamples,
    ValidationSamples,
    collate,
)

_VALIDATION_BATCH = 64


class Classification:
    """The classifier on the clean classification set (a `Task` of the trainer)."""

    metric = "top1"

    def __init__(self, model: Classifier, clean: CleanSet, params: Pretrain) -> None:
        self.model = model
        train, val = clean.split("train"), clean.split("val")
        self._samples = TrainingSamples(train, params.input_size, params.augmentation, params.seed)
        self._validation = ValidationSamples(val, params.input_size)
        self.images = len(train)

    def batches(self, sampler: BatchSampler, workers: int) -> Iterable[Batch]:
        """The micro-batches of `sampler`."""
        return load(self._samples, sampler, collate, workers)

    def inputs(self, batch: Batch) -> Tensor:
        """(N, 3, H, W) float RGB in [0, 1], the colours changed as drawn."""
        return augment.recolour(batch.images, batch.colour)

    def loss(self, outputs: Tensor, batch: Batch) -> dict[str, Tensor]:
        """Mean cross-entropy (blas.c: softmax_x_ent_cpu)."""
        return {"loss": F.cross_entropy(outputs.float(), batch.labels)}

    def validate(self, model: nn.Module) -> dict[str, float]:
        """Shares of validation images whose class is the first guess, or among the first five."""
        return accuracy(model, self._validation)

    def examples(self) -> Sequence[Example]:
        """None: there are no boxes to show."""
        return ()


def accuracy(
    model: nn.Module, samples: ValidationSamples, numbers: Sequence[int] | None = None
) -> dict[str, float]:
    """Shares of images whose class is the first guess (top1), or among the first five (top5).

    `numbers` says which of the model's outputs each class of the samples is; None: that of the same
    number.
    """
    device = next(model.parameters()).device
    output = None if numbers is None else torch.tensor(numbers)
    count = len(samples)
    keys = [
        [(0, index) for index in range(start, min(start + _VALIDATION_BATCH, count))]
        for start in range(0, count, _VALIDATION_BATCH)
    ]
    top1 = top5 = 0
    for loaded in load(samples, keys, collate, workers=0):
        labels = loaded.labels if output is None else output[loaded.labels]
        batch = loaded.to(device)
        logits = model(augment.recolour(batch.images, batch.colour))
        ranked = logits.topk(min(5, logits.shape[1]), dim=1).indices
        hits = ranked == labels.to(device)[:, None]
        top1 += int(hits[:, 0].sum())
        top5 += int(hits.any(dim=1).sum())
    return {"top1": top1 / count, "top5": top5 / count}
