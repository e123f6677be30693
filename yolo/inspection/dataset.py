"""A report on any data set by the rules of the stage `validate`; nothing is written.

The contract is that of `presets/base.yaml`, with the set's own splits or splits drawn as the stage
draws them: a set is admitted here only if the stage would admit it.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import numpy as np

from yolo.data.archives.reader import Archives
from yolo.data.formats.index import UNREAD_IMAGES, Kind, Limits, extension
from yolo.data.formats.layouts import read_index
from yolo.data.formats.split_names import USUAL, in_our_order
from yolo.data.validate import rules
from yolo.data.validate.validation import Contract, ValidationResult, validate
from yolo.errors import UserError
from yolo.runtime.settings import usable_cores
from yolo.runtime.workers import Workers

Severity = Literal["error", "warning", "info"]

# What presets/base.yaml says; a test holds them together.
SPLITS: Mapping[Kind, tuple[str, ...]] = {
    "classification": ("train", "val"),
    "detection": ("train", "val", "test"),
}
SHARES = {"val": 0.1, "test": 0.2}
SEED = 0
MAX_REJECTED = 0.05
NEAR_DUPLICATE_BITS = 4
GRID = 7
CLASSIFICATION_POLICIES = {
    "unreadable_image": "drop_image",
    "missing_annotation": "drop_image",
    "unknown_class": "drop_image",
    "format_mismatch": "warn",
    "exif_orientation": "warn",
    "pixel_range": "warn",
    "duplicate_image": "fail",
    "near_duplicate": "warn",
    "class_coverage": "fail",
    "evaluation_coverage": "warn",
    "similar_classes": "warn",
    "unused_list": "warn",
}
DETECTION_POLICIES = {
    "missing_image": "drop_image",
    "unreadable_image": "drop_image",
    "missing_annotation": "drop_image",
    "unreadable_annotation": "drop_image",
    "size_mismatch": "warn",
    "filename_mismatch": "warn",
    "odd_tag": "warn",
    "duplicate_id": "drop_image",
    "format_mismatch": "warn",
    "exif_orientation": "warn",
    "pixel_range": "warn",
    "duplicate_image": "fail",
    "near_duplicate": "warn",
    "conflicting_copy": "warn",
    "cell_collision": "warn",
    "invalid_class": "fail",
    "unknown_class": "drop_object",
    "invalid_box": "drop_object",
    "empty_box": "drop_object",
    "box_outside": "clip",
    "duplicate_object": "warn",
    "invalid_flag": "warn",
    "class_coverage": "fail",
    "evaluation_coverage": "warn",
    "similar_classes": "warn",
    "unused_list": "warn",
}
# The data are right; this detector cannot hold them all.
_ABOUT_THE_MODEL = ("cell_collision",)


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong; `error` refuses the set."""

    file: str
    object: int | None
    """Number of the object in its annotation, from 1; None: the file as a whole, or the set."""
    rule: str
    """A name of `rules.py`, or `unreadable_set`: no known layout, no such split, damaged archive;
    or `unlisted`: in none of the splits, ignored."""
    severity: Severity
    value: str
    action: str


@dataclass(frozen=True)
class SplitSize:
    """How much a split holds, before anything is dropped."""

    images: int
    objects: int
    """0 in a classification set."""


@dataclass(frozen=True)
class Sizes:
    """Sides in pixels, or as a share of the image's."""

    smallest: float
    median: float
    largest: float


@dataclass(frozen=True)
class SetReport:
    """What one set is and what the rules say of it; without `kind` it could not be read."""

    path: Path
    findings: Sequence[Finding]
    kind: Kind | None = None
    layout: str = ""
    splits: Mapping[str, SplitSize] = field(default_factory=dict)
    """As published: `train`, `val`, `trainval`, `test` where they mean that."""
    used: Mapping[str, tuple[str, int]] = field(default_factory=dict)
    """Of each split that a training would use: where it comes from, and its admitted images."""
    classes: Mapping[str, int] = field(default_factory=dict)
    """Admitted examples (objects, or images) by class."""
    widths: Sizes | None = None
    """Of the admitted images, in pixels."""
    heights: Sizes | None = None
    objects: Sizes | None = None
    """Root of the area of the admitted objects, as a share of their image's."""
    class_sides: Mapping[str, float] = field(default_factory=dict)
    """Median root of the area of each class's admitted objects, as a share of their image's."""
    notes: Sequence[str] = ()
    """How the set was read."""

    @property
    def admitted(self) -> bool:
        """Whether nothing refuses the set."""
        return all(found.severity != "error" for found in self.findings)


@dataclass(frozen=True)
class Report:
    """What was found in all sets."""

    sets: Sequence[SetReport]

    @property
    def findings(self) -> list[Finding]:
        """Of all sets, in their order."""
        return [found for one in self.sets for found in one.findings]

    @property
    def admitted(self) -> bool:
        """Whether nothing refuses a set."""
        return all(one.admitted for one in self.sets)


def check(
    paths: Sequence[Path],
    classes: Sequence[str] | None = None,
    splits: Sequence[str] | None = None,
    *,
    strict: bool = False,
) -> Report:
    """Check each path: a folder or an archive that holds a set in any layout that is read.

    Args:
        paths: Folders or archives.
        classes: Names allowed; None: all that are found.
        splits: Published splits to check; None: those that a training would use.
        strict: Classes without examples in a split other than train are errors.
    """
    return Report([_check(path, classes, splits, strict) for path in paths])


def _check(
    path: Path, classes: Sequence[str] | None, splits: Sequence[str] | None, strict: bool
) -> SetReport:
    try:
        with Archives(path) as files:
            index = read_index(files, Limits())
            read = SetReport(path, (), index.kind, index.layout, notes=index.notes)
    except UserError as error:
        return SetReport(path, [_unreadable(path, error)])
    try:
        with Archives(path) as files:
            result = validate(
                files,
                index,
                _contract(index.kind, classes, splits),
                rules.run,
                str(path),
                Workers(usable_cores()),
            )
            if not result.listed:
                raise UserError("no split lists an image: there is nothing to check")
    except UserError as error:
        return replace(read, findings=[_unreadable(path, error)])
    sides = _object_sides(result)
    return replace(
        read,
        findings=[
            *_row_findings(path, result),
            *_unlisted(path, result),
            *_set_findings(path, result, strict),
        ],
        splits=_published(result),
        used=_used(result),
        classes=_examples(result),
        widths=_sizes(result.images["width"]),
        heights=_sizes(result.images["height"]),
        objects=_sizes(side for own in sides.values() for side in own),
        class_sides={name: float(np.median(own)) for name, own in sides.items() if own},
    )


def _contract(kind: Kind, classes: Sequence[str] | None, splits: Sequence[str] | None) -> Contract:
    return Contract(
        classes=classes,
        splits={split: None if splits is None else [split] for split in splits or SPLITS[kind]},
        shares=SHARES,
        seed=SEED,
        min_images=1,
        max_rejected=MAX_REJECTED,
        policies=DETECTION_POLICIES if kind == "detection" else CLASSIFICATION_POLICIES,
        near_duplicate_bits=NEAR_DUPLICATE_BITS,
        limits=Limits(),
        grid=GRID,
    )


def _unreadable(path: Path, error: UserError) -> Finding:
    return Finding(str(path), None, "unreadable_set", "error", str(error), "fail")


def _published(result: ValidationResult) -> dict[str, SplitSize]:
    """The published splits by our names; by the set's own where none is one of ours."""
    published = result.index.published
    ours = [name for name in USUAL if name in published]
    return {
        split: SplitSize(
            len(set(published[split])),
            sum(_objects_of(result, name) for name in set(published[split])),
        )
        for split in ours or in_our_order(published)
    }


def _objects_of(result: ValidationResult, name: str) -> int:
    """How many objects the annotation of an image has."""
    record = result.records[name]
    probe = result.probes.get(name)
    annotation = record.boxes or (probe.annotation if probe is not None else None)
    return len(annotation.objects) if annotation is not None else 0


def _used(result: ValidationResult) -> dict[str, tuple[str, int]]:
    admitted = Counter(result.images["split"])
    return {split: (result.origin[split], admitted[split]) for split in in_our_order(result.origin)}


def _examples(result: ValidationResult) -> dict[str, int]:
    labelled = result.images if result.objects is None else result.objects
    found = Counter(labelled["class"])
    return {name: found[name] for name in result.classes}


def _sizes(values: Iterable[float | None]) -> Sizes | None:
    known = np.array([value for value in values if value is not None], np.float64)
    if not known.size:
        return None
    return Sizes(float(known.min()), float(np.median(known)), float(known.max()))


def _object_sides(result: ValidationResult) -> dict[str, list[float]]:
    """Root of each admitted object's area as a share of its image's, by class."""
    if result.objects is None:
        return {}
    images, objects = result.images, result.objects
    areas = {
        row: width * height
        for row, width, height in zip(
            images["image_row"], images["width"], images["height"], strict=True
        )
    }
    sides: dict[str, list[float]] = {name: [] for name in result.classes}
    for name, row, xmin, ymin, xmax, ymax in zip(
        objects["class"],
        objects["image_row"],
        *(objects[corner] for corner in ("xmin", "ymin", "xmax", "ymax")),
        strict=True,
    ):
        # What refuses the set is in the table too: names that are no classes, boxes that are none.
        if name in sides and xmin is not None and row in areas:
            sides[name].append(abs((xmax - xmin + 1) * (ymax - ymin + 1) / areas[row]) ** 0.5)
    return sides


def _row_findings(path: Path, result: ValidationResult) -> list[Finding]:
    return [
        Finding(
            f"{path}/{found.file}",
            found.object or None,
            found.rule,
            _severity(found.rule, found.action),
            found.value,
            found.action,
        )
        for found in result.filtered.findings
    ]


def _severity(rule: str, action: str) -> Severity:
    if action == "fail":
        return "error"
    return "info" if rule in _ABOUT_THE_MODEL else "warning"


def _unlisted(path: Path, result: ValidationResult) -> list[Finding]:
    """What no split lists: halves without the other one by one, whole images counted."""
    halves = _halves(path, result)
    whole = len(result.unlisted) - len(halves)
    value = f"{whole} images are in none of the splits {', '.join(in_our_order(result.origin))}"
    counted = Finding(str(path), None, "unlisted", "info", value, "ignored")
    return [
        *([counted] if whole else []),
        *halves,
        *(
            Finding(f"{path}/{name}", None, "unlisted", "info", _why_ignored(name), "ignored")
            for name in result.index.ignored
        ),
    ]


def _why_ignored(name: str) -> str:
    ending = extension(name)
    if ending in UNREAD_IMAGES:
        return f"{ending[1:].upper()} is not read: convert it to JPEG or PNG"
    return "no image by its name"


def _halves(path: Path, result: ValidationResult) -> list[Finding]:
    if result.objects is None:
        return []
    return [
        Finding(
            f"{path}/{entry.image or entry.annotation or entry.name}",
            None,
            "unlisted",
            "info",
            "no annotation" if entry.image else "no image",
            "ignored",
        )
        for entry in result.unlisted
        if None in (entry.image, entry.annotation)
    ]


def _set_findings(path: Path, result: ValidationResult, strict: bool) -> list[Finding]:
    """Findings about the set as a whole."""
    refused = [pair for pair in result.failures if pair[0].table not in ("images", "objects")]
    warned = [pair for pair in result.warnings if pair[0].table not in ("images", "objects")]
    found = []
    for pairs, warns in ((refused, False), (warned, True)):
        for rule, lines in pairs:
            mild = warns and not (strict and rule.name == "evaluation_coverage")
            severity: Severity = "warning" if mild else "error"
            action = "warn" if mild else "fail"
            found += [Finding(str(path), None, rule.name, severity, line, action) for line in lines]
    return found
