"""Sets annotated in a CSV table, as TensorFlow's tutorials and Roboflow write it.

The columns are `filename,width,height,class,xmin,ymin,xmax,ymax` in any order, an object a line;
boxes count as VOC's, from whose XML the tutorials make them.
"""

import csv
import re
from collections import Counter
from collections.abc import Sequence

from yolo.data.formats.annotations import FARTHEST, Annotation, Box, Object
from yolo.data.formats.image_names import Images
from yolo.data.formats.index import Files, Index, Limits, extension, visible
from yolo.data.formats.set_annotations import Described, index_of
from yolo.data.formats.text_stream import lines_of
from yolo.data.formats.voc_xml import read_numbers
from yolo.errors import UserError

_SIDES = ("xmin", "ymin", "xmax", "ymax")
_NAMES = ("filename", "file_name", "image", "image_name", "path")
_CLASSES = ("class", "label", "class_name", "name")
_FEW = 100
"""CSV files in one folder; where there are more, they are no annotations."""
_LONGEST_HEADER = 10_000
_Columns = dict[str, int]


def read(files: Files, limits: Limits) -> Index | None:
    """Read all tables of the set; None when none has these columns.

    Raises:
        UserError: A table is damaged or over a limit.
    """
    names = visible(files.names())
    described = []
    count = 0
    for file in _tables(names):
        columns = _columns(_header(files, file, limits))
        if columns is None:
            continue
        try:
            found = _read(files, file, columns, limits, count)
        except (csv.Error, UnicodeError, UserError) as error:
            raise UserError(f"{files.path}: {file}: {error}; save it as CSV in UTF-8") from None
        described.append((file, found))
        count += sum(len(one.annotation.objects) for one in found)
    return index_of("CSV table", Images(names), described) if described else None


def _tables(names: Sequence[str]) -> list[str]:
    tables = [name for name in names if extension(name) == ".csv"]
    counts = Counter(name.rpartition("/")[0] for name in tables)
    return [name for name in tables if counts[name.rpartition("/")[0]] <= _FEW]


def _header(files: Files, file: str, limits: Limits) -> list[str]:
    head = next(files.chunks(file, limits.set_annotation_bytes), b"")
    encoding = "utf-16" if head.startswith((b"\xff\xfe", b"\xfe\xff")) else "utf-8-sig"
    line = re.split("[\r\n]", head.decode(encoding, "replace"), maxsplit=1)[0]
    return next(csv.reader([line]), []) if len(line) < _LONGEST_HEADER else []


def _read(
    files: Files, file: str, columns: _Columns, limits: Limits, before: int
) -> list[Described]:
    """Images of a table in its order."""
    rows = csv.reader(lines_of(files.chunks(file, limits.set_annotation_bytes)))
    next(rows)
    objects: dict[str, list[Object]] = {}
    sizes: dict[str, str | None] = {}
    count = before
    for row in rows:
        if not any(cell.strip() for cell in row):
            continue
        count += 1
        if count > limits.objects:
            raise UserError(
                f"more than {limits.objects} objects, the limit (limits.objects in params.yaml)"
            )
        own = objects.setdefault(_cell(row, columns, "file"), [])
        own.append(_object(row, columns, len(own) + 1, rows.line_num))
        sizes.setdefault(_cell(row, columns, "file"), _size(row, columns))
    return [
        Described(text, Annotation(tuple(own), size=sizes[text]), f"a line of {file} without name")
        for text, own in objects.items()
    ]


def _columns(header: Sequence[str]) -> _Columns | None:
    """Places of the columns by what they mean; None when one is missing."""
    places = {cell.strip().lower(): place for place, cell in reversed(list(enumerate(header)))}
    file = next((name for name in _NAMES if name in places), None)
    label = next((name for name in _CLASSES if name in places), None)
    if file is None or label is None or not places.keys() >= set(_SIDES):
        return None
    wanted = {"file": file, "class": label, **{side: side for side in _SIDES}}
    wanted |= {side: side for side in ("width", "height") if side in places}
    return {meaning: places[name] for meaning, name in wanted.items()}


def _object(row: Sequence[str], columns: _Columns, number: int, line: int) -> Object:
    texts = [_cell(row, columns, side) for side in _SIDES]
    shown = " ".join(text or "?" for text in texts)
    return Object(number, _cell(row, columns, "class"), _box(texts), f"{shown} (line {line})")


def _box(texts: Sequence[str]) -> Box | None:
    numbers = read_numbers(texts)
    if numbers is None or not all(abs(number) < FARTHEST for number in numbers):
        return None
    xmin, ymin, xmax, ymax = numbers
    return xmin, ymin, xmax, ymax


def _size(row: Sequence[str], columns: _Columns) -> str | None:
    numbers = read_numbers([_cell(row, columns, side) for side in ("width", "height")])
    if numbers is None or not all(0 <= number < FARTHEST for number in numbers):
        return None
    return "x".join(f"{number:.10g}" for number in numbers)


def _cell(row: Sequence[str], columns: _Columns, meaning: str) -> str:
    place = columns.get(meaning, len(row))
    return row[place].strip() if place < len(row) else ""
