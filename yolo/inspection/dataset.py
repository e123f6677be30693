"""The rules on any data set, outside the pipeline: without parameters, without writing anything."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from yolo.data.archives.reader import Archives
from yolo.data.validate import rules
from yolo.data.validate.index import Limits
from yolo.data.validate.layouts import read_index
from yolo.data.validate.validation import Contract, ValidationResult, validate
from yolo.errors import UserError
from yolo.runtime.settings import usable_cores
from yolo.runtime.workers import Workers

Severity = Literal["error", "warning", "info"]

# What presets/base.yaml says; a test holds them together.
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
# Findings about how much there is, which a sample may break: warnings unless asked to be strict.
# The data are right; this detector cannot hold them all.
_ABOUT_THE_MODEL = ("cell_collision",)
_MILD = ("similar_classes", "unused_list")
_SIZE_RULES = ("min_images", "class_coverage", "evaluation_coverage")


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
class Report:
    """What was found in all sets."""

    findings: list[Finding]

    @property
    def admitted(self) -> bool:
        """Whether nothing refuses a set."""
        return all(found.severity != "error" for found in self.findings)


def check(
    paths: Sequence[Path],
    classes: Sequence[str] | None = None,
    splits: Sequence[str] | None = None,
    *,
    strict: bool = False,
) -> Report:
    """Check each path: a VOC root, an ImageFolder, or a folder or archive that holds one.

    Args:
        paths: Folders or archives.
        classes: Names allowed; None: all that are found.
        splits: Splits that must be there; None: those that are.
        strict: Too few pictures and classes without examples are errors.
    """
    return Report([found for path in paths for found in _check(path, classes, splits, strict)])


def _check(
    path: Path, classes: Sequence[str] | None, splits: Sequence[str] | None, strict: bool
) -> list[Finding]:
    try:
        with Archives(path) as files:
            index = read_index(files, Limits())
            detection = index.kind == "detection"
            contract = Contract(
                classes=classes,
                splits=None if splits is None else {split: [split] for split in splits},
                shares={},
                seed=0,
                min_images=1,
                max_rejected=MAX_REJECTED,
                policies=DETECTION_POLICIES if detection else CLASSIFICATION_POLICIES,
                near_duplicate_bits=NEAR_DUPLICATE_BITS,
                limits=Limits(),
                grid=GRID,
            )
            workers = Workers(usable_cores())
            result = validate(files, index, contract, rules.run, str(path), workers)
            if not result.listed:
                raise UserError("no split lists an image: there is nothing to check")
    except UserError as error:
        return [Finding(str(path), None, "unreadable_set", "error", str(error), "fail")]
    return [
        *_row_findings(path, result),
        *_unlisted(path, result),
        *_set_findings(path, result, strict, splits or ()),
    ]


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
    """What no split lists: halves without the other one by one, whole pictures counted."""
    halves = _halves(path, result)
    whole = len(result.unlisted) - len(halves)
    value = f"{whole} images are in none of the splits {', '.join(result.origin)}"
    counted = Finding(str(path), None, "unlisted", "info", value, "ignored")
    return [
        *([counted] if whole else []),
        *halves,
        *(
            Finding(f"{path}/{name}", None, "unlisted", "info", "no image by its name", "ignored")
            for name in result.index.ignored
        ),
    ]


def _halves(path: Path, result: ValidationResult) -> list[Finding]:
    if result.objects is None:
        return []
    return [
        Finding(
            f"{path}/{entry.image or entry.annotation}",
            None,
            "unlisted",
            "info",
            "no annotation" if entry.image else "no image",
            "ignored",
        )
        for entry in result.unlisted
        if None in (entry.image, entry.annotation)
    ]


def _set_findings(
    path: Path, result: ValidationResult, strict: bool, required: Sequence[str]
) -> list[Finding]:
    """Findings about the set as a whole; a split that is asked for by name must not be empty."""
    found = []
    for rule, lines in (*result.failures, *result.warnings):
        if rule.table in ("images", "objects"):
            continue
        for line in lines:
            missing = rule.name == "min_images" and line.partition(":")[0] in required
            mild = rule.name in _MILD or (rule.name in _SIZE_RULES and not strict and not missing)
            severity: Severity = "warning" if mild else "error"
            action = "warn" if mild else "fail"
            found.append(Finding(str(path), None, rule.name, severity, line, action))
    return found
