"""The rules on any data set, outside the pipeline: without parameters, without writing anything."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from yolo.data.archives.reader import Archives
from yolo.data.validate import rules, voc
from yolo.data.validate.index import visible
from yolo.data.validate.probe import Limits
from yolo.data.validate.rules import Rule, Table
from yolo.data.validate.validation import Assessment, Broken, Contract, assess
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
    "duplicate_image": "fail",
    "near_duplicate": "warn",
    "class_coverage": "fail",
    "evaluation_coverage": "warn",
}
DETECTION_POLICIES = {
    "missing_image": "drop_image",
    "unreadable_image": "drop_image",
    "missing_annotation": "drop_image",
    "unreadable_annotation": "drop_image",
    "size_mismatch": "warn",
    "filename_mismatch": "warn",
    "duplicate_id": "drop_image",
    "format_mismatch": "warn",
    "exif_orientation": "warn",
    "duplicate_image": "fail",
    "near_duplicate": "warn",
    "cell_collision": "warn",
    "unknown_class": "drop_object",
    "invalid_box": "drop_object",
    "empty_box": "drop_object",
    "box_outside": "clip",
    "invalid_flag": "warn",
    "class_coverage": "fail",
    "evaluation_coverage": "warn",
}
# Findings about how much there is, which a sample may break: warnings unless asked to be strict.
# The data are right; this detector cannot hold them all.
_ABOUT_THE_MODEL = ("cell_collision",)
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
            detection = bool(voc.find_roots(visible(files.names())))
            contract = Contract(
                detection=detection,
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
            assessment = assess(files, contract, _engine, str(path), Workers(usable_cores()))
            if not assessment.listed:
                raise UserError("no split lists a picture: there is nothing to check")
    except UserError as error:
        return [Finding(str(path), None, "unreadable_set", "error", str(error), "fail")]
    return [
        *_row_findings(path, assessment),
        *_unlisted(path, assessment),
        *_set_findings(path, assessment, strict, splits or ()),
    ]


def _engine(
    title: str, some_rules: Sequence[Rule], tables: Mapping[str, Table], policies: Mapping[str, str]
) -> Broken:
    return rules.evaluate(some_rules, tables)


def _row_findings(path: Path, assessment: Assessment) -> list[Finding]:
    return [
        Finding(
            f"{path}/{found.file}",
            found.object or None,
            found.rule,
            _severity(found.rule, found.action),
            found.value,
            found.action,
        )
        for found in assessment.admission.findings
    ]


def _severity(rule: str, action: str) -> Severity:
    if action == "fail":
        return "error"
    return "info" if rule in _ABOUT_THE_MODEL else "warning"


def _unlisted(path: Path, assessment: Assessment) -> list[Finding]:
    """What no split lists: halves without the other one by one, whole pictures counted."""
    halves = _halves(path, assessment)
    whole = len(assessment.unlisted) - len(halves)
    value = f"{whole} pictures are in none of the splits {', '.join(assessment.origin)}"
    counted = Finding(str(path), None, "unlisted", "info", value, "ignored")
    return [
        *([counted] if whole else []),
        *halves,
        *(
            Finding(f"{path}/{name}", None, "unlisted", "info", "no picture by its name", "ignored")
            for name in assessment.ignored
        ),
    ]


def _halves(path: Path, assessment: Assessment) -> list[Finding]:
    if assessment.objects is None:
        return []
    return [
        Finding(
            f"{path}/{entry.image or entry.annotation}",
            None,
            "unlisted",
            "info",
            "no annotation" if entry.image else "no picture",
            "ignored",
        )
        for entry in assessment.unlisted
        if None in (entry.image, entry.annotation)
    ]


def _set_findings(
    path: Path, assessment: Assessment, strict: bool, required: Sequence[str]
) -> list[Finding]:
    """Findings about the set as a whole; a split that is asked for by name must not be empty."""
    found = []
    for rule, lines in (*assessment.failures, *assessment.warnings):
        if rule.table in ("images", "objects"):
            continue
        for line in lines:
            missing = rule.name == "min_images" and line.partition(":")[0] in required
            mild = rule.name in _SIZE_RULES and not strict and not missing
            severity: Severity = "warning" if mild else "error"
            action = "warn" if mild else "fail"
            found.append(Finding(str(path), None, rule.name, severity, line, action))
    return found
