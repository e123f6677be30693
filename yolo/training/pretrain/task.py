"""Pre-training: the backbone under a classification layer (paper section 2.2)."""

from collections.abc import Iterable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from yolo.data.loading.loader import BatchSampler, load
from yolo.data.store.clean_set import CleanSet
from yolo.model.classifier.classifier import Classifier
from yolo.params.pretrain import Pretrain
from yolo.training.monitoring.tracking import Example
from yolo.training.pretrain.predictions import predict
from yolo.training.pretrain.samples import (
    Batch,
    TrainingSamples,
    ValidationSamples,
    collate,
)


class Classification:
    """The classifier on the clean classification set (a `Task` of the trainer)."""

    metric = "top1"

    def __init__(self, model: Classifier, clean: CleanSet, params: Pretrain) -> None:
        self.model = model
        train, val = clean.split("train"), clean.split("val")
        self._samples = TrainingSamples(train, params.input_size, params.augmentation, params.seed)
        self._validation = ValidationSamples(val, params.input_size)
        self.images = len(train)

    def batches(self, sampler: BatchSampler, workers: int, device: torch.device) -> Iterable[Batch]:
        """The micro-batches of `sampler`, made for `device`."""
        return load(self._samples.for_device(device), sampler, collate, workers, device)

    def inputs(self, batch: Batch) -> Tensor:
        """(N, 3, H, W) float RGB in [0, 1], the colours changed as drawn."""
        return batch.inputs()

    def loss(self, outputs: Tensor, batch: Batch) -> dict[str, Tensor]:
        """Mean cross-entropy (blas.c: softmax_x_ent_cpu)."""
        return {"loss": F.cross_entropy(outputs.float(), batch.labels)}

    def validate(self, model: nn.Module) -> dict[str, float]:
        """Top-1 and top-5 accuracy on the validation split."""
        return predict(model, self._validation).accuracy()

    def examples(self) -> Sequence[Example]:
        """None: there are no boxes to show."""
        return ()
