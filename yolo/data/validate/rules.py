"""The rules that data must keep, and how a table is searched for rows that break them.

A rule is a name, a table and checks of two simple kinds, which this module evaluates with NumPy
and `expectations.py` with Great Expectations. Absent values (None, NaN) break no check.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from yolo.data.formats.index import OK

_FIELD = re.compile(r"\{(.+?)\}")
_LONGEST = 200
"""Characters of a value that a finding shows."""
Table = Mapping[str, Sequence[Any]]
"""Columns of equal length."""


@dataclass(frozen=True)
class OneOf:
    """The value is one of `values`."""

    column: str
    values: tuple[str, ...] = (OK,)


@dataclass(frozen=True)
class Within:
    """The value is at least `minimum` (above it if `strict`) and at most `maximum`."""

    column: str
    minimum: float | None = None
    maximum: float | None = None
    strict: bool = False


Check = OneOf | Within


@dataclass(frozen=True)
class Rule:
    """What must hold for each row of one table; broken when any of the checks is."""

    name: str
    table: str
    checks: tuple[Check, ...]
    value: str
    """Format of what a finding shows of the row."""
    meaning: str
    """What must hold, as a sentence for people."""


def image_rules(classes: Sequence[str]) -> tuple[Rule, ...]:
    """Rules for the images of a classification set; table `images`."""
    return (
        _READABLE,
        Rule(
            "missing_annotation",
            "images",
            (OneOf("annotation"),),
            "{annotation}",
            "The image lies in the folder of a class.",
        ),
        Rule(
            "unknown_class",
            "images",
            (OneOf("class", tuple(classes)),),
            "{class}",
            "The class is one of those asked for.",
        ),
        _FORMAT,
        _ORIENTATION,
        _RANGE,
        _COPY,
        _LOOKALIKE,
    )


def detection_rules(classes: Sequence[str]) -> tuple[Rule, ...]:
    """Rules for the images and objects of a detection set; tables `images` and `objects`."""
    return (
        Rule(
            "missing_image",
            "images",
            (OneOf("image"),),
            "{image}",
            "The listed or annotated image exists.",
        ),
        _READABLE,
        Rule(
            "missing_annotation",
            "images",
            (OneOf("annotation"),),
            "{annotation}",
            "The listed image has an annotation.",
        ),
        Rule(
            "unreadable_annotation",
            "images",
            (OneOf("parsed"),),
            "{parsed}",
            "The annotation file can be read.",
        ),
        Rule(
            "size_mismatch",
            "images",
            (OneOf("stated_size"),),
            "{stated_size}",
            "The image has the size that its annotation states.",
        ),
        Rule(
            "filename_mismatch",
            "images",
            (OneOf("stated_filename"),),
            "{stated_filename}",
            "The annotation names the image that it belongs to.",
        ),
        Rule(
            "odd_tag",
            "images",
            (OneOf("tags"),),
            "{tags}",
            "The annotation's tags are written as the format has them.",
        ),
        Rule(
            "duplicate_id",
            "images",
            (OneOf("listing"),),
            "{listing}",
            "The image is listed once and there is one file of its id.",
        ),
        _FORMAT,
        _ORIENTATION,
        _RANGE,
        _COPY,
        Rule(
            "conflicting_copy",
            "images",
            (OneOf("relabelled"),),
            "{relabelled}",
            "Images of the same bytes have the same objects.",
        ),
        _LOOKALIKE,
        Rule(
            "cell_collision",
            "images",
            (OneOf("cells"),),
            "{cells}",
            "No two objects have their centres in one cell of the detector's grid.",
        ),
        Rule(
            "invalid_class",
            "objects",
            (OneOf("class_problem"),),
            "{class_problem}",
            "The name of the class can be part of a file's name and is seen as it is.",
        ),
        Rule(
            "unknown_class",
            "objects",
            (OneOf("class", tuple(classes)),),
            "{class_text}",
            "The class is one of those asked for.",
        ),
        Rule(
            "invalid_box",
            "objects",
            (OneOf("box"),),
            "{box_text}",
            "The box is four numbers.",
        ),
        Rule(
            "empty_box",
            "objects",
            (Within("shorter_side", minimum=0, strict=True),),
            "{box_text}",
            "xmax is greater than xmin, and ymax than ymin.",
        ),
        Rule(
            "box_outside",
            "objects",
            (Within("overhang", maximum=0),),
            "{box_text} in {width}x{height}",
            "The box lies in the image: from 1 to its width and height.",
        ),
        Rule(
            "duplicate_object",
            "objects",
            (OneOf("twin"),),
            "{twin}",
            "No object is annotated twice with the same class and box.",
        ),
        Rule(
            "invalid_flag",
            "objects",
            (OneOf("difficult", ("0", "1")), OneOf("truncated", ("0", "1"))),
            "difficult {difficult}, truncated {truncated}",
            "The flags difficult and truncated are 0 or 1.",
        ),
    )


def set_rules(splits: Sequence[str], min_images: int, max_rejected: float) -> tuple[Rule, ...]:
    """Rules for a set as a whole.

    Tables `splits`, `classes` (a column per split), `lists`, `losses`.
    """
    others = [split for split in splits if split != "train"]
    return (
        Rule(
            "min_images",
            "splits",
            (Within("images", minimum=min_images),),
            "{split}: {images}",
            "Each split has enough images.",
        ),
        Rule(
            "class_coverage",
            "classes",
            tuple(Within(split, minimum=1) for split in splits if split == "train"),
            "{coverage}",
            "Each class has a training example.",
        ),
        Rule(
            "evaluation_coverage",
            "classes",
            tuple(Within(split, minimum=1) for split in others),
            "{class}: " + ", ".join(f"{split} {{{split}}}" for split in others),
            "Each class has an example in every other split.",
        ),
        Rule(
            "similar_classes",
            "classes",
            (OneOf("alike"),),
            "{class}: {alike}",
            "The names of classes differ in more than case, blanks, hyphens and invisible marks.",
        ),
        Rule(
            "unused_list",
            "lists",
            (OneOf("use"),),
            "{use}",
            "The set's own lists of images are used.",
        ),
        Rule(
            "max_rejected",
            "losses",
            (Within("share", maximum=max_rejected),),
            "{lost} of {listed} {what}",
            "No more than the allowed share is lost.",
        ),
    )


_READABLE = Rule(
    "unreadable_image",
    "images",
    (OneOf("readable"),),
    "{readable}",
    "The image can be decoded.",
)
_COPY = Rule(
    "duplicate_image",
    "images",
    (OneOf("copy"),),
    "{copy}",
    "No image is in two splits (same bytes).",
)
_LOOKALIKE = Rule(
    "near_duplicate",
    "images",
    (OneOf("lookalike"),),
    "{lookalike}",
    "No image looks like one of another split (perceptual hash).",
)
_FORMAT = Rule(
    "format_mismatch",
    "images",
    (OneOf("format"),),
    "{format}",
    "The image is of the format that its name says.",
)
_ORIENTATION = Rule(
    "exif_orientation",
    "images",
    (OneOf("orientation"),),
    "{orientation}",
    "The image is stored upright, or its annotation says which pixels it counts.",
)
_RANGE = Rule(
    "pixel_range",
    "images",
    (OneOf("range"),),
    "{range}",
    "The pixels use more than a small part of their range.",
)


@dataclass(frozen=True)
class Outcome:
    """What one run of the rules found."""

    broken: list[tuple[Rule, list[int]]]
    """Each rule with the rows that break it, ascending; rules that hold have none."""
    results: Mapping[str, Any] = field(default_factory=dict)
    """What Great Expectations says of each table, if it ran."""


def run(rules: Sequence[Rule], tables: Mapping[str, Table], policies: Mapping[str, str]) -> Outcome:
    """Check each table against its rules, without Great Expectations and without documents."""
    return Outcome(evaluate(rules, tables))


def evaluate(rules: Sequence[Rule], tables: Mapping[str, Table]) -> list[tuple[Rule, list[int]]]:
    """Each rule with the rows that break it, ascending."""
    return [(rule, broken_rows(rule, tables)) for rule in rules]


def broken_rows(rule: Rule, tables: Mapping[str, Table]) -> list[int]:
    """Rows of the rule's table that break it, ascending."""
    table = tables[rule.table]
    rows: set[int] = set()
    for check in rule.checks:
        rows.update(np.flatnonzero(_violations(check, table)).tolist())
    return sorted(rows)


def shown(rule: Rule, table: Table, row: int) -> str:
    """What a finding shows of the row."""

    # not str.format(), to which a dot or a bracket in the name of a split means something
    def value(field: re.Match[str]) -> str:
        text = str(table[field[1]][row])
        return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"

    return _FIELD.sub(value, rule.value)


def _violations(check: Check, table: Table) -> np.ndarray:
    if isinstance(check, Within):
        values = np.array(table[check.column], np.float64)
        broken = np.zeros(len(values), bool)
        if check.minimum is not None:
            broken |= values <= check.minimum if check.strict else values < check.minimum
        if check.maximum is not None:
            broken |= values > check.maximum
        return broken
    allowed = set(check.values)
    values = table[check.column]
    return np.array([value is not None and value not in allowed for value in values], bool)
