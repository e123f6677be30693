"""Text files that list the images of a split: their lines and their encodings."""

import codecs
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

Find = Callable[[str], str | None]
"""The name of the image that a text of a list means; None: no image is called so."""

_ENCODINGS = ("cp1252", "gb18030", "shift_jis", "cp949", "big5", "cp1251")
"""Tried in this order where lines of UTF-8 name no image; the one in which most do wins."""
_COLUMN = re.compile(r"(.*\S)[\s,;]+[+-]?[0-9]+")
"""A second column, as VOC's lists per class have."""

_FLAGS = ("-1", "0", "1", "+1")


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

    A line may hold an id, a file name or a path, quotes around it and columns of numbers behind it.
    Each line is first taken as it stands.
    """
    best: list[Line] = []
    for text in _readings(data):
        lines = _lines(text, find)
        if not best or _found(lines) > _found(best):
            best = lines
        if _found(best) == len(best):
            break
    return best


def _readings(data: bytes) -> Iterator[str]:
    """The text, the most probable reading first: some Chinese words are valid UTF-8 in GBK too."""
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        yield data.decode("utf-16", "replace")
        return
    encodings = ("utf-8-sig",) if data.isascii() else ("utf-8-sig", *_ENCODINGS)
    for encoding in encodings:
        try:
            yield data.decode(encoding)
        except UnicodeDecodeError:
            continue
    yield data.decode("utf-8-sig", "replace")


def _lines(text: str, find: Find) -> list[Line]:
    found = []
    # not splitlines(), which also splits at letters that names may hold
    for number, line in enumerate(re.split(r"\r\n|\r|\n", text), 1):
        if line.strip().strip("\0"):
            named = _named(line.strip(), find)
            is_comment = line.lstrip().startswith("#") and not any(image for _, image in named)
            found += [Line(number, called, image) for called, image in named if not is_comment]
    return found


def _named(line: str, find: Find) -> list[tuple[str, str | None]]:
    if (image := find(line)) is not None:
        return [(line, image)]
    cells = [cell for text in re.split(r"[,;\t]", line) if (cell := _unquoted(text))]
    found = [(cell, find(cell)) for cell in cells]
    if len(found) > 1 and cells[-1] not in _FLAGS and all(image for _, image in found):
        return found
    texts = [*_bare(line), *cells[:1]]
    for text in texts:
        if (image := find(text)) is not None:
            return [(text, image)]
    return [(texts[-1], None)]


def _bare(line: str) -> list[str]:
    """The line without quotes, then without its last column of numbers, its last two and so on."""
    shorter = [_unquoted(line)]
    while column := _COLUMN.fullmatch(line):
        line = column[1]
        shorter.append(_unquoted(line))
    return shorter


def _unquoted(text: str) -> str:
    return text.strip().strip("\"'").strip()


def _found(lines: Sequence[Line]) -> int:
    return sum(line.image is not None for line in lines)
