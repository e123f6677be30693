"""The lines of a large text file, piece by piece."""

import codecs
from collections.abc import Iterable, Iterator

from yolo.errors import UserError

_LONGEST = 1 << 20
"""Characters of a line."""


def lines_of(chunks: Iterable[bytes]) -> Iterator[str]:
    """Lines with their ends, of UTF-8 (with or without a mark) or UTF-16 with one.

    Raises:
        UnicodeDecodeError: The file is in another encoding.
        UserError: A line is longer than any line of a table.
    """
    pieces = iter(chunks)
    first = next(pieces, b"")
    marked = first.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    decoder = codecs.getincrementaldecoder("utf-16" if marked else "utf-8-sig")()
    rest = decoder.decode(first)
    for piece in pieces:
        *whole, rest = rest.split("\n")
        yield from (f"{line}\n" for line in whole)
        if len(rest) > _LONGEST:
            raise UserError(f"a line has more than {_LONGEST} characters")
        rest += decoder.decode(piece)
    rest += decoder.decode(b"", final=True)
    yield from (f"{line}\n" for line in rest.split("\n"))
