"""Sets annotated in COCO's JSON: a file describes the images of a split, or of all.

COCO counts from 0 and a box is x, y, width, height: it covers the pixels from x to x + width, which
are x + 1 to x + width when the first pixel is 1.
"""

import re
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from yolo.data.formats import json_stream
from yolo.data.formats.annotations import FARTHEST, Annotation, Box, Object
from yolo.data.formats.image_names import Images
from yolo.data.formats.index import Files, Index, Limits, extension, visible
from yolo.data.formats.set_annotations import Described, index_of
from yolo.errors import UserError

_FEW = 100
"""JSON files in one folder; where there are more, each is of one image and not COCO's."""
_BEGINNING = re.compile(
    rb'(\xef\xbb\xbf)?\s*\{[\s\S]*"(images|annotations|categories)"\s*:\s*\[\s*\{'
)
_IMAGES = re.compile(rb'"(images|annotations)"\s*:\s*\[\s*\{')
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
    begun = False
    for file in chosen:
        document = _read(files, file, limits, sum(one.count for one in documents))
        if document.images and (document.count or document.classes):
            documents.append(document)
        else:
            others.append(file)
            begun = begun or bool(document.images or document.count)
    if not any(one.count for one in documents):
        if not (begun or documents or any(map(_is_named, chosen))):
            # Other programs list categories too, such as Label Studio beside labels for YOLO.
            return None
        raise UserError(
            f"{files.path} looks like COCO ({chosen[0]}), but no file has both images and "
            "annotations with boxes"
        )
    described = [(document.file, _described(document)) for document in documents]
    notes = [f"{other} was not read" for other in others]
    return index_of("COCO JSON", Images(names), described, others, notes)


class _Image(NamedTuple):
    """What is needed of an image; as the file has it, but for the id, which is text."""

    id: str
    name: Any = ""
    width: Any = None
    height: Any = None


class _Object(NamedTuple):
    """What is needed of an annotation; the outline, which may be thousands of numbers, is not."""

    id: Any
    category: str
    box: Any
    crowd: bool


@dataclass
class _Document:
    """One file."""

    file: str
    images: list[_Image] = field(default_factory=list)
    classes: dict[str, str] = field(default_factory=dict)
    """Names by id, as text."""
    objects: dict[str, list[_Object]] = field(default_factory=dict)
    """By the id of their image."""
    count: int = 0
    """Objects."""


def documents(files: Files, names: Sequence[str], limits: Limits) -> list[str]:
    """The files that begin as COCO's do with images or annotations."""
    chosen, others = _choose(files, names, limits)
    return [
        name
        for name in (*chosen, *others)
        if _IMAGES.search(next(files.chunks(name, limits.set_annotation_bytes), b""))
    ]


def _choose(files: Files, names: Sequence[str], limits: Limits) -> tuple[list[str], list[str]]:
    """The files to read, and those beside them that describe the same images in other ways."""
    jsons = [name for name in names if extension(name) == ".json"]
    counts = Counter(name.rpartition("/")[0] for name in jsons)
    found = [
        name
        for name in jsons
        if _is_named(name)
        or (
            counts[name.rpartition("/")[0]] <= _FEW
            and _BEGINNING.match(next(files.chunks(name, limits.set_annotation_bytes), b""))
        )
    ]
    instances = [name for name in found if name.rpartition("/")[2].startswith("instances_")]
    if instances:
        return instances, [name for name in found if name not in instances]
    return found, []


def _is_named(name: str) -> bool:
    return bool(_NAMED.fullmatch(name.rpartition("/")[2].lower()))


def _read(files: Files, file: str, limits: Limits, before: int) -> _Document:
    document = _Document(file)
    try:
        for key, entry in json_stream.entries(files.chunks(file, limits.set_annotation_bytes)):
            if key not in ("images", "annotations", "categories"):
                continue
            if not isinstance(entry, dict):
                raise UserError(f"has {str(entry)[:40]!r} among its {key}, which are objects")
            if key == "images":
                document.images.append(_image(entry))
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
                own.append(_annotation(entry))
    except UserError as error:
        raise UserError(f"{files.path}: {file} {error}") from None
    return document


def _image(entry: dict[str, Any]) -> _Image:
    name, width, height = (entry.get(key) for key in ("file_name", "width", "height"))
    return _Image(str(entry.get("id")), name, width, height)


def _annotation(entry: dict[str, Any]) -> _Object:
    box = entry.get("bbox")
    if box is None:
        box = _around(entry.get("segmentation"))
    # The same few texts hundreds of thousands of times.
    category = sys.intern(str(entry.get("category_id")))
    return _Object(entry.get("id"), category, box, entry.get("iscrowd") in (1, True))


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
    known = {image.id for image in document.images}
    if len(known) < len(document.images):
        (id_, count), *_ = Counter(image.id for image in document.images).most_common(1)
        raise UserError(f"{document.file} gives {count} images the id {id_}; each needs its own")
    lost = [_Image(id_) for id_ in document.objects if id_ not in known]
    found = [_one(image, document) for image in (*document.images, *lost)]
    document.objects.clear()
    return found


def _one(image: _Image, document: _Document) -> Described:
    objects = tuple(
        _object(found, number, document.classes)
        for number, found in enumerate(document.objects.get(image.id, ()), 1)
    )
    name = f"image {image.id} of {document.file}"
    return Described(str(image.name or ""), Annotation(objects, size=_size(image)), name)


def _object(found: _Object, number: int, classes: dict[str, str]) -> Object:
    known = found.category in classes
    return Object(
        number=number,
        name=classes.get(found.category, ""),
        box=read_box(found.box),
        box_text=f"{_shown(found.box)} (annotation {found.id})",
        difficult="1" if found.crowd else "0",
        unnamed="has no name" if known else f"its category {found.category} is not listed",
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


def _size(image: _Image) -> str | None:
    sides = (image.width, image.height)
    return "x".join(str(_whole(side)) for side in sides) if all(map(_is_number, sides)) else None


def _whole(number: Any) -> Any:
    return int(number) if number == int(number) else number
