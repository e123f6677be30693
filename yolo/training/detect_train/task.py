"""Detector training (paper section 2.2)."""

from collections.abc import Iterable, Sequence

import numpy as np
import torch
from torch import Tensor

from yolo.data.loading.loader import BatchSampler, load
from yolo.data.store import images
from yolo.data.store.clean_set import CleanSet
from yolo.detection.loss import DetectionLoss, detection_loss
from yolo.detection.targets import encode_batch
from yolo.metrics.inputs import read_truth, to_columns
from yolo.metrics.voc_ap import score
from yolo.model.detector.detector import Detector, DetectorSpec
from yolo.model.detector.predict import Detected, detect_split
from yolo.params.detect_train import DetectTrain, Loss
from yolo.training.detect_train.samples import Batch, TrainingSamples, collate
from yolo.training.monitoring.tracking import Example

_EXAMPLES = 8
_EXAMPLE_THRESHOLD = 0.2


class Detection:
    """The detector on the clean detection set (a `Task` of the trainer)."""

    metric = "voc07_map"

    def __init__(self, model: Detector, clean: CleanSet, params: DetectTrain) -> None:
        self.model = model
        self._spec, self._params = model.spec, params
        train = clean.split("train")
        self._samples = TrainingSamples(
            train, model.spec.input_size, params.augmentation, params.seed
        )
        self._validation = clean.split("val")
        self._truth = read_truth(self._validation)
        self.images = len(train)
        self._found: list[Detected] = []

    def batches(self, sampler: BatchSampler, workers: int, device: torch.device) -> Iterable[Batch]:
        """The micro-batches of `sampler`, made for `device`."""
        return load(self._samples.for_device(device), sampler, collate, workers, device)

    def inputs(self, batch: Batch) -> Tensor:
        """(N, 3, H, W) float RGB in [0, 1], the colours changed as drawn."""
        return batch.inputs()

    def loss(self, outputs: Tensor, batch: Batch) -> dict[str, Tensor]:
        """The original's loss and its terms."""
        losses = loss_on(outputs.float(), batch.boxes, self._spec, self._params.loss)
        return {
            "loss": losses.total,
            "coord": losses.coord,
            "object": losses.object,
            "noobject": losses.noobject,
            "classes": losses.classes,
        }

    def validate(self, model: Detector) -> dict[str, float]:
        """The mAP of both VOC protocols on the validation split, by detection alone."""
        wanted = self._params.validation
        found = detect_split(
            model,
            self._validation,
            score_threshold=wanted.score_threshold,
            nms_iou=wanted.nms_iou,
        )
        self._found = found[:_EXAMPLES]
        scores = score(to_columns(found), self._truth, len(self._spec.classes))
        return {"voc07_map": scores.voc07_map, "voc_map": scores.voc_map}

    def examples(self) -> Sequence[Example]:
        """The first validation images, with what was found and what is there."""
        return [self._example(index, found) for index, found in enumerate(self._found)]

    def _example(self, index: int, found: Detected) -> Example:
        split = self._validation
        image = images.decode(split.image(index), split.name(index))
        width, height = split.size(index)
        # a store that holds smaller images keeps boxes in published pixels
        scale = np.array([image.shape[1] / width, image.shape[0] / height] * 2)
        is_sure = found.scores >= _EXAMPLE_THRESHOLD
        return Example(
            split.name(index),
            image,
            self._spec.classes,
            found.boxes[is_sure] * scale,
            found.labels[is_sure],
            found.scores[is_sure],
            split.boxes(index) * scale,
            split.labels(index),
        )


def loss_on(prediction: Tensor, boxes: Tensor, spec: DetectorSpec, scales: Loss) -> DetectionLoss:
    """The loss of a detector's output on labelled boxes.

    Args:
        prediction: (N, S*S*(C + 5B)) float.
        boxes: (M, 6) float: number of the image, class, cx, cy, w, h relative to it.
        spec: of the detector.
        scales: weights of the terms.
    """
    classes = len(spec.classes)
    return detection_loss(
        prediction,
        encode_batch(boxes, images=len(prediction), grid=spec.grid, classes=classes),
        grid=spec.grid,
        boxes=spec.boxes,
        classes=classes,
        coord_scale=scales.coord_scale,
        object_scale=scales.object_scale,
        noobject_scale=scales.noobject_scale,
        class_scale=scales.class_scale,
        rescore=scales.rescore,
    )
