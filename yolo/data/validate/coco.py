"""Sets annotated in COCO's JSON: a file describes the images of a split, or of all.

COCO counts from 0 and a box is x, y, width, height: it covers the pixels from x to x + width, which
are x + 1 to x + width when the first pixel is 1.
"""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from yolo.data.validate import json_stream
from yolo.data.validate.annotations import FARTHEST, Annotation, Box, Object
from yolo.data.validate.image_names import Images
from yolo.data.validate.index import Files, Index, Limits, extension, visible
from yolo.data.validate.set_annotations import Described, index_of
from yolo.errors import UserError

_FEW = 100
"""JSON files in one folder; where there are more, each is of one image and not COCO's."""
_BEGINNING = re.compile(rb'"(images|annotations|categories)"\s*:\s*\[')
_NAMED = re.compile(r"(instances_.*|.*\.coco)\.json")


def read(files: Files, limits: Limits) -> Index | None:
    """Read all files of the set; None when none is COCO's.

    Raises:
        UserError: A file is damaged or over a limit, or none of them has both images and boxes.
    """
    names = visible(files.names())
    chosen, others = _choose(files, names, limits)
    if not chosen:
        return None
    documents = []
    for file in chosen:
        document = _read(files, file, limits, sum(one.count for one in documents))
        if document.images and (document.count or document.classes):
            documents.append(document)
        else:
            others.append(file)
    if not any(one.count for one in documents):
        raise UserError(
            f"{files.path} looks like COCO ({chosen[0]}), but no file has both images and "
            "annotations with boxes"
        )
    described = [(document.file, _described(document)) for document in documents]
    notes = [f"{other} was not read" for other in others]
    return index_of("COCO JSON", Images(names), described, others, notes)


@dataclass
class _Document:
    """One file, its entries as they stand; ids are text."""

    file: str
    images: list[dict[str, Any]] = field(default_factory=list)
    classes: dict[str, str] = field(default_factory=dict)
    objects: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    """By the id of their image; of an object only what is needed."""
    count: int = 0
    """Objects."""


def _choose(files: Files, names: Sequence[str], limits: Limits) -> tuple[list[str], list[str]]:
    """The files to read, and those beside them that describe the same images in other ways."""
    jsons = [name for name in names if extension(name) == ".json"]
    counts = Counter(name.rpartition("/")[0] for name in jsons)
    found = [
        name
        for name in jsons
        if _NAMED.fullmatch(name.rpartition("/")[2].lower())
        or (
            counts[name.rpartition("/")[0]] <= _FEW
            and _BEGINNING.search(next(files.chunks(name, limits.set_annotation_bytes), b""))
        )
    ]
    instances = [name for name in found if name.rpartition("/")[2].startswith("instances_")]
    if instances:
        return instances, [name for name in found if name not in instances]
    return found, []


def _read(files: Files, file: str, limits: Limits, before: int) -> _Document:
    document = _Document(file)
    try:
        for key, entry in json_stream.entries(files.chunks(file, limits.set_annotation_bytes)):
            if key not in ("images", "annotations", "categories"):
                continue
            if not isinstance(entry, dict):
                raise UserError(f"has {str(entry)[:40]!r} among its {key}, which are objects")
            if key == "images":
                document.images.append(entry)
            elif key == "categories":
                document.classes[str(entry.get("id"))] = str(entry.get("name") or "").strip()
            elif "bbox" in entry or entry.get("segmentation"):
                document.count += 1
                if before + document.count > limits.objects:
                    raise UserError(
                        f"has more than {limits.objects} objects, the limit; "
                        "if that is right, raise limits.objects in params.yaml"
                    )
                own = document.objects.setdefault(str(entry.get("image_id")), [])
                own.append(_needed(entry))
    except UserError as error:
        raise UserError(f"{files.path}: {file} {error}") from None
    return document


def _needed(entry: dict[str, Any]) -> dict[str, Any]:
    """Without the outline, which may be thousands of numbers."""
    box = entry.get("bbox")
    if box is None:
        box = _around(entry.get("segmentation"))
    return {
        "id": entry.get("id"),
        "class": str(entry.get("category_id")),
        "bbox": box,
        "crowd": entry.get("iscrowd") in (1, True),
    }


def _around(outline: Any) -> list[float] | None:
    """Box around polygons; None for a mask in run lengths."""
    if not isinstance(outline, list):
        return None
    numbers = [value for polygon in outline if isinstance(polygon, list) for value in polygon]
    if len(numbers) < 6 or not all(map(_is_number, numbers)):
        return None
    left, top = min(numbers[::2]), min(numbers[1::2])
    return [left, top, max(numbers[::2]) - left, max(numbers[1::2]) - top]


def _described(document: _Document) -> list[Described]:
    """Each image of the file, then those of which it has only objects."""
    known = {str(entry.get("id")) for entry in document.images}
    lost = [{"id": id_} for id_ in document.objects if id_ not in known]
    return [_one(entry, document) for entry in (*document.images, *lost)]


def _one(entry: dict[str, Any], document: _Document) -> Described:
    id_ = str(entry.get("id"))
    objects = tuple(
        _object(found, number, document.classes)
        for number, found in enumerate(document.objects.get(id_, ()), 1)
    )
    name = f"image {id_} of {document.file}"
    return Described(
        str(entry.get("file_name") or ""), Annotation(objects, size=_size(entry)), name
    )


def _object(entry: dict[str, Any], number: int, classes: dict[str, str]) -> Object:
    known = entry["class"] in classes
    return Object(
        number=number,
        name=classes.get(entry["class"], ""),
        box=read_box(entry["bbox"]),
        box_text=f"{_shown(entry['bbox'])} (annotation {entry['id']})",
        difficult="1" if entry["crowd"] else "0",
        unnamed="has no name" if known else f"its category {entry['class']} is not listed",
    )


def read_box(numbers: Any) -> Box | None:
    """COCO's x, y, width, height as a box; None when it is not four numbers."""
    if not isinstance(numbers, list) or len(numbers) != 4 or not all(map(_is_number, numbers)):
        return None
    x, y, width, height = (float(number) for number in numbers)
    return x + 1, y + 1, x + width, y + height


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < FARTHEST


def _shown(box: Any) -> str:
    return " ".join(map(str, box)) if isinstance(box, list) else str(box)


def _size(entry: dict[str, Any]) -> str | None:
    sides = [entry.get("width"), entry.get("height")]
    return "x".join(str(_whole(side)) for side in sides) if all(map(_is_number, sides)) else None


def _whole(number: Any) -> Any:
    return int(number) if number == int(number) else number
