"""Check that a detector can memorise a few images."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import nn

from yolo.data.store import images
from yolo.data.store.clean_set import Split
from yolo.detection.targets import MINIMUM_SIZE
from yolo.errors import UserError
from yolo.inspection.target_images import labelled_boxes
from yolo.metrics.inputs import read_truth, to_columns
from yolo.metrics.voc_ap import Truth, score
from yolo.model.detector.detector import Detector
from yolo.model.detector.predict import detect, resize
from yolo.model.network.layers import DropoutLayer
from yolo.params.detect_train import Loss
from yolo.training.detect_train.task import loss_on
from yolo.training.trainer.optimiser import set_rate, sgd

MOMENTUM = 0.9
CLIP_NORM = 10.0
"""A randomly initialised network without normalisation diverges at the full rate otherwise."""


def choose(split: Split, count: int, grid: int) -> list[int]:
    """The first `count` images whose objects are all targets, each in a cell of its own.

    UserError when the split has fewer.
    """
    chosen: list[int] = []
    for index in range(len(split)):
        if len(chosen) == count:
            break
        boxes = labelled_boxes(split, index)
        cells = np.minimum((boxes[:, 1:3] * grid).astype(int), grid - 1)
        distinct = len(np.unique(cells, axis=0)) == len(boxes)
        if len(boxes) and distinct and bool((boxes[:, 3:] >= MINIMUM_SIZE).all()):
            chosen.append(index)
    if len(chosen) < count:
        raise UserError(
            f"only {len(chosen)} of {len(split)} images have objects that all fall in distinct "
            f"cells of a {grid} x {grid} grid; {count} are needed"
        )
    return chosen


def overfit(
    detector: Detector,
    split: Split,
    chosen: Sequence[int],
    *,
    loss: Loss,
    batches: int,
    learning_rate: float,
    every: int = 50,
    report: Callable[[int, float, float], None],
) -> float:
    """Train on the images `chosen` alone, without augmentation, until they are memorised.

    There is no weight decay and no dropout; the rate rises over the first tenth of `batches`.
    Every `every` updates the images are predicted (decoding, suppression) and scored against their
    labels; `report` gets the update, the loss and the VOC07 mAP. Training ends when the mAP is 1.

    Returns:
        The last VOC07 mAP, 0..1.
    """
    spec = detector.spec
    device = next(detector.parameters()).device
    raw = [images.decode(split.image(index), split.name(index)) for index in chosen]
    pixels = torch.from_numpy(np.stack([resize(image, spec.input_size) for image in raw]))
    inputs = pixels.permute(0, 3, 1, 2).float().div(255).to(device)
    rows = np.concatenate(
        [
            np.insert(labelled_boxes(split, index), 0, number, axis=1)
            for number, index in enumerate(chosen)
        ]
    )
    boxes = torch.from_numpy(rows).to(device)
    labels = _only(read_truth(split), chosen)
    dropouts = [part for part in detector.modules() if isinstance(part, DropoutLayer)]
    optimiser = sgd(detector, momentum=MOMENTUM, decay=0.0)
    found = 0.0
    for batch in range(1, batches + 1):
        detector.train()
        for part in dropouts:
            part.eval()
        set_rate(optimiser, learning_rate * min(1.0, 10 * batch / batches))
        optimiser.zero_grad()
        total = loss_on(detector(inputs), boxes, spec, loss).total
        total.backward()
        nn.utils.clip_grad_norm_(detector.parameters(), CLIP_NORM, error_if_nonfinite=True)
        optimiser.step()
        if batch % every == 0 or batch == batches:
            results = detect(
                detector,
                raw,
                score_threshold=0.005,
                nms_iou=0.5,
                sizes=[split.size(index) for index in chosen],
            )
            found = score(to_columns(results), labels, len(spec.classes)).voc07_map
            report(batch, float(total.detach()), found)
            if found == 1.0:
                break
    return found


def _only(truth: Truth, chosen: Sequence[int]) -> Truth:
    """The objects of the images `chosen`, which are numbered anew in that order."""
    numbers = {index: number for number, index in enumerate(chosen)}
    keep = np.isin(truth.image, list(chosen))
    return replace(
        truth,
        image=np.array([numbers[int(index)] for index in truth.image[keep]], dtype=np.int64),
        label=truth.label[keep],
        box=truth.box[keep],
        difficult=truth.difficult[keep],
    )
