"""Facts about the pictures of each split as tables: one row per picture, one per object."""

from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

import numpy as np

from yolo.data.validate.index import OK, Entry
from yolo.data.validate.perceptual_hash import BITS, nearest
from yolo.data.validate.probe import Facts
from yolo.data.validate.voc import Object

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
    "copy",
    "lookalike",
    "annotation",
)
CLASSIFICATION_IMAGES = (*_IMAGE_COLUMNS, "class")
DETECTION_IMAGES = (
    *_IMAGE_COLUMNS,
    "image",
    "xml",
    "listing",
    "stated_size",
    "stated_filename",
    "cells",
)
OBJECTS = (
    "image_row",
    "split",
    "file",
    "object",
    "class",
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
    "difficult",
    "truncated",
)

_TURNED = range(2, 9)
_NOT_UPRIGHT = range(5, 9)
_FORMATS = {".jpg": "JPEG", ".jpeg": "JPEG", ".png": "PNG", ".bmp": "BMP", ".webp": "WEBP"}


def image_table(
    lists: Mapping[str, Sequence[str]],
    entries: Mapping[str, Entry],
    facts: Mapping[str, Facts],
    *,
    detection: bool,
    near_duplicate_bits: int,
) -> Columns:
    """Table of the pictures, split by split in the order of their lists.

    Columns hold `ok` or the problem, or a value that a rule compares; None where it is not known.
    Pictures in different splits are alike when their perceptual hashes differ in no more than
    `near_duplicate_bits`. `cells` is left to `mark_collisions`.
    """
    table: Columns = {
        name: [] for name in (DETECTION_IMAGES if detection else CLASSIFICATION_IMAGES)
    }
    copies = _copies(lists, facts)
    lookalikes = _lookalikes(lists, facts, near_duplicate_bits)
    for split, names in lists.items():
        seen: set[str] = set()
        for name in names:
            entry, known = entries[name], facts[name]
            row = {
                "image_row": len(table["name"]),
                "split": split,
                "name": name,
                "file": entry.image or entry.annotation or name,
                "readable": known.picture.readable,
                "width": known.picture.width,
                "height": known.picture.height,
                "orientation": _orientation(known.picture.orientation),
                "format": _format(entry, known),
                "copy": _copy(copies, known.picture.content, split, name),
                "lookalike": lookalikes.get((split, name), OK),
            }
            if detection:
                repeat = "listed twice" if name in seen else entry.listing
                row |= {"listing": repeat, "cells": OK, **_annotation_columns(entry, known)}
            else:
                row |= {
                    "class": entry.label,
                    "annotation": OK if entry.label is not None else "in no class folder",
                }
            seen.add(name)
            for column, values in table.items():
                values.append(row[column])
    return table


def object_table(
    images: Columns, entries: Mapping[str, Entry], facts: Mapping[str, Facts]
) -> Columns:
    """Table of the objects of the pictures in `images`, in the same order."""
    table: Columns = {name: [] for name in OBJECTS}
    for image_row, name in enumerate(images["name"]):
        annotation = facts[name].annotation
        for found in annotation.objects if annotation else ():
            row = {
                "image_row": image_row,
                "split": images["split"][image_row],
                "file": entries[name].annotation,
                **_object_columns(found, facts[name]),
            }
            for column, values in table.items():
                values.append(row[column])
    return table


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
    """Class names of a table of pictures or objects, sorted."""
    return tuple(sorted({name for name in table["class"] if name}))


def _copies(
    lists: Mapping[str, Sequence[str]], facts: Mapping[str, Facts]
) -> dict[str, list[tuple[str, str]]]:
    """(split, name) of all pictures with the same bytes, for bytes that are in several splits."""
    places: dict[str, list[tuple[str, str]]] = {}
    for split, names in lists.items():
        for name in names:
            content, readable = facts[name].picture.content, facts[name].picture.readable
            # What is left out for being broken, such as two empty files, is no leak.
            if content is not None and readable == OK:
                places.setdefault(content, []).append((split, name))
    return {
        content: found
        for content, found in places.items()
        if len({split for split, _ in found}) > 1
    }


def _copy(
    copies: Mapping[str, Sequence[tuple[str, str]]], content: str | None, split: str, name: str
) -> str:
    """Found in all splits but the last, so that dropping the rows found leaves one split whole."""
    places = copies.get(content or "", ())
    if not places or split == places[-1][0]:
        return OK
    other_split, other = places[-1]
    return f"is {other} of {other_split}" if other != name else f"is in {other_split} too"


def _lookalikes(
    lists: Mapping[str, Sequence[str]], facts: Mapping[str, Facts], most_bits: int
) -> dict[tuple[str, str], str]:
    """What looks like it in a later split, by (split, name); the same bytes are no lookalike."""
    known = {
        split: {
            name: value for name in names if (value := facts[name].picture.likeness) is not None
        }
        for split, names in lists.items()
    }
    found: dict[tuple[str, str], str] = {}
    splits = list(lists)
    for number, split in enumerate(splits):
        for other in splits[number + 1 :]:
            if not known[split] or not known[other]:
                continue
            names, others = list(known[split]), list(known[other])
            places, distances = nearest(list(known[split].values()), list(known[other].values()))
            for row in np.flatnonzero(distances <= most_bits).tolist():
                name, twin = names[row], others[places[row]]
                if facts[name].picture.content != facts[twin].picture.content:
                    bits = f"{distances[row]} of {BITS} bits differ"
                    found[split, name] = f"looks like {twin} of {other} ({bits})"
    return found


def _orientation(orientation: int) -> str:
    return (
        OK
        if orientation not in _TURNED
        else f"EXIF orientation {orientation}, which is not applied"
    )


def _format(entry: Entry, known: Facts) -> str:
    """Whether the content is of the kind that the file's extension says."""
    expected = _FORMATS.get(PurePosixPath(entry.image or "").suffix.lower())
    kind = known.picture.kind
    return OK if not kind or expected in (None, kind) else f"named {expected}, is {kind}"


def _annotation_columns(entry: Entry, known: Facts) -> dict[str, Any]:
    return {
        "image": OK if entry.image else "missing",
        "annotation": OK if entry.annotation else "missing",
        "xml": known.xml,
        "stated_size": _stated_size(known),
        "stated_filename": _stated_filename(entry, known),
    }


def _stated_size(known: Facts) -> str | None:
    if known.annotation is None or known.picture.width is None:
        return None
    stated, size = known.annotation.size, f"{known.picture.width}x{known.picture.height}"
    if stated == size:
        return OK
    turned = known.picture.orientation in _NOT_UPRIGHT
    return f"stated {stated}, is {size}" + (" (EXIF orientation is not applied)" * turned)


def _stated_filename(entry: Entry, known: Facts) -> str | None:
    if known.annotation is None or entry.image is None:
        return None
    stated, image = known.annotation.filename, PurePosixPath(entry.image)
    return OK if stated in ("", image.name, image.stem) else f"stated {stated}, is {image.name}"


def _object_columns(found: Object, known: Facts) -> dict[str, Any]:
    columns: dict[str, Any] = {
        "object": found.number,
        "class": found.name,
        "box": OK,
        "box_text": found.box_text,
        "width": known.picture.width,
        "height": known.picture.height,
        "difficult": found.difficult,
        "truncated": found.truncated,
    }
    if found.box is None:
        missing = ("xmin", "ymin", "xmax", "ymax", "shorter_side", "overhang")
        return {**columns, "box": "is not four finite numbers", **dict.fromkeys(missing)}
    return {**columns, **box_columns(found.box, known.picture.width, known.picture.height)}


def box_columns(
    box: tuple[float, float, float, float], width: int | None, height: int | None
) -> dict[str, float | None]:
    """A box, its shorter side and how many pixels it is outside a picture of this size."""
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
