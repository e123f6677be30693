"""Block `detect_train`: the detector (paper section 2.2)."""

from typing import Annotated, Literal

from pydantic import Field

from yolo.params.base import Block
from yolo.params.optimisation import Optimisation
from yolo.params.values import Count, Positive, Scale, Seed, Threshold


class DetectorAugmentation(Block):
    """Random crop, flip and colours (data.c: load_data_detection; image.c: distort_image)."""

    jitter: Annotated[float, Field(ge=0, lt=0.5)]
    """Each side of the crop moves by up to this share of the image."""
    flip: bool
    """Mirror left and right, every second image at random."""
    vertical_flip: bool
    """Mirror top and bottom likewise, for images that have no up: cells, aerial views."""
    hue: Annotated[float, Field(ge=0, le=1)]
    saturation: Positive
    exposure: Positive


class Loss(Block):
    """Weights of the loss terms (paper equation 3)."""

    coord_scale: Scale
    object_scale: Scale
    noobject_scale: Scale
    class_scale: Scale
    rescore: bool
    """Target of the confidence: the predicted box's IoU (true) or 1 (false)."""


class Validation(Block):
    """The mAP on the validation split during training."""

    every: Count
    """Batches between two validations."""
    score_threshold: Threshold
    nms_iou: Threshold


class Start(Block):
    """Weights of ours that the training starts from, in place of the extracted backbone."""

    source: Annotated[str, Field(min_length=1)] | None
    """null: none; the path of a backbone or detector file; or a released version,
    `detector@v1.2.0`."""
    repo: Annotated[str, Field(min_length=1)] | None
    """Of a version: the project, a folder or the address of a Git repository; null: this one."""
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")] | None
    """Of the file. A path needs it, for DVC does not watch the file; a version has a sum of its
    own."""


class DetectTrain(Block):
    """Detector training."""

    seed: Seed
    start: Start
    frozen_stages: Annotated[int, Field(ge=0, le=6)]
    """First stages of the backbone that are not trained; a stage ends where the map is halved."""
    keep: Literal["best", "last"]
    """Which weights the stage hands on: those of the best validation mAP, or the last."""
    validation: Validation
    loss: Loss
    optimisation: Optimisation
    augmentation: DetectorAugmentation
