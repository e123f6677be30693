"""Sets annotated in a CSV table, as TensorFlow's tutorials, VoTT, Roboflow and RetinaNet write it.

The columns are `filename,width,height,class,xmin,ymin,xmax,ymax` in any order, an object a line;
boxes count as VOC's, from whose XML the tutorials make them, or are shares of the image. A column
`split` says the split. RetinaNet's tables have no header: `path,x1,y1,x2,y2,class`.
"""

import csv
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from yolo.data.formats.annotations import FARTHEST, Annotation, Object
from yolo.data.formats.image_names import Images
from yolo.data.formats.index import IMAGES, Files, Index, Limits, extension, visible
from yolo.data.formats.set_annotations import Described, index_of
from yolo.data.formats.split_names import split_called
from yolo.data.formats.text_stream import lines_of
from yolo.data.formats.voc_xml import read_box, read_numbers
from yolo.errors import UserError

SIDES = ("xmin", "ymin", "xmax", "ymax")
_MEANINGS = {
    "file": (
        *("filename", "file_name", "image", "image_name", "path", "image_path", "image_id", "img"),
        *("file",),
    ),
    "class": ("class", "label", "class_name", "name", "category", "class_id", "label_name"),
    "xmin": ("xmin", "x_min", "x1", "left"),
    "ymin": ("ymin", "y_min", "y1", "top"),
    "xmax": ("xmax", "x_max", "x2", "right"),
    "ymax": ("ymax", "y_max", "y2", "bottom"),
    "width": ("width", "image_width", "img_width"),
    "height": ("height", "image_height", "img_height"),
    "split": ("split", "set", "subset"),
}
"""What columns are called, in small letters."""
_NEEDED = ("file", "class", *SIDES)
_RETINANET = {"file": 0, "xmin": 1, "ymin": 2, "xmax": 3, "ymax": 4, "class": 5}
_DELIMITERS = (",", ";", "\t")
_BEYOND = 0.01
"""How far a box in shares of the image may leave it, by rounding."""
_FEW = 100
"""CSV files in one folder; where there are more, they are no annotations."""
_LONGEST_HEADER = 10_000


@dataclass(frozen=True)
class _Table:
    """How a table is written."""

    columns: Mapping[str, int]
    """Places by what the columns mean (`_MEANINGS`)."""
    delimiter: str
    has_header: bool = True


def read(files: Files, limits: Limits) -> Index | None:
    """Read all tables of the set; None when none has these columns.

    Raises:
        UserError: A table is damaged or over a limit.
    """
    names = visible(files.names())
    described = []
    notes = []
    count = 0
    for file, table in tables(files, names, limits).items():
        try:
            found = _read(files, file, table, limits, count)
        except (csv.Error, UnicodeError, UserError) as error:
            raise UserError(f"{files.path}: {file}: {error}; save it as CSV in UTF-8") from None
        count += sum(len(one.annotation.objects) for one in found)
        if _are_shares(found):
            notes.append(f"the boxes of {file} were taken as shares of the image: all are 0 to 1")
            found = [replace(one, annotation=replace(one.annotation, shares=True)) for one in found]
        described.append((file, found))
    return index_of("CSV table", Images(names), described, notes=notes) if described else None


def tables(files: Files, names: Sequence[str], limits: Limits) -> dict[str, _Table]:
    """The tables that have these columns, and how they are written."""
    found = {}
    for file in _tables(names):
        table = _recognise(_first_line(files, file, limits))
        if table is not None:
            found[file] = table
    return found


def _tables(names: Sequence[str]) -> list[str]:
    tables = [name for name in names if extension(name) == ".csv"]
    counts = Counter(name.rpartition("/")[0] for name in tables)
    return [name for name in tables if counts[name.rpartition("/")[0]] <= _FEW]


def _first_line(files: Files, file: str, limits: Limits) -> str:
    head = next(files.chunks(file, limits.set_annotation_bytes), b"")
    encoding = "utf-16" if head.startswith((b"\xff\xfe", b"\xfe\xff")) else "utf-8-sig"
    line = re.split("[\r\n]", head.decode(encoding, "replace"), maxsplit=1)[0]
    return line if len(line) < _LONGEST_HEADER else ""


def _recognise(line: str) -> _Table | None:
    """How a table that begins with this line is written; None when a column is missing."""
    for delimiter in _DELIMITERS:
        cells = [cell.strip() for cell in next(csv.reader([line], delimiter=delimiter), [])]
        named = [cell.lower().replace(" ", "_") for cell in cells]
        columns = {
            meaning: named.index(name)
            for meaning, spellings in _MEANINGS.items()
            if (name := next((one for one in spellings if one in named), None)) is not None
        }
        if columns.keys() >= set(_NEEDED):
            return _Table(columns, delimiter)
        is_row = len(cells) == len(_RETINANET) and extension(cells[0]) in IMAGES
        if is_row and (read_numbers(cells[1:5]) is not None or not any(cells[1:])):
            return _Table(_RETINANET, delimiter, has_header=False)
    return None


def _read(files: Files, file: str, table: _Table, limits: Limits, before: int) -> list[Described]:
    """Images of a table in its order."""
    lines = lines_of(files.chunks(file, limits.set_annotation_bytes))
    rows = csv.reader(lines, delimiter=table.delimiter)
    if table.has_header:
        next(rows)
    objects: dict[tuple[str, str], list[Object]] = {}
    sizes: dict[tuple[str, str], str | None] = {}
    count = before
    for row in rows:
        if not any(cell.strip() for cell in row):
            continue
        image = (_cell(row, table, "split"), _cell(row, table, "file"))
        own = objects.setdefault(image, [])
        sizes.setdefault(image, _size(row, table))
        if not any(_cell(row, table, meaning) for meaning in ("class", *SIDES)):
            # An image without objects.
            continue
        count += 1
        if count > limits.objects:
            raise UserError(
                f"more than {limits.objects} objects, the limit (limits.objects in params.yaml)"
            )
        own.append(_object(row, table, len(own) + 1, rows.line_num))
    splits = {text: split_called(text) or "" for text, _ in objects}
    return [
        Described(
            text,
            Annotation(tuple(own), size=sizes[split, text]),
            f"a line of {file} without name",
            splits[split] if all(splits.values()) else "",
        )
        for (split, text), own in objects.items()
    ]


def _object(row: Sequence[str], table: _Table, number: int, line: int) -> Object:
    texts = [_number(row, table, side) for side in SIDES]
    shown = " ".join(text or "?" for text in texts)
    return Object(number, _cell(row, table, "class"), read_box(texts), f"{shown} (line {line})")


def _are_shares(found: Sequence[Described]) -> bool:
    """Whether all boxes are shares of their images: within 0 to 1, and no whole numbers."""
    boxes = [one.box for image in found for one in image.annotation.objects if one.box is not None]
    return any(side % 1 for box in boxes for side in box) and all(
        -_BEYOND <= side <= 1 + _BEYOND for box in boxes for side in box
    )


def _size(row: Sequence[str], table: _Table) -> str | None:
    numbers = read_numbers([_number(row, table, side) for side in ("width", "height")])
    if numbers is None or not all(0 <= number < FARTHEST for number in numbers):
        return None
    return "x".join(f"{number:.10g}" for number in numbers)


def _number(row: Sequence[str], table: _Table, meaning: str) -> str:
    """The text of a number; where commas do not part the columns, they may be decimal commas."""
    text = _cell(row, table, meaning)
    return text if table.delimiter == "," else text.replace(",", ".")


def _cell(row: Sequence[str], table: _Table, meaning: str) -> str:
    place = table.columns.get(meaning, len(row))
    return row[place].strip() if place < len(row) else ""
