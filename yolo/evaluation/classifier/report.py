"""The page about a classifier: one file, no other needed, the same bytes for the same weights."""

import base64
import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from yolo.data.store.clean_set import Split
from yolo.evaluation.classifier.predictions import Guesses, classify
from yolo.evaluation.report import html
from yolo.files import replacing
from yolo.model.classifier.classifier import Classifier
from yolo.training.pretrain.samples import ValidationSamples

PICTURES = 12
"""Most images of a gallery."""
WORST = 12
"""Most classes of the confusion table."""
LISTED = 100
"""Most classes of the list."""
_LEAST_SIDE = 224
_QUALITY = 85
_NORMAL_95 = 1.959964


def write(
    folder: Path,
    classifier: Classifier,
    split: Split,
    card: Mapping[str, Any],
    numbers: Sequence[int] | None = None,
) -> None:
    """Classify the images of `split`; write `report.html` and `confusion.csv` into `folder`.

    confusion.csv has a row per image, `actual,predicted`, as `dvc plots` wants it. `numbers` says
    which of the classifier's classes each class of the split is; None: that of the same number.
    """
    guesses = classify(classifier, split, numbers)
    classes = classifier.spec.classes
    text = render(guesses, classes, split, classifier.spec.input_size, card)
    with replacing(folder / "confusion.csv") as temporary:
        _write_confusion(temporary, guesses, classes)
    with replacing(folder / "report.html") as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_unmeasured(folder: Path, card: Mapping[str, Any]) -> None:
    """Write the same files about a classifier that knows none of the set's classes."""
    text = (
        html.environment("yolo.evaluation.classifier")
        .get_template("unmeasured.html")
        .render(
            title="Pre-training report",
            subtitle=f"{card['network']} · published weights",
            card=html.flat(card),
        )
    )
    with replacing(folder / "confusion.csv") as temporary:
        temporary.write_text("actual,predicted\n", encoding="utf-8")
    with replacing(folder / "report.html") as temporary:
        temporary.write_text(text, encoding="utf-8")


def render(
    guesses: Guesses, classes: Sequence[str], split: Split, input_size: int, card: Mapping[str, Any]
) -> str:
    """Make the page; `card`: what the weights file says of itself."""
    matrix = confusion(guesses, len(classes))
    worst = worst_classes(matrix)
    return (
        html.environment("yolo.evaluation.classifier")
        .get_template("report.html")
        .render(
            title="Pre-training report",
            subtitle=f"{card['network']} · input of {input_size} pixels · {len(classes)} classes",
            top1=float(guesses.right.mean()),
            top1_interval=proportion_interval(int(guesses.right.sum()), len(guesses.label)),
            top5=float(guesses.among.mean()),
            top5_interval=proportion_interval(int(guesses.among.sum()), len(guesses.label)),
            guesses=guesses.ranked.shape[1],
            chance=1 / len(classes),
            images=len(guesses.label),
            count=len(classes),
            rows=_class_rows(guesses, matrix, classes)[:LISTED],
            columns=[*(classes[label] for label in worst), "all others"],
            confusion=_confusion_rows(matrix, worst, classes),
            galleries=_galleries(guesses, classes, split, input_size),
            hashes=sorted(card.get("data", {}).items()),
            card=html.flat(card),
        )
    )


def confusion(guesses: Guesses, classes: int) -> NDArray[np.int64]:
    """(classes, classes): images by true class (row) and first guess (column)."""
    place = guesses.label * classes + guesses.ranked[:, 0]
    return np.bincount(place, minlength=classes**2).reshape(classes, classes)


def worst_classes(matrix: NDArray[np.int64], most: int = WORST) -> list[int]:
    """Classes by rising share of right first guesses; those without an image are left out."""
    pictures = matrix.sum(axis=1)
    share = np.diag(matrix) / np.maximum(pictures, 1)
    order = np.lexsort((np.arange(len(matrix)), share))
    return [int(label) for label in order if pictures[label]][:most]


def proportion_interval(hits: int, count: int) -> tuple[float, float]:
    """Wilson's 95 % interval of a share."""
    squared = _NORMAL_95**2
    centre = (hits + squared / 2) / (count + squared)
    half = _NORMAL_95 / (count + squared) * np.sqrt(hits * (count - hits) / count + squared / 4)
    return max(float(centre - half), 0.0), min(float(centre + half), 1.0)


def _class_rows(
    guesses: Guesses, matrix: NDArray[np.int64], classes: Sequence[str]
) -> list[SimpleNamespace]:
    """The classes that have images, the worst first."""
    among = np.bincount(guesses.label, weights=guesses.among, minlength=len(classes))
    rows = []
    for label in worst_classes(matrix, len(classes)):
        wrong = matrix[label].copy()
        wrong[label] = 0
        taken_for = [int(other) for other in np.argsort(-wrong, kind="stable")[:3] if wrong[other]]
        count = int(matrix[label].sum())
        rows.append(
            SimpleNamespace(
                name=classes[label],
                pictures=count,
                top1=matrix[label, label] / count,
                interval=proportion_interval(int(matrix[label, label]), count),
                top5=among[label] / count,
                taken_for=", ".join(f"{classes[other]} {wrong[other]}" for other in taken_for),
            )
        )
    return rows


def _confusion_rows(
    matrix: NDArray[np.int64], worst: Sequence[int], classes: Sequence[str]
) -> list[SimpleNamespace]:
    """A row per class of `worst`: counts of those classes as the first guess, then of the rest."""
    rows = []
    for label in worst:
        counts = matrix[label, worst]
        total = int(matrix[label].sum())
        cells = [
            SimpleNamespace(count=int(count), share=float(count / total), right=other == label)
            for other, count in zip(worst, counts, strict=True)
        ]
        rest = total - int(counts.sum())
        cells.append(SimpleNamespace(count=rest, share=rest / total, right=False))
        rows.append(SimpleNamespace(name=classes[label], cells=cells))
    return rows


def _galleries(
    guesses: Guesses, classes: Sequence[str], split: Split, input_size: int
) -> list[SimpleNamespace]:
    samples = ValidationSamples(split, input_size)
    count = len(guesses.label)
    spread = np.unique(np.linspace(0, count - 1, min(PICTURES, count)).round().astype(int))
    wrong = np.flatnonzero(~guesses.right)
    surest = wrong[np.argsort(-guesses.probability[wrong, 0], kind="stable")]
    chosen = (
        ("A sample", "spread evenly over the split, whatever came out", spread),
        ("Sure and wrong", "the most probable wrong first guesses", surest[:PICTURES]),
    )
    return [
        SimpleNamespace(
            title=title,
            note=note,
            pictures=[
                _picture(guesses, classes, samples, split.name(index), index)
                for index in images.tolist()
            ],
        )
        for title, note, images in chosen
    ]


def _picture(
    guesses: Guesses, classes: Sequence[str], samples: ValidationSamples, name: str, index: int
) -> SimpleNamespace:
    """What the network saw of the image, large enough to look at, and what it said."""
    image = Image.fromarray(samples[0, index].image)
    scale = max(1, -(-_LEAST_SIDE // image.width))
    image = image.resize((image.width * scale, image.height * scale), Image.Resampling.BICUBIC)
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=_QUALITY)
    label = int(guesses.label[index])
    return SimpleNamespace(
        name=name,
        truth=classes[label],
        data=base64.b64encode(buffer.getvalue()).decode("ascii"),
        width=image.width,
        height=image.height,
        guesses=[
            SimpleNamespace(name=classes[guess], share=float(share), right=guess == label)
            for guess, share in zip(
                guesses.ranked[index].tolist(), guesses.probability[index].tolist(), strict=True
            )
        ],
    )


def _write_confusion(path: Path, guesses: Guesses, classes: Sequence[str]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("actual", "predicted"))
        for label, guess in zip(guesses.label.tolist(), guesses.ranked[:, 0].tolist(), strict=True):
            writer.writerow((classes[label], classes[guess]))
