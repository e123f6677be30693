"""Text files that list the images of a split: their lines and their encodings."""

import codecs
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

Find = Callable[[str], str | None]
"""The name of the image that a text of a list means; None: no image is called so."""

_ENCODINGS = ("cp1252", "gb18030", "shift_jis", "cp949", "big5", "cp1251")
"""Tried in this order for a list that is no UTF-8; the one in which most lines name images wins."""
_COLUMN = re.compile(r"(.*\S)[\s,;]+[+-]?[0-9]+")
"""A second column, as VOC's lists per class have."""


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a list."""

    number: int
    """From 1."""
    text: str
    """What it calls the image."""
    image: str | None
    """The image that is called so."""


def read_list(data: bytes, find: Find) -> list[Line]:
    """The images that a list names, one a line or separated by commas, blank lines left out.

    A line may hold an id, a file name or a path, quotes around it and a second column behind it.
    Each line is first taken as it stands.
    """
    candidates = [_lines(text, find) for text in _texts(data)]
    return max(candidates, key=_found)


def _texts(data: bytes) -> list[str]:
    """The text; in several readings when it does not tell its encoding."""
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return [data.decode("utf-16", "replace")]
    try:
        return [data.decode("utf-8-sig")]
    except UnicodeDecodeError:
        readings = []
        for encoding in _ENCODINGS:
            try:
                readings.append(data.decode(encoding))
            except UnicodeDecodeError:
                continue
        return readings or [data.decode("utf-8-sig", "replace")]


def _lines(text: str, find: Find) -> list[Line]:
    found = []
    # not splitlines(), which also splits at letters that names may hold
    for number, line in enumerate(re.split(r"\r\n|\r|\n", text), 1):
        if line.strip().strip("\0"):
            found += [Line(number, called, image) for called, image in _named(line.strip(), find)]
    return found


def _named(line: str, find: Find) -> list[tuple[str, str | None]]:
    texts = [line, *_bare(line)]
    for text in texts:
        image = find(text)
        if image is not None:
            return [(text, image)]
    cells = [_unquoted(cell) for cell in re.split(r"[,;\t]", line)]
    found = [(cell, find(cell)) for cell in cells if cell]
    if found and all(image is not None for _, image in found):
        return found
    if found and found[0][1] is not None:
        return found[:1]
    return [(texts[-1], None)]


def _bare(line: str) -> list[str]:
    """The line without quotes, and without the second column."""
    column = _COLUMN.fullmatch(line)
    shorter = [_unquoted(line)]
    if column:
        shorter.append(_unquoted(column[1]))
    return shorter


def _unquoted(text: str) -> str:
    return text.strip().strip("\"'").strip()


def _found(lines: Sequence[Line]) -> int:
    return sum(line.image is not None for line in lines)
