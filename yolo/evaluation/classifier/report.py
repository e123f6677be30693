"""The classifier's report: one self-contained HTML file, reproducible byte for byte."""

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
from yolo.evaluation.report import html
from yolo.files import replacing
from yolo.model.classifier.classifier import ClassifierSpec
from yolo.training.pretrain.predictions import TopK
from yolo.training.pretrain.samples import ValidationSamples

IMAGES = 12
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
    predictions: TopK,
    spec: ClassifierSpec,
    split: Split,
    card: Mapping[str, Any],
) -> None:
    """Write `report.html` and `confusion.csv` about the predictions on `split` into `folder`.

    confusion.csv has a row per image, `actual,predicted`, the format of `dvc plots`. `card`: the
    metadata of the weights.
    """
    text = render(predictions, spec.classes, split, spec.input_size, card)
    with replacing(folder / "confusion.csv") as temporary:
        _write_confusion(temporary, predictions, spec.classes)
    with replacing(folder / "report.html") as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_unmeasured(folder: Path, card: Mapping[str, Any]) -> None:
    """Write the same files about a classifier whose accuracy on the set cannot be measured."""
    text = (
        html.environment("yolo.evaluation.classifier")
        .get_template("unmeasured.html")
        .render(
            title="Pre-training report",
            subtitle=f"{card['network']} · published weights",
            card=html.rows(card),
        )
    )
    with replacing(folder / "confusion.csv") as temporary:
        temporary.write_text("actual,predicted\n", encoding="utf-8")
    with replacing(folder / "report.html") as temporary:
        temporary.write_text(text, encoding="utf-8")


def render(
    predictions: TopK,
    classes: Sequence[str],
    split: Split,
    input_size: int,
    card: Mapping[str, Any],
) -> str:
    """Return the page; `card`: the metadata of the weights."""
    matrix = confusion(predictions, len(classes))
    worst = worst_classes(matrix)
    return (
        html.environment("yolo.evaluation.classifier")
        .get_template("report.html")
        .render(
            title="Pre-training report",
            subtitle=f"{card['network']} · input of {input_size} pixels · {len(classes)} classes",
            top1=float(predictions.in_top1.mean()),
            top1_interval=proportion_interval(
                int(predictions.in_top1.sum()), len(predictions.label)
            ),
            top5=float(predictions.in_top5.mean()),
            top5_interval=proportion_interval(
                int(predictions.in_top5.sum()), len(predictions.label)
            ),
            k=predictions.ranked.shape[1],
            chance=1 / len(classes),
            images=len(predictions.label),
            count=len(classes),
            rows=_class_rows(predictions, matrix, classes)[:LISTED],
            columns=[*(classes[label] for label in worst), "all others"],
            confusion=_confusion_rows(matrix, worst, classes),
            galleries=_galleries(predictions, classes, split, input_size),
            hashes=sorted(card.get("data", {}).items()),
            card=html.rows(card),
        )
    )


def confusion(predictions: TopK, classes: int) -> NDArray[np.int64]:
    """(classes, classes): images by true class (row) and predicted class (column)."""
    place = predictions.label * classes + predictions.ranked[:, 0]
    return np.bincount(place, minlength=classes**2).reshape(classes, classes)


def worst_classes(matrix: NDArray[np.int64], most: int = WORST) -> list[int]:
    """Classes by ascending top-1 accuracy, without those that have no image."""
    images = matrix.sum(axis=1)
    share = np.diag(matrix) / np.maximum(images, 1)
    order = np.lexsort((np.arange(len(matrix)), share))
    return [int(label) for label in order if images[label]][:most]


def proportion_interval(hits: int, count: int) -> tuple[float, float]:
    """Wilson's 95 % interval of a proportion."""
    squared = _NORMAL_95**2
    centre = (hits + squared / 2) / (count + squared)
    half = _NORMAL_95 / (count + squared) * np.sqrt(hits * (count - hits) / count + squared / 4)
    return max(float(centre - half), 0.0), min(float(centre + half), 1.0)


def _class_rows(
    predictions: TopK, matrix: NDArray[np.int64], classes: Sequence[str]
) -> list[SimpleNamespace]:
    """A row per class that has images, the worst first."""
    in_top5 = np.bincount(predictions.label, weights=predictions.in_top5, minlength=len(classes))
    rows = []
    for label in worst_classes(matrix, len(classes)):
        wrong = matrix[label].copy()
        wrong[label] = 0
        taken_for = [int(other) for other in np.argsort(-wrong, kind="stable")[:3] if wrong[other]]
        count = int(matrix[label].sum())
        rows.append(
            SimpleNamespace(
                name=classes[label],
                images=count,
                top1=matrix[label, label] / count,
                interval=proportion_interval(int(matrix[label, label]), count),
                top5=in_top5[label] / count,
                taken_for=", ".join(f"{classes[other]} {wrong[other]}" for other in taken_for),
            )
        )
    return rows


def _confusion_rows(
    matrix: NDArray[np.int64], worst: Sequence[int], classes: Sequence[str]
) -> list[SimpleNamespace]:
    """A row per class of `worst`: how often each of them is predicted, then all other classes."""
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
    predictions: TopK, classes: Sequence[str], split: Split, input_size: int
) -> list[SimpleNamespace]:
    samples = ValidationSamples(split, input_size)
    count = len(predictions.label)
    spread = np.unique(np.linspace(0, count - 1, min(IMAGES, count)).round().astype(int))
    wrong = np.flatnonzero(~predictions.in_top1)
    surest = wrong[np.argsort(-predictions.probability[wrong, 0], kind="stable")]
    chosen = (
        ("A sample", "spread evenly over the split, whatever the result", spread),
        (
            "Confident and wrong",
            "the wrong predictions with the highest probability",
            surest[:IMAGES],
        ),
    )
    return [
        SimpleNamespace(
            title=title,
            note=note,
            images=[
                _image(predictions, classes, samples, split.name(index), index)
                for index in chosen_images.tolist()
            ],
        )
        for title, note, chosen_images in chosen
    ]


def _image(
    predictions: TopK, classes: Sequence[str], samples: ValidationSamples, name: str, index: int
) -> SimpleNamespace:
    """The input of the network, enlarged to be visible, and its predictions."""
    image = Image.fromarray(samples[0, index].image)
    scale = max(1, -(-_LEAST_SIDE // image.width))
    image = image.resize((image.width * scale, image.height * scale), Image.Resampling.BICUBIC)
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=_QUALITY)
    label = int(predictions.label[index])
    return SimpleNamespace(
        name=name,
        truth=classes[label],
        data=base64.b64encode(buffer.getvalue()).decode("ascii"),
        width=image.width,
        height=image.height,
        predictions=[
            SimpleNamespace(name=classes[predicted], share=float(share), right=predicted == label)
            for predicted, share in zip(
                predictions.ranked[index].tolist(),
                predictions.probability[index].tolist(),
                strict=True,
            )
        ],
    )


def _write_confusion(path: Path, predictions: TopK, classes: Sequence[str]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("actual", "predicted"))
        for label, predicted in zip(
            predictions.label.tolist(), predictions.ranked[:, 0].tolist(), strict=True
        ):
            writer.writerow((classes[label], classes[predicted]))
