"""Stage `pretrain`: the backbone as a classifier on the clean classification set.

Where the parameters name published weights, they are loaded and checked instead of trained.
"""

import math
from pathlib import Path
from typing import Any

from pydantic import AliasPath, Field

from stages.common.entry import read_inputs, run
from stages.common.launch import spread
from stages.training.fingerprint import contents, within
from stages.training.session import train, write_reports
from yolo.data.store.clean_set import CleanSet
from yolo.errors import UserError
from yolo.evaluation.classifier import report
from yolo.files import digest
from yolo.model.classifier.classifier import ClassifierSpec, build_classifier, save_classifier
from yolo.model.classifier.imagenet_weights import PACKAGED, load_pretrained
from yolo.model.network import weights
from yolo.model.network.layers import set_batch_norm_images
from yolo.model.network.networks import TORCHVISION
from yolo.params.base import View
from yolo.params.model import Network, Width
from yolo.params.pretrain import Pretrain, PublishedWeights
from yolo.training.pretrain.predictions import predict
from yolo.training.pretrain.samples import ValidationSamples
from yolo.training.pretrain.task import Classification

CLEAN = Path("data/clean/classification")
CLASSIFIER = Path("models/classifier.safetensors")
PAGE = Path("reports/pretrain")
HEADLINE = ("top1",)
PACKAGE = "package"
"""`pretrain.weights.source` of the weights that come with the environment."""


class Inputs(View):
    """The parameters that this stage reads."""

    network: Network = Field(validation_alias=AliasPath("model", "network"))
    width: Width = Field(validation_alias=AliasPath("model", "width"))
    pretrain: Pretrain


def main() -> None:
    """Write a classifier, its curves and a page: trained, its best top-1 kept, or published."""
    inputs = read_inputs(Inputs)
    clean = CleanSet(CLEAN)
    if inputs.pretrain.weights.source is None:
        _train(inputs, clean)
    else:
        _adopt(inputs, clean)


def _train(inputs: Inputs, clean: CleanSet) -> None:
    params = inputs.pretrain
    if not clean.classes:
        raise UserError(
            "pretrain.weights.source is empty, so `pretrain` trains and needs a classification "
            "set; name one in data.classification.source, or take ready weights: "
            f"pretrain.weights.source {PACKAGE} with model.network {PACKAGED}, or torchvision"
        )
    spec = ClassifierSpec(inputs.network, inputs.width, params.input_size, clean.classes)
    classifier = build_classifier(spec, seed=params.seed)
    set_batch_norm_images(classifier, params.optimisation.batch_norm_images)
    val = clean.split("val")
    validation = ValidationSamples(val, params.input_size)

    def save(**origin: Any) -> None:
        save_classifier(CLASSIFIER, classifier, **origin)
        classifier.eval()
        report.write(
            PAGE, predict(classifier, validation), spec, val, weights.read_card(CLASSIFIER)
        )

    train(
        "pretrain",
        inputs,
        Classification(classifier, clean, params),
        params.optimisation,
        seed=params.seed,
        validate_every=params.validate_every,
        keep="best",
        made_of=[CLEAN],
        save=save,
        headline=HEADLINE,
    )


def _adopt(inputs: Inputs, clean: CleanSet) -> None:
    """Load published weights; measure them where they know the set's classes by name."""
    params = inputs.pretrain
    _check_fit(inputs)
    classifier = load_pretrained(inputs.network, _weights_file(params.weights))
    places = {name.lower(): number for number, name in enumerate(classifier.spec.classes)}
    names = [name.lower().replace("_", " ") for name in clean.classes]
    unknown = [name for name in names if name not in places]
    save_classifier(
        CLASSIFIER,
        classifier,
        parameters=inputs.model_dump(mode="json"),
        data={} if unknown or not names else within(contents("pretrain"), CLEAN),
    )
    card = weights.read_card(CLASSIFIER)
    if unknown or not names:
        reason = (
            f"the weights do not know {len(unknown)} of the {len(names)} classes of {CLEAN}, for "
            f"example {unknown[0]!r}"
            if unknown
            else "there is no classification set"
        )
        print(f"top-1 and top-5 are not measured: {reason}")
        accuracy = {"top1": math.nan, "top5": math.nan}
        report.write_unmeasured(PAGE, card)
    else:
        val = clean.split("val")
        samples = ValidationSamples(val, params.input_size)
        found = predict(classifier.eval(), samples, [places[name] for name in names])
        accuracy = found.accuracy()
        report.write(PAGE, found, classifier.spec, val, card)
    write_reports(PAGE, [{"batch": 0, **accuracy}], 0, "top1", HEADLINE)


def _check_fit(inputs: Inputs) -> None:
    """UserError unless the weights that are asked for are those of the network."""
    source, is_packaged = inputs.pretrain.weights.source, inputs.network == PACKAGED
    if (source == PACKAGE and not is_packaged) or (source == "torchvision" and is_packaged):
        raise UserError(
            f"params.yaml: pretrain.weights.source {source} has no weights of network "
            f"{inputs.network}; {PACKAGE} has those of {PACKAGED}, torchvision those of "
            f"{', '.join(TORCHVISION)}"
        )
    if is_packaged and inputs.width != 1:
        raise UserError(
            f"params.yaml: model.width is {inputs.width}; ready weights of {PACKAGED} have width 1"
        )


def _weights_file(wanted: PublishedWeights) -> Path | None:
    """The file of the weights, its sum checked; None: from the package or torchvision's hub."""
    if wanted.source in (None, PACKAGE, "torchvision"):
        return None
    path = Path(wanted.source)
    if not path.is_file():
        raise UserError(
            f"params.yaml: pretrain.weights.source is {wanted.source!r}; it must be empty, "
            f"{PACKAGE!r}, 'torchvision' or the path of a file, and there is no such file"
        )
    found = digest(path)
    if found != wanted.sha256:
        said = "is empty" if wanted.sha256 is None else f"is {wanted.sha256}"
        raise UserError(
            f"params.yaml: pretrain.weights.sha256 {said}; {path} has {found}. If that is the file "
            "you mean, write its sum there, so that DVC notices when it changes"
        )
    return path


if __name__ == "__main__":
    run(spread("pretrain", main))
