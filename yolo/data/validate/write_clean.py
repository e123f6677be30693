"""Write what was admitted: the clean store, and how much it is."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from yolo.data.store.clean_set import (
    CLASSIFICATION_SCHEMA,
    DETECTION_SCHEMA,
    write_classes,
    write_split,
)
from yolo.data.store.images import decode, encode_jpeg, shrink
from yolo.data.validate.index import Files
from yolo.data.validate.validation import Assessment
from yolo.runtime.progress import progress
from yolo.runtime.workers import Workers

_SIDES = ("xmin", "ymin", "xmax", "ymax")


def write_store(
    folder: Path,
    files: Files,
    assessment: Assessment,
    splits: Sequence[str],
    shorter_side: int | None,
    workers: Workers,
) -> None:
    """Write one file per split and the class names into an existing folder.

    Pictures whose shorter side is above `shorter_side` are reduced to it and encoded as JPEG; all
    others keep the published bytes. Sizes and boxes stay in the published pixels, in which the
    VOC protocols score.
    """
    write_classes(folder, assessment.classes)
    numbers = {name: number for number, name in enumerate(assessment.classes)}
    images = assessment.images
    labels = _object_columns(assessment, numbers)
    schema = CLASSIFICATION_SCHEMA if labels is None else DETECTION_SCHEMA
    for split in splits:
        rows = [row for row, own in enumerate(images["split"]) if own == split]
        jobs = (
            (
                assessment.entries[images["name"][row]].image,
                min(images["width"][row], images["height"][row]),
            )
            for row in rows
        )
        # Only what is encoded anew is worth sending to other processes.
        able = Workers() if shorter_side is None else workers
        encoded = able.map(_encode, (files, shorter_side), jobs)
        pairs = progress(zip(rows, encoded, strict=True), f"write {split}", len(rows))
        records = (
            {
                "name": images["name"][row],
                "image": data,
                "width": images["width"][row],
                "height": images["height"][row],
                **(
                    {"label": numbers[images["class"][row]]}
                    if labels is None
                    else labels.get(images["image_row"][row], _NO_OBJECTS)
                ),
            }
            for row, data in pairs
        )
        write_split(folder, split, schema, len(rows), records)


def counts(assessment: Assessment, splits: Sequence[str]) -> dict[str, Any]:
    """What is admitted and what was found, for `dvc metrics show`."""
    losses = assessment.admission.losses()
    kinds = losses["what"] if assessment.objects is not None else losses["what"][:1]
    return {
        **{split: _split_counts(assessment, split) for split in splits},
        "classes": len(assessment.classes),
        "unlisted": len(assessment.unlisted),
        "ignored": len(assessment.ignored),
        "listed": dict(zip(kinds, losses["listed"], strict=False)),
        "rejected": dict(zip(kinds, losses["lost"], strict=False)),
        "findings": dict(
            sorted(Counter(found.rule for found in assessment.admission.findings).items())
        ),
    }


_NO_OBJECTS: dict[str, list[Any]] = {"boxes": [], "labels": [], "difficult": [], "truncated": []}


def _object_columns(
    assessment: Assessment, numbers: dict[str, int]
) -> dict[int, dict[str, list[Any]]] | None:
    """Boxes, labels and flags by the `image_row` of their picture."""
    objects = assessment.objects
    if objects is None:
        return None
    found: dict[int, dict[str, list[Any]]] = {}
    for row, image_row in enumerate(objects["image_row"]):
        columns = found.setdefault(image_row, {name: [] for name in _NO_OBJECTS})
        columns["boxes"].append([objects[side][row] for side in _SIDES])
        columns["labels"].append(numbers[objects["class"][row]])
        columns["difficult"].append(objects["difficult"][row] == "1")
        columns["truncated"].append(objects["truncated"][row] == "1")
    return found


def _encode(
    shared: tuple[Files, int | None], jobs: Sequence[tuple[str | None, int]]
) -> list[bytes]:
    """Encoded bytes of admitted pictures, (member, shorter side), reduced if it is too large."""
    files, shorter_side = shared
    encoded = []
    for member, side in jobs:
        assert member is not None, "a picture was admitted without a file"
        data = files.read(member)
        if shorter_side is not None and side > shorter_side:
            data = encode_jpeg(shrink(decode(data, member), shorter_side))
        encoded.append(data)
    return encoded


def _split_counts(assessment: Assessment, split: str) -> dict[str, Any]:
    images, objects = assessment.images, assessment.objects
    examples = dict(zip(assessment.classes, assessment.examples[split], strict=True))
    result: dict[str, Any] = {"images": images["split"].count(split)}
    if objects is None:
        # A number per class would be a screen of its own for a thousand classes.
        return {
            **result,
            "smallest_class": min(examples.values(), default=0),
            "largest_class": max(examples.values(), default=0),
        }
    rows = [row for row, own in enumerate(objects["split"]) if own == split]
    shown = {objects["image_row"][row] for row in rows}
    return {
        **result,
        "images_without_objects": result["images"] - len(shown),
        "objects": len(rows),
        "difficult": sum(objects["difficult"][row] == "1" for row in rows),
        "per_class": examples,
    }
