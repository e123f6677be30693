"""The YAML head of a model card, in the fields that the Hugging Face Hub reads."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from stages.registry.versions import interval_of

LICENCE_FILE = "LICENSE.md"
"""What a head with `license: other` refers to; it lies beside the card on the Hub."""

_LIBRARY = "yolov1"
_SCORES = (
    ("voc07_map", "mAP@0.5, VOC 2007 (11 points)"),
    ("voc_map", "mAP@0.5, VOC 2010 on (all points)"),
    ("coco_map", "AP@[0.5:0.95], COCO"),
)
_LICENCES = (
    *("mit", "apache-2.0", "bsd-2-clause", "bsd-3-clause", "unlicense"),
    *("cc0-1.0", "cc-by-4.0", "cc-by-sa-4.0", "cc-by-nc-4.0", "cc-by-nc-sa-4.0"),
    *("odbl", "odc-by", "pddl"),
)
_LICENCE = re.compile(r"(?:.*\()?([\w.-]+)\)?")


@dataclass(frozen=True)
class TrainedOn:
    """A data set that went into a model."""

    identifier: str
    """ORG/NAME on the Hub, or the name of its source without folder and suffix."""
    title: str
    licence: str
    """What the descriptor says: free text."""


def head(
    model: str,
    version: str,
    sets: Sequence[TrainedOn],
    scores: Mapping[str, Any] | None,
    top1: float | None,
    *,
    published_start: bool,
) -> str:
    """Return the head between its `---` lines.

    Args:
        model: `detector` or `backbone`.
        version: `v1.2.0`.
        sets: The data, that of the scores first.
        scores: `details.json` of the evaluation; None for a backbone.
        top1: Accuracy of the classifier that a backbone was cut from, 0 to 1.
        published_start: The training began with published weights, whose licence counts, too.
    """
    from huggingface_hub import EvalResult, ModelCardData

    task = ("object-detection", "Object detection") if scores else (
        "image-classification", "Image classification"
    )  # fmt: skip
    listed = (
        [(key, name, scores.get(key), _interval(scores, key)) for key, name in _SCORES]
        if scores
        else [("accuracy", "Top-1 of the classifier that it was cut from", top1, None)]
    )
    results = [
        EvalResult(
            task_type=task[0],
            task_name=task[1],
            dataset_type=sets[0].identifier,
            dataset_name=sets[0].title,
            dataset_split="test" if scores else "val",
            metric_type="accuracy" if key == "accuracy" else "mAP",
            metric_name=name,
            metric_value=round(value, 6),
            metric_args={"interval_95": interval} if interval else None,
        )
        for key, name, value, interval in listed
        if value is not None and sets
    ]
    licence = _licence(sets) if not published_start else None
    data = ModelCardData(
        license=licence or "other",
        license_name=None if licence else "that-of-the-training-data",
        license_link=None if licence else LICENCE_FILE,
        library_name=_LIBRARY,
        pipeline_tag=task[0] if scores else "image-feature-extraction",
        tags=["yolo", "yolov1", model, version],
        datasets=[own.identifier for own in sets],
        metrics=["accuracy"] if not scores else ["mAP"],
        model_name=f"{model} {version}",
        eval_results=results or None,
    )
    return f"---\n{data.to_yaml()}\n---\n"


def _interval(scores: Mapping[str, Any], key: str) -> list[float] | None:
    interval = interval_of(scores, key)
    return [round(bound, 6) for bound in interval] if interval else None


def _licence(sets: Iterable[TrainedOn]) -> str | None:
    """The Hub's name of the licence, if all sets state the same one: `MIT` or `... (MIT)`."""
    found = {match[1].lower() if (match := _LICENCE.fullmatch(own.licence)) else "" for own in sets}
    (only,) = found if len(found) == 1 else ("",)
    return only if only in _LICENCES else None
