"""Write what was admitted: the clean store, and how much it is."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from yolo.data.formats.index import Files
from yolo.data.store.clean_set import (
    CLASSIFICATION_SCHEMA,
    DETECTION_SCHEMA,
    write_classes,
    write_split,
)
from yolo.data.store.images import decode, encode_jpeg, encode_png, shrink, turn
from yolo.data.validate.probe import ImageProbe
from yolo.data.validate.validation import ValidationResult
from yolo.runtime.progress import progress
from yolo.runtime.workers import Workers

_SIDES = ("xmin", "ymin", "xmax", "ymax")


def write_store(
    folder: Path,
    files: Files,
    result: ValidationResult,
    splits: Sequence[str],
    shorter_side: int | None,
    workers: Workers,
) -> None:
    """Write one file per split and the class names into an existing folder.

    Images whose shorter side is above `shorter_side` are reduced to it and encoded as JPEG; images
    that EXIF turns are stored as viewers show them (JPEG stays JPEG, others become PNG); all others
    keep the published bytes. Sizes and boxes stay in the published pixels, upright, in which the
    VOC protocols score.
    """
    write_classes(folder, result.classes)
    numbers = {name: number for number, name in enumerate(result.classes)}
    images = result.images
    labels = _object_columns(result, numbers)
    schema = CLASSIFICATION_SCHEMA if labels is None else DETECTION_SCHEMA
    for split in splits:
        rows = [row for row, own in enumerate(images["split"]) if own == split]
        names = [images["name"][row] for row in rows]
        jobs = [(result.records[name].image, result.probes[name].image) for name in names]
        # Only what is encoded anew is worth sending to other processes.
        anew = shorter_side is not None or any(probe.turned for _, probe in jobs)
        able = workers if anew else Workers()
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


def counts(result: ValidationResult, splits: Sequence[str]) -> dict[str, Any]:
    """What is admitted and what was found."""
    losses = result.filtered.losses()
    kinds = losses["what"] if result.objects is not None else losses["what"][:1]
    return {
        **{split: _split_counts(result, split) for split in splits},
        "classes": len(result.classes),
        "unlisted": len(result.unlisted),
        "ignored": len(result.index.ignored),
        "listed": dict(zip(kinds, losses["listed"], strict=False)),
        "rejected": dict(zip(kinds, losses["lost"], strict=False)),
        "findings": dict(sorted(Counter(found.rule for found in result.filtered.findings).items())),
    }


def admitted(result: ValidationResult, splits: Sequence[str]) -> dict[str, int]:
    """Images, and objects of a detection set, that are admitted in all splits together."""
    own = [_split_counts(result, split) for split in splits]
    kinds = ("images",) if result.objects is None else ("images", "objects")
    return {kind: sum(counted[kind] for counted in own) for kind in kinds}


_NO_OBJECTS: dict[str, list[Any]] = {"boxes": [], "labels": [], "difficult": [], "truncated": []}


def _object_columns(
    result: ValidationResult, numbers: dict[str, int]
) -> dict[int, dict[str, list[Any]]] | None:
    """Boxes, labels and flags by the `image_row` of their image."""
    objects = result.objects
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
    shared: tuple[Files, int | None], jobs: Sequence[tuple[str | None, ImageProbe]]
) -> list[bytes]:
    """Encoded bytes of admitted images, upright, reduced if they are too large."""
    files, shorter_side = shared
    encoded = []
    for member, probe in jobs:
        assert member is not None, "an image was admitted without a file"
        assert probe.width is not None and probe.height is not None
        data = files.read(member)
        large = shorter_side is not None and min(probe.width, probe.height) > shorter_side
        if large or probe.turned:
            image = turn(decode(data, member), probe.orientation)
            image = shrink(image, shorter_side) if large and shorter_side else image
            lossless = not large and probe.format != "JPEG"
            data = encode_png(image) if lossless else encode_jpeg(image)
        encoded.append(data)
    return encoded


def _split_counts(result: ValidationResult, split: str) -> dict[str, Any]:
    images, objects = result.images, result.objects
    examples = dict(zip(result.classes, result.examples[split], strict=True))
    found: dict[str, Any] = {"images": images["split"].count(split)}
    if objects is None:
        # A number per class would be a screen of its own for a thousand classes.
        return {
            **found,
            "smallest_class": min(examples.values(), default=0),
            "largest_class": max(examples.values(), default=0),
        }
    rows = [row for row, own in enumerate(objects["split"]) if own == split]
    shown = {objects["image_row"][row] for row in rows}
    return {
        **found,
        "images_without_objects": found["images"] - len(shown),
        "objects": len(rows),
        "difficult": sum(objects["difficult"][row] == "1" for row in rows),
        "per_class": examples,
    }
