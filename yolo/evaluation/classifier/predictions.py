"""What a classifier says of the images of a clean split."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from yolo.data.loading import augment
from yolo.data.store.clean_set import Split
from yolo.model.classifier.classifier import Classifier
from yolo.training.pretrain.samples import ValidationSamples, collate

GUESSES = 5
_BATCH = 64


@dataclass(frozen=True)
class Guesses:
    """The first K guesses of N images, K = 5 or the number of classes if that is less.

    label: (N,) int, the true class; ranked: (N, K) int, the guessed classes, best first;
    probability: (N, K) float32 in 0..1.
    """

    label: NDArray[np.int64]
    ranked: NDArray[np.int64]
    probability: NDArray[np.float32]

    @property
    def right(self) -> NDArray[np.bool_]:
        """(N,) whether the first guess is the true class."""
        return self.ranked[:, 0] == self.label

    @property
    def among(self) -> NDArray[np.bool_]:
        """(N,) whether one of the guesses is the true class."""
        return (self.ranked == self.label[:, None]).any(axis=1)


def classify(classifier: Classifier, split: Split, numbers: Sequence[int] | None = None) -> Guesses:
    """Guess the class of each image's centre, as the validation of the pre-training does.

    `numbers` says which of the classifier's classes each class of the split is; None: that of the
    same number.
    """
    samples = ValidationSamples(split, classifier.spec.input_size)
    device = next(classifier.parameters()).device
    count = min(GUESSES, len(classifier.spec.classes))
    label, ranked, probability = [], [], []
    training = classifier.training
    classifier.eval()
    with torch.inference_mode():
        for start in range(0, len(samples), _BATCH):
            places = range(start, min(start + _BATCH, len(samples)))
            batch = collate([samples[0, index] for index in places]).to(device)
            logits = classifier(augment.recolour(batch.images, batch.colour))
            best = logits.float().softmax(dim=1).topk(count, dim=1)
            label.append(batch.labels.cpu().numpy())
            ranked.append(best.indices.cpu().numpy())
            probability.append(best.values.cpu().numpy())
    classifier.train(training)
    if numbers is not None:
        label = [np.asarray(numbers, np.int64)[own] for own in label]
    return Guesses(*(np.concatenate(column) for column in (label, ranked, probability)))
