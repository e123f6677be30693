"""The page about the pre-training, from a small classifier and from guesses made by hand."""

import csv
import re
from pathlib import Path

import numpy as np
import pytest

from yolo.data.store.clean_set import (
    CLASSIFICATION_SCHEMA,
    CleanSet,
    Writer,
    split_path,
    write_classes,
)
from yolo.data.store.images import encode_jpeg
from yolo.evaluation.classifier.report import (
    confusion,
    proportion_interval,
    render,
    worst_classes,
    write,
)
from yolo.model.classifier.classifier import Classifier, ClassifierSpec, build_classifier
from yolo.training.pretrain.predictions import TopK, predict
from yolo.training.pretrain.samples import ValidationSamples

CLASSES = ("bird", "cat & <b>dog</b>", "fish", "horse", "newt", "owl")


@pytest.fixture
def clean(tmp_path: Path) -> CleanSet:
    """Thirty images of noise, five of each class."""
    rng = np.random.default_rng(0)
    write_classes(tmp_path, CLASSES)
    with Writer(split_path(tmp_path, "val"), CLASSIFICATION_SCHEMA) as writer:
        for number in range(30):
            pixels = rng.integers(0, 256, (40 + number, 50, 3), np.uint8)
            writer.append(
                {
                    "name": f"image {number}",
                    "image": encode_jpeg(pixels),
                    "width": 50,
                    "height": 40 + number,
                    "label": number % len(CLASSES),
                }
            )
    return CleanSet(tmp_path)


@pytest.fixture
def classifier() -> Classifier:
    return build_classifier(ClassifierSpec("nano", 0.25, 32, CLASSES), seed=1)


def predictions(label: list[int], first: list[int]) -> TopK:
    ranked = np.stack([np.array(first), (np.array(first) + 1) % len(CLASSES)], axis=1)
    probability = np.tile(np.array([[0.6, 0.3]], np.float32), (len(label), 1))
    return TopK(np.array(label), ranked, probability)


def predicted(classifier: Classifier, clean: CleanSet) -> TopK:
    samples = ValidationSamples(clean.split("val"), classifier.spec.input_size)
    return predict(classifier.eval(), samples)


def test_predictions_descend_and_their_probabilities_are_those_of_the_softmax(
    clean: CleanSet, classifier: Classifier
) -> None:
    found = predicted(classifier, clean)
    assert found.ranked.shape == found.probability.shape == (30, 5)
    assert np.all(np.diff(found.probability, axis=1) <= 0)
    assert np.all(found.probability.sum(axis=1) < 1)
    np.testing.assert_array_equal(found.label, np.arange(30) % 6)
    assert found.in_top1.sum() <= found.in_top5.sum() < 30
    assert found.accuracy() == {"top1": found.in_top1.sum() / 30, "top5": found.in_top5.sum() / 30}


def test_classes_of_another_numbering_are_mapped(clean: CleanSet, classifier: Classifier) -> None:
    samples = ValidationSamples(clean.split("val"), classifier.spec.input_size)
    found = predict(classifier.eval(), samples, numbers=[5, 4, 3, 2, 1, 0])
    np.testing.assert_array_equal(found.label, 5 - np.arange(30) % 6)


def test_the_interval_is_wilsons() -> None:
    # Newcombe 1998, table I: 81 of 263
    assert proportion_interval(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert proportion_interval(0, 10)[0] == 0
    assert proportion_interval(10, 10)[1] == 1


def test_the_worst_classes_come_first_and_those_without_pictures_not_at_all() -> None:
    matrix = confusion(predictions([0, 0, 1, 1, 3], [0, 2, 1, 1, 0]), len(CLASSES))
    assert matrix[0].tolist() == [1, 0, 1, 0, 0, 0]
    assert worst_classes(matrix) == [3, 0, 1]
    assert worst_classes(matrix, 1) == [3]


def test_the_page_shows_the_predictions(clean: CleanSet) -> None:
    label = [number % 6 for number in range(30)]
    # all of the first class are taken for the third; the second guess is then not right either
    first = [2 if own == 0 else own for own in label]
    page = render(predictions(label, first), CLASSES, clean.split("val"), 32, {"network": "nano"})
    text = re.sub(r"<[^>]+>", " ", re.sub(r"<style.*?</style>", "", page, flags=re.DOTALL))
    assert "83.3" in text and "66.4 to 92.7" in text
    assert "fish 5" in text
    assert "&lt;b&gt;dog" in page and "<b>dog" not in page
    # twelve of a sample and the five that are sure and wrong
    assert page.count("data:image/jpeg") == 12 + 5
    assert not re.search(r'(src|href)="(?!data:|#)', page)


def test_the_files_are_the_same_each_time(
    clean: CleanSet, classifier: Classifier, tmp_path: Path
) -> None:
    for name in ("one", "two"):
        found = predicted(classifier, clean)
        write(tmp_path / name, found, classifier.spec, clean.split("val"), classifier.card())
    for file in ("report.html", "confusion.csv"):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()
    rows = list(csv.DictReader((tmp_path / "one/confusion.csv").open()))
    found = predicted(classifier, clean)
    assert [row["actual"] for row in rows] == [CLASSES[number % 6] for number in range(30)]
    assert [row["predicted"] for row in rows] == [CLASSES[guess] for guess in found.ranked[:, 0]]
