"""Stage `detect_train`: YOLO v1 on the clean detection set, from the backbone."""

import os
import re
import sys
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import AliasPath, Field

from stages.common.entry import read_inputs, run
from stages.common.launch import spread
from stages.training.session import train
from yolo.data.store.clean_set import CleanSet
from yolo.errors import UserError
from yolo.files import digest
from yolo.model.detector.detector import Detector, DetectorSpec, build_detector, save_detector
from yolo.model.detector.warm_start import load_backbone, start_from
from yolo.model.network.layers import set_batch_norm_images
from yolo.params.base import View
from yolo.params.detect_train import DetectTrain, Start
from yolo.params.model import Boxes, Grid, Head, InputSize, Network, Width
from yolo.training.detect_train.object_size import advice
from yolo.training.detect_train.task import Detection
from yolo.versions import fetch

CLEAN = Path("data/clean/detection")
BACKBONE = Path("models/backbone.safetensors")
DETECTOR = Path("models/detector.safetensors")
_VERSION = re.compile(r"[a-z][a-z0-9-]*@v\d+\.\d+\.\d+")


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
    origin = first_weights(detector, params.start)
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
        save=partial(save_detector, DETECTOR, detector, **origin),
    )


def first_weights(detector: Detector, start: Start) -> dict[str, Any]:
    """Load the first weights; return what the card of the result says of them."""
    if start.source is None:
        load_backbone(detector, BACKBONE)
        return {}
    path = Path(start.source)
    if not path.is_file():
        # One version for one set of parameters: the newest would be another one tomorrow.
        if _VERSION.fullmatch(start.source) is None:
            raise UserError(
                f"params.yaml: detect_train.start.source is {start.source!r}; it must be empty, "
                "the path of a backbone or detector file, or a version such as detector@v1.2.0, "
                "and there is no such file"
            )
        path = fetch(start.source, start.repo)
    found = digest(path)
    if found != start.sha256 and (start.sha256 or path == Path(start.source)):
        said = "is empty" if start.sha256 is None else f"is {start.sha256}"
        raise UserError(
            f"params.yaml: detect_train.start.sha256 {said}; {start.source} has {found}. If that "
            "is the file you mean, write its sum there, so that DVC notices when it changes"
        )
    said = start_from(detector, path)
    print(f"start from {start.source}: {said}", file=sys.stderr)
    return {"started_from": {"source": start.source, "sha256": found}}


if __name__ == "__main__":
    run(spread("detect_train", main))
