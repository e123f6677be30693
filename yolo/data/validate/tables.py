"""What is known of the images of each split as tables: one row per image, one per object."""

import unicodedata
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

from yolo.class_names import problem_with
from yolo.data.formats.annotations import Box, Object
from yolo.data.formats.index import OK, ImageList, Record
from yolo.data.formats.path_lookup import same_name
from yolo.data.validate import copies, orientation
from yolo.data.validate.probe import Probe

Columns = dict[str, list[Any]]

_IMAGE_COLUMNS = (
    "image_row",
    "split",
    "name",
    "file",
    "readable",
    "width",
    "height",
    "orientation",
    "format",
    "range",
    "copy",
    "lookalike",
    "annotation",
)
CLASSIFICATION_IMAGES = (*_IMAGE_COLUMNS, "class")
DETECTION_IMAGES = (
    *_IMAGE_COLUMNS,
    "image",
    "parsed",
    "listing",
    "stated_size",
    "stated_filename",
    "tags",
    "relabelled",
    "cells",
)
OBJECTS = (
    "image_row",
    "split",
    "file",
    "object",
    "class",
    "class_text",
    "class_problem",
    "box",
    "box_text",
    "xmin",
    "ymin",
    "xmax",
    "ymax",
    "width",
    "height",
    "shorter_side",
    "overhang",
    "twin",
    "difficult",
    "truncated",
)
_FORMATS = {".jpg": "JPEG", ".jpeg": "JPEG", ".png": "PNG", ".bmp": "BMP", ".webp": "WEBP"}
_SHOWN = 20
"""Names of classes that a finding lists."""


def image_table(
    lists: Mapping[str, Sequence[str]],
    records: Mapping[str, Record],
    probes: Mapping[str, Probe],
    *,
    detection: bool,
    near_duplicate_bits: int,
    image_lists: Sequence[ImageList] = (),
) -> Columns:
    """Table of the images, split by split in the order of their lists.

    Columns hold `ok` or the problem, or a value that a rule compares; None where it is not known.
    Images in different splits are alike when their perceptual hashes differ in no more than
    `near_duplicate_bits`. `cells` is left to `mark_collisions`.
    """
    table: Columns = {
        name: [] for name in (DETECTION_IMAGES if detection else CLASSIFICATION_IMAGES)
    }
    copied = copies.copies(lists, probes)
    lookalikes = copies.lookalikes(lists, probes, near_duplicate_bits)
    relabelled = copies.relabelled(lists, probes) if detection else {}
    places = _places(records, image_lists)
    for split, names in lists.items():
        seen: set[str] = set()
        for name in names:
            record, probe = records[name], probes[name]
            row = {
                "image_row": len(table["name"]),
                "split": split,
                "name": name,
                "file": record.image or record.annotation or name,
                "readable": probe.image.readable,
                "width": probe.image.width,
                "height": probe.image.height,
                "orientation": orientation.describe(probe),
                "format": _format(record, probe),
                "range": probe.image.range,
                "copy": copies.copy(copied, probe.image.content, split, name),
                "lookalike": lookalikes.get((split, name), OK),
            }
            if detection:
                repeat = "listed twice" if name in seen else record.listing
                row |= {
                    "listing": repeat,
                    "relabelled": relabelled.get(name, OK),
                    "cells": OK,
                    **_annotation_columns(record, probe, places.get(name, "")),
                }
            else:
                row |= {
                    "class": record.label,
                    "annotation": OK if record.label is not None else "in no class folder",
                }
            seen.add(name)
            for column, values in table.items():
                values.append(row[column])
    return table


def object_table(
    images: Columns,
    records: Mapping[str, Record],
    probes: Mapping[str, Probe],
    rename: Mapping[str, str | None],
) -> Columns:
    """Table of the objects of the images in `images`, in the same order, boxes upright.

    Args:
        images: From `image_table`.
        records: By name.
        probes: By name.
        rename: What a class is to be called instead; None: its objects are left out.
    """
    table: Columns = {name: [] for name in OBJECTS}
    for image_row, name in enumerate(images["name"]):
        annotation = probes[name].annotation
        if annotation is None:
            continue
        first: dict[tuple[str, Box], int] = {}
        place = records[name].place
        for found, box in zip(annotation.objects, orientation.boxes(probes[name]), strict=True):
            label = rename.get(found.name, found.name)
            if label is None:
                continue
            twin = OK
            if box is not None:
                number = first.setdefault((label, box), found.number)
                twin = OK if number == found.number else f"is object {number} again"
            row = {
                "image_row": image_row,
                "split": images["split"][image_row],
                "file": place,
                "twin": twin,
                **_object_columns(found, label, box, probes[name]),
            }
            for column, values in table.items():
                values.append(row[column])
    return table


def list_table(lists: Sequence[tuple[ImageList, str]]) -> Columns:
    """Table of the set's own lists: file, and `ok` or how to use one that is not used."""
    return {"file": [one.file for one, _ in lists], "use": [use for _, use in lists]}


def class_table(
    classes: Sequence[str], found: Sequence[str], counts: Mapping[str, Mapping[str, int]]
) -> Columns:
    """Table of the classes: their examples by split, and what their names say.

    Args:
        classes: In their order.
        found: Names that the set has.
        counts: Admitted examples by split and class.
    """
    alike: dict[str, list[str]] = {}
    for name in dict.fromkeys((*classes, *found)):
        alike.setdefault(_folded(name), []).append(name)
    others = {name: [other for other in alike[_folded(name)] if other != name] for name in classes}
    return {
        "class": list(classes),
        "alike": [
            f"also {', '.join(map(repr, others[name]))}" if others[name] else OK for name in classes
        ],
        "coverage": [
            name if name in found else f"{name} (the set has {listed(found)})" for name in classes
        ],
        **{split: [own.get(name, 0) for name in classes] for split, own in counts.items()},
    }


def listed(names: Sequence[str]) -> str:
    """Names of classes for people, no more than fit a line."""
    more = len(names) - _SHOWN
    return ", ".join(names[:_SHOWN]) + (f" and {more} more" if more > 0 else "") or "none"


def mark_collisions(images: Columns, objects: Columns, classes: Sequence[str], grid: int) -> None:
    """Fill the column `cells` of `images`: objects whose centres lie in one cell of the grid.

    Such objects share one target, so the detector learns one of them (paper section 2.4). Counted
    are those that could be targets: of the classes asked for, with a box, not difficult.
    """
    places: dict[tuple[int, int, int], list[int]] = {}
    for row, image_row in enumerate(objects["image_row"]):
        cell = _cell(objects, row, grid)
        if cell is not None and objects["class"][row] in classes:
            places.setdefault((image_row, *cell), []).append(objects["object"][row])
    found: dict[int, list[str]] = {}
    for (image_row, *_), numbers in places.items():
        if len(numbers) > 1:
            found.setdefault(image_row, []).append(" and ".join(map(str, numbers)))
    for image_row, groups in found.items():
        text = f"objects {', '.join(groups)} share a cell of {grid}x{grid}"
        images["cells"][image_row] = text


def _cell(objects: Columns, row: int, grid: int) -> tuple[int, int] | None:
    """Column and row of the cell of an object's centre; None when it is no target."""
    size = objects["width"][row], objects["height"][row]
    empty = objects["shorter_side"][row] is None or objects["shorter_side"][row] <= 0
    if None in size or empty or objects["difficult"][row] == "1":
        return None
    centres = [
        ((objects[low][row] + objects[high][row]) / 2 - 1) / side
        for low, high, side in zip(("xmin", "ymin"), ("xmax", "ymax"), size, strict=True)
    ]
    column, line = (min(grid - 1, max(0, int(centre * grid))) for centre in centres)
    return column, line


def classes_found(table: Columns) -> tuple[str, ...]:
    """Names of classes in a table of images or objects, sorted."""
    return tuple(sorted({name for name in table["class"] if name}))


def set_apart_unusable(objects: Columns) -> None:
    """Where all classes found are asked for: those whose names cannot be used are no classes."""
    problems = {name: problem_with([name]) for name in dict.fromkeys(objects["class"]) if name}
    for row, name in enumerate(objects["class"]):
        if problem := problems.get(name):
            objects["class"][row] = None
            objects["class_problem"][row] = problem


def _folded(name: str) -> str:
    """The name without what people do not see or mean: case, blanks, hyphens, invisible marks."""
    letters = unicodedata.normalize("NFKC", name).casefold()
    return "".join(
        letter
        for letter in letters
        if letter not in "_-" and not letter.isspace() and unicodedata.category(letter) != "Cf"
    )


def _places(records: Mapping[str, Record], lists: Sequence[ImageList]) -> dict[str, str]:
    """The line of a list that names an image of which something is missing, by name."""
    found: dict[str, str] = {}
    for one in lists:
        for name, line in zip(one.images, one.lines, strict=False):
            record = records[name]
            if record.image is None or not record.annotated:
                found.setdefault(name, f"line {line} of {one.file}")
    return found


def _format(record: Record, probe: Probe) -> str:
    """Whether the content is of the kind that the file's extension says."""
    expected = _FORMATS.get(PurePosixPath(record.image or "").suffix.lower())
    kind = probe.image.format
    return OK if not kind or expected in (None, kind) else f"named {expected}, is {kind}"


def _annotation_columns(record: Record, probe: Probe, place: str) -> dict[str, Any]:
    absent = "; ".join(filter(None, (record.absent, place and f"named in {place}")))
    missing = f"missing: {absent}" if absent else "missing"
    return {
        "image": OK if record.image else missing,
        "annotation": OK if record.annotated else missing,
        "parsed": probe.problem,
        "stated_size": orientation.stated_size(probe),
        "stated_filename": _stated_filename(record, probe),
        "tags": _tags(probe),
    }


def _stated_filename(record: Record, probe: Probe) -> str | None:
    if probe.annotation is None or record.image is None:
        return None
    image = PurePosixPath(record.image)
    # Some programs state the path below the folder of images, or one of another machine.
    stated = PurePosixPath(probe.annotation.filename.replace("\\", "/")).name
    if not stated or same_name(stated, image.name) or same_name(stated, image.stem):
        return OK
    return f"stated {probe.annotation.filename}, is {image.name}"


def _tags(probe: Probe) -> str:
    tags = probe.annotation.odd_tags if probe.annotation else ""
    return f"{tags}: read as {tags.lower()}" if tags else OK


def _object_columns(found: Object, label: str, box: Box | None, probe: Probe) -> dict[str, Any]:
    columns: dict[str, Any] = {
        "object": found.number,
        "class": label,
        "class_text": label or found.unnamed,
        "class_problem": OK,
        "box": OK,
        "box_text": found.box_text,
        "width": probe.image.width,
        "height": probe.image.height,
        "difficult": found.difficult,
        "truncated": found.truncated,
    }
    if box is None:
        missing = ("xmin", "ymin", "xmax", "ymax", "shorter_side", "overhang")
        problem = "is not four finite numbers" if found.box is None else OK
        return {**columns, "box": problem, **dict.fromkeys(missing)}
    return {**columns, **box_columns(box, probe.image.width, probe.image.height)}


def box_columns(
    box: tuple[float, float, float, float], width: int | None, height: int | None
) -> dict[str, float | None]:
    """A box, its shorter side and how many pixels it is outside an image of this size."""
    xmin, ymin, xmax, ymax = box
    overhang = None
    if width is not None and height is not None:
        overhang = max(1 - min(xmin, ymin), xmax - width, ymax - height, 0.0)
    return {
        "xmin": xmin,
        "ymin": ymin,
        "xmax": xmax,
        "ymax": ymax,
        "shorter_side": min(xmax - xmin, ymax - ymin),
        "overhang": overhang,
    }
