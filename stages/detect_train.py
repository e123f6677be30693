"""Stage `detect_train`: YOLO v1 on the clean detection set, from the backbone."""

import os
import sys
from functools import partial
from pathlib import Path

from pydantic import AliasPath, Field

from stages.common.entry import read_inputs, run
from stages.common.launch import spread
from stages.training.session import train
from yolo.data.store.clean_set import CleanSet
from yolo.model.detector.detector import DetectorSpec, build_detector, save_detector
from yolo.model.detector.warm_start import load_backbone
from yolo.model.network.layers import set_batch_norm_images
from yolo.params.base import View
from yolo.params.detect_train import DetectTrain
from yolo.params.model import Boxes, Grid, Head, InputSize, Network, Width
from yolo.training.detect_train.object_size import advice
from yolo.training.detect_train.task import Detection

CLEAN = Path("data/clean/detection")
BACKBONE = Path("models/backbone.safetensors")
DETECTOR = Path("models/detector.safetensors")


class Inputs(View):
    """The parameters that this stage reads."""

    network: Network = Field(validation_alias=AliasPath("model", "network"))
    width: Width = Field(validation_alias=AliasPath("model", "width"))
    head: Head = Field(validation_alias=AliasPath("model", "head"))
    input_size: InputSize = Field(validation_alias=AliasPath("model", "input_size"))
    grid: Grid = Field(validation_alias=AliasPath("model", "grid"))
    boxes: Boxes = Field(validation_alias=AliasPath("model", "boxes"))
    detect_train: DetectTrain


def main() -> None:
    """Train from the backbone; write the weights that `keep` asks for and the curves."""
    inputs = read_inputs(Inputs)
    params = inputs.detect_train
    clean = CleanSet(CLEAN)
    spec = DetectorSpec(
        inputs.network, inputs.width, inputs.input_size, inputs.grid, inputs.boxes, clean.classes
    )
    detector = build_detector(spec, params.seed, inputs.head)
    load_backbone(detector, BACKBONE)
    detector.freeze(params.frozen_stages)
    set_batch_norm_images(detector, params.optimisation.batch_norm_images)
    small = advice(clean.split("train"), clean.classes, inputs.input_size, inputs.grid)
    if small and os.environ.get("RANK", "0") == "0":
        print(f"note: {small}", file=sys.stderr)

    train(
        "detect_train",
        inputs,
        Detection(detector, clean, params),
        params.optimisation,
        seed=params.seed,
        validate_every=params.validation.every,
        keep=params.keep,
        made_of=[CLEAN, BACKBONE],
        save=partial(save_detector, DETECTOR, detector),
    )


if __name__ == "__main__":
    run(spread("detect_train", main))
