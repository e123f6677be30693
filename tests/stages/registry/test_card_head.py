"""The head of a model card, read by the Hub's own library."""

import pytest
from hub_server import card_errors
from huggingface_hub import ModelCard

from stages.registry.card_head import TrainedOn, head

SHAPES = TrainedOn("shapes", "A few shapes", "made by this project (MIT)")
PHOTOS = TrainedOn("org/photos", "Photos: a set", "CC-BY-4.0")
SCORES = {
    "voc07_map": 0.8657791,
    "voc_map": 0.9,
    "coco_map": None,
    "interval_95": {
        "voc07_map": {"low": 0.84, "high": 0.89},
        "voc_map": {"low": None, "high": None},
    },
}


def read(text: str) -> ModelCard:
    card = ModelCard(f"{text}# Title\n")
    assert card_errors(card.content) == []
    assert card.text.strip() == "# Title"
    return card


def test_the_hubs_library_reads_scores_licence_and_data() -> None:
    data = read(head("detector", "v1.0.0", [SHAPES], SCORES, None, published_start=False)).data
    assert (data.license, data.pipeline_tag, data.library_name, data.datasets) == (
        "mit",
        "object-detection",
        "yolov1",
        ["shapes"],
    )
    first, second = data.eval_results
    assert (first.task_type, first.dataset_name, first.dataset_split) == (
        "object-detection",
        "A few shapes",
        "test",
    )
    assert (first.metric_type, first.metric_value) == ("mAP", 0.865779)
    assert first.metric_args == {"interval_95": [0.84, 0.89]}
    assert (second.metric_value, second.metric_args) == (0.9, None)
    assert data.to_dict()["model-index"][0]["name"] == "detector v1.0.0"


def test_a_backbone_has_the_accuracy_of_its_classifier() -> None:
    data = read(head("backbone", "v0.1.0", [PHOTOS], None, 0.69, published_start=False)).data
    (result,) = data.eval_results
    assert (result.task_type, result.metric_value) == ("image-classification", 0.69)
    assert (data.license, data.datasets) == ("cc-by-4.0", ["org/photos"])


@pytest.mark.parametrize(
    ("sets", "published_start"),
    [
        ([SHAPES, PHOTOS], False),
        ([SHAPES], True),
        ([TrainedOn("voc", "VOC", "pictures from Flickr under its terms; for research")], False),
        ([TrainedOn("own", "own", "not stated; ask whoever made the data")], False),
        ([], False),
    ],
    ids=["two licences", "published weights", "free text", "not stated", "no data"],
)
def test_a_licence_that_is_not_one_and_known_is_left_to_the_data(
    sets: list[TrainedOn], published_start: bool
) -> None:
    data = read(
        head("detector", "v1.0.0", sets, SCORES, None, published_start=published_start)
    ).data
    assert data.license == "other"
    assert data.to_dict()["license_link"] == "LICENSE.md"


def test_names_with_signs_of_yaml_survive() -> None:
    odd = TrainedOn("odd", "a: 'b' # c\n---\nlicense: x", "MIT")
    data = read(head("detector", "v1.0.0", [odd], SCORES, None, published_start=False)).data
    assert data.license == "mit" and data.eval_results[0].dataset_name == odd.title
