"""Top-k predictions of a classifier on the images of a clean split."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from yolo.data.loading.loader import load
from yolo.training.pretrain.samples import ValidationSamples, collate

K = 5
_BATCH = 64


@dataclass(frozen=True)
class TopK:
    """The k best classes of N images; k is 5, or the number of classes if that is less.

    label: (N,) int, the true class; ranked: (N, k) int, the predicted classes, best first;
    probability: (N, k) float32 in 0..1.
    """

    label: NDArray[np.int64]
    ranked: NDArray[np.int64]
    probability: NDArray[np.float32]

    @property
    def in_top1(self) -> NDArray[np.bool_]:
        """(N,) whether the first prediction is the true class."""
        return self.ranked[:, 0] == self.label

    @property
    def in_top5(self) -> NDArray[np.bool_]:
        """(N,) whether one of the k predictions is the true class."""
        return (self.ranked == self.label[:, None]).any(axis=1)

    def accuracy(self) -> dict[str, float]:
        """Top-1 and top-5 accuracy, 0..1."""
        return {"top1": float(self.in_top1.mean()), "top5": float(self.in_top5.mean())}


def predict(
    classifier: nn.Module, samples: ValidationSamples, numbers: Sequence[int] | None = None
) -> TopK:
    """Predict the class of each image; the classifier must be in evaluation mode.

    `numbers` maps each class of the samples to a class of the classifier; None: they are the same.
    """
    device = next(classifier.parameters()).device
    keys = [
        [(0, index) for index in range(start, min(start + _BATCH, len(samples)))]
        for start in range(0, len(samples), _BATCH)
    ]
    label, ranked, probability = [], [], []
    with torch.inference_mode():
        for loaded in load(samples, keys, collate, workers=0):
            batch = loaded.to(device)
            logits = classifier(batch.inputs()).float()
            best = logits.topk(min(K, logits.shape[1]), dim=1).indices
            label.append(loaded.labels.numpy())
            ranked.append(best.cpu().numpy())
            probability.append(logits.softmax(dim=1).gather(1, best).cpu().numpy())
    if numbers is not None:
        label = [np.asarray(numbers, np.int64)[own] for own in label]
    return TopK(*(np.concatenate(column) for column in (label, ranked, probability)))
