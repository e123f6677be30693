"""Stage `pretrain`: the backbone as a classifier on the clean classification set."""

from pathlib import Path

from pydantic import AliasPath, Field

from stages.entry import read_inputs, run
from stages.training import hashes, trained
from yolo.data.store import CleanSet
from yolo.evaluation import classifier_report
from yolo.model import weights
from yolo.model.classifier import ClassifierSpec, build_classifier, save_classifier
from yolo.model.layers import set_batch_norm_images
from yolo.params.document import View
from yolo.params.model import Network, Width
from yolo.params.pretrain import Pretrain
from yolo.training.classification import Classification

CLEAN = Path("data/clean/classification")
CLASSIFIER = Path("models/classifier.safetensors")


class Inputs(View):
    """The parameters that this stage reads."""

    network: Network = Field(validation_alias=AliasPath("model", "network"))
    width: Width = Field(validation_alias=AliasPath("model", "width"))
    pretrain: Pretrain


def main() -> None:
    """Train; keep the weights of the best top-1; write them, the curves and a page."""
    inputs = read_inputs(Inputs)
    params = inputs.pretrain
    clean = CleanSet(CLEAN)
    spec = ClassifierSpec(inputs.network, inputs.width, params.input_size, clean.classes)
    classifier = build_classifier(spec, seed=params.seed)
    set_batch_norm_images(classifier, params.optimisation.batch_norm_images)
    with trained(
        "pretrain",
        inputs,
        Classification(classifier, clean, params),
        params.optimisation,
        seed=params.seed,
        validate_every=params.validate_every,
        keep="best",
    ) as result:
        classifier.load_state_dict(result.weights)
        save_classifier(
            CLASSIFIER,
            classifier,
            parameters=inputs.model_dump(mode="json"),
            data=hashes(CLEAN),
        )
        classifier_report.write(
            Path("reports/pretrain"), classifier, clean.split("val"), weights.read_card(CLASSIFIER)
        )


if __name__ == "__main__":
    run(main)
