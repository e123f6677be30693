"""Apply the policies: which images and objects of the tables are admitted, and how."""

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from yolo.data.validate.rules import Rule, shown
from yolo.data.validate.tables import Columns, box_columns
from yolo.files import replacing

Box = tuple[float, float, float, float]
_CHOICE = "unknown_class"
_REJECTED_HEADER = ("file", "object", "rule", "value", "action")


@dataclass(frozen=True, order=True)
class Finding:
    """One row that breaks one rule, and what was done."""

    file: str
    object: int
    """Number of the object in its file, from 1; 0: the image as a whole."""
    rule: str
    value: str
    action: str


@dataclass
class Rows:
    """What is admitted of one table, by row."""

    admitted: list[bool]
    out_of_scope: list[bool]
    """Dropped because its class is not in `classes`; not counted as rejected."""
    rejected: list[bool]
    """Dropped for any other reason."""

    @classmethod
    def whole(cls, rows: int) -> Self:
        """Everything is admitted."""
        return cls([True] * rows, [False] * rows, [False] * rows)

    def drop(self, row: int, *, out_of_scope: bool) -> None:
        """Drop one row."""
        self.admitted[row] = False
        (self.out_of_scope if out_of_scope else self.rejected)[row] = True


@dataclass(frozen=True)
class Filtered:
    """What is left of the tables."""

    images: Rows
    objects: Rows
    boxes: dict[int, Box]
    """Clipped boxes by row of the object."""
    findings: list[Finding]
    """Sorted."""

    def admitted(self, name: str, table: Columns) -> Columns:
        """The admitted rows of `images` or `objects`, boxes as clipped."""
        kept = getattr(self, name).admitted
        rows = [row for row, admitted in enumerate(kept) if admitted]
        result = {column: [values[row] for row in rows] for column, values in table.items()}
        if name == "objects":
            for place, row in enumerate(rows):
                if row in self.boxes:
                    width, height = table["width"][row], table["height"][row]
                    for column, value in box_columns(self.boxes[row], width, height).items():
                        result[column][place] = value
        return result

    def losses(self) -> Columns:
        """Table with a row for images and one for objects: what, listed, lost, share."""
        table: Columns = {"what": [], "listed": [], "lost": [], "share": []}
        for what, kind in (("images", self.images), ("objects", self.objects)):
            pairs = list(zip(kind.rejected, kind.out_of_scope, strict=True))
            lost = sum(lost and not out_of_scope for lost, out_of_scope in pairs)
            listed = sum(not out_of_scope for _, out_of_scope in pairs)
            row = {"what": what, "listed": listed, "lost": lost, "share": lost / max(1, listed)}
            for column, values in table.items():
                values.append(row[column])
        return table


def filter_rows(
    tables: Mapping[str, Columns],
    broken: Sequence[tuple[Rule, Sequence[int]]],
    policies: Mapping[str, str],
) -> Filtered:
    """Decide row by row; an image takes its objects with it.

    Args:
        tables: `images` and, for detection, `objects`.
        broken: Rules on these tables and the rows that break them.
        policies: Action by the name of the rule. `fail` drops nothing: the caller fails.
    """
    object_rows = tables["objects"]["image_row"] if "objects" in tables else []
    images = Rows.whole(len(tables["images"]["name"]))
    objects = Rows.whole(len(object_rows))
    boxes: dict[int, Box] = {}
    findings = []
    for rule, rows in broken:
        table = tables[rule.table]
        for row in rows:
            action = policies[rule.name]
            if action == "clip":
                box = _clipped(table, row)
                boxes[row] = box
                if box[0] >= box[2] or box[1] >= box[3]:
                    action = "drop_object"
            # An object that names no class is a fault, not one of a class that nobody asked for.
            other = rule.name == _CHOICE and table["class"][row] != ""
            if action == "drop_object":
                objects.drop(row, out_of_scope=other)
            elif action == "drop_image":
                image_row = row if rule.table == "images" else object_rows[row]
                images.drop(image_row, out_of_scope=other)
            number = table["object"][row] if rule.table == "objects" else 0
            findings.append(
                Finding(table["file"][row], number, rule.name, shown(rule, table, row), action)
            )
    for row, image_row in enumerate(object_rows):
        objects.admitted[row] &= images.admitted[image_row]
        objects.out_of_scope[row] |= images.out_of_scope[image_row]
        objects.rejected[row] |= images.rejected[image_row]
    return Filtered(images, objects, boxes, sorted(findings))


def _clipped(objects: Columns, row: int) -> Box:
    """The part of the box that lies in the image; empty when there is none."""
    width, height = objects["width"][row], objects["height"][row]
    xmin, ymin, xmax, ymax = (objects[side][row] for side in ("xmin", "ymin", "xmax", "ymax"))
    return max(1.0, xmin), max(1.0, ymin), min(float(width), xmax), min(float(height), ymax)


def write_rejected(path: Path, findings: Sequence[Finding]) -> None:
    """Write all findings as CSV."""
    with replacing(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(_REJECTED_HEADER)
        for found in findings:
            writer.writerow((found.file, found.object or "", found.rule, found.value, found.action))
