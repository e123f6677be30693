"""Read a table of numbers and texts from a MATLAB file (`.mat`, level 5).

The development kit of ImageNet holds one. SciPy's reader crashes the process on a damaged file.
"""

import math
import struct
import zlib
from collections.abc import Iterator
from itertools import islice

Row = dict[str, float | str | None]

_HEADER = 128
_LARGEST = 1 << 26
"""Bytes of a table, inflated; that of ImageNet-1k has 0.3 million."""
_NUMBERS = {1: "b", 2: "B", 3: "h", 4: "H", 5: "i", 6: "I", 7: "f", 9: "d", 12: "q", 13: "Q"}
_ENCODINGS = {1: "latin-1", 2: "latin-1", 4: "utf-16", 16: "utf-8", 17: "utf-16", 18: "utf-32"}
_MATRIX, _COMPRESSED = 14, 15
_STRUCT, _CHAR = 2, 4


def read_table(data: bytes, name: str) -> list[Row]:
    """The rows of the struct array `name`: each field's number or text, None where it is neither.

    Raises:
        ValueError: The file is damaged, of another level, or has no such array.
    """
    order = {b"IM": "<", b"MI": ">"}.get(data[126:128])
    if order is None:
        raise ValueError("it is no MATLAB file of level 5")
    for kind, content in _elements(data[_HEADER:], order):
        if kind == _COMPRESSED:
            kind, content = next(_elements(_inflated(content), order), (0, b""))
        rows = _rows(content, order, name) if kind == _MATRIX else None
        if rows is not None:
            return rows
    raise ValueError(f"it has no table {name}")


def _inflated(data: bytes) -> bytes:
    try:
        return zlib.decompressobj().decompress(data, _LARGEST)
    except zlib.error as error:
        raise ValueError(str(error)) from None


def _elements(data: bytes, order: str) -> Iterator[tuple[int, bytes]]:
    """Type and content of the elements that follow each other, each filled up to 8 bytes."""
    place = 0
    while place + 8 <= len(data):
        kind, size = struct.unpack_from(f"{order}II", data, place)
        start = place + 8
        if kind >> 16:
            # A small element: type and size share the first word, the content is the second.
            kind, size, start = kind & 0xFFFF, kind >> 16, place + 4
        content = data[start : start + size]
        if len(content) < size:
            raise ValueError(f"it ends within an element of {size} bytes")
        yield kind, content
        # Only compressed elements are not filled up.
        place = start + size if kind == _COMPRESSED else place + -(-(start - place + size) // 8) * 8


def _rows(matrix: bytes, order: str, name: str) -> list[Row] | None:
    """The rows of a struct array; None for an array of another kind or name."""
    parts = _elements(matrix, order)
    head = [content for _, content in islice(parts, 5)]
    if len(head) < 5 or _class_of(head[0], order) != _STRUCT or head[2] != name.encode():
        return None
    _, dimensions, _, width, names = head
    step = _integers(width, order)[0] if width else 0
    if not 0 < step <= len(names):
        raise ValueError("the names of its columns are damaged")
    columns = [
        names[start : start + step].split(b"\0")[0].decode("ascii")
        for start in range(0, len(names), step)
    ]
    cells = [_value(content, order) for kind, content in parts if kind == _MATRIX]
    if len(cells) != math.prod(_integers(dimensions, order)) * len(columns):
        raise ValueError(f"{name} has {len(cells)} cells for {len(columns)} columns")
    return [
        dict(zip(columns, cells[start : start + len(columns)], strict=True))
        for start in range(0, len(cells), len(columns))
    ]


def _value(matrix: bytes, order: str) -> float | str | None:
    """The text, or the only number, of an array."""
    parts = list(islice(_elements(matrix, order), 4))
    if len(parts) < 4:
        return None
    kind, content = parts[3]
    if _class_of(parts[0][1], order) == _CHAR:
        encoding = _ENCODINGS.get(kind, "ascii")
        wide = encoding in ("utf-16", "utf-32")
        return content.decode(encoding + ("-le" if order == "<" else "-be") * wide)
    code = _NUMBERS.get(kind)
    if code is None or len(content) != struct.calcsize(code):
        return None
    return struct.unpack(order + code, content)[0]


def _class_of(flags: bytes, order: str) -> int:
    return struct.unpack_from(f"{order}I", flags)[0] & 0xFF if len(flags) >= 4 else 0


def _integers(content: bytes, order: str) -> tuple[int, ...]:
    return struct.unpack(f"{order}{len(content) // 4}i", content[: len(content) // 4 * 4])
