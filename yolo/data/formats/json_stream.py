"""Read a large JSON file piece by piece: the entries of its arrays, never the whole document.

COCO's annotations of one split are a file of 450 MB, which as Python objects take ten times that.
"""

import codecs
import json
from collections.abc import Iterable, Iterator
from typing import Any

from yolo.errors import UserError

_LARGEST_ENTRY = 1 << 26
"""Characters of one entry (of an outline drawn in pixels); COCO's largest has 0.2 million."""
_BLANK = " \t\r\n"


def entries(chunks: Iterable[bytes]) -> Iterator[tuple[str, Any]]:
    """Yield (key, entry) for each entry of each array of the outermost object, in their order.

    Other values of the outermost object are skipped, and so are empty arrays.

    Args:
        chunks: The file, UTF-8 (with or without a mark) or UTF-16 with one.

    Raises:
        UserError: It is no JSON object, too deeply nested, or an entry is too large. Says only what
            is wrong.
    """
    try:
        text = _Text(chunks)
        text.expect("{")
        while text.next() != "}":
            key = text.value()
            text.expect(":")
            if text.next() == "[":
                text.expect("[")
                while text.next() != "]":
                    yield str(key), text.value()
                    text.skip_comma("]")
                text.expect("]")
            else:
                text.value()
            text.skip_comma("}")
    except (ValueError, RecursionError) as error:
        raise UserError(f"is not readable JSON: {error}") from None


class _Text:
    """The characters that are not read yet; more are fetched when they are needed."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = iter(chunks)
        first = next(self._chunks, b"")
        marked = first.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
        self._decoder = codecs.getincrementaldecoder("utf-16" if marked else "utf-8-sig")()
        self._text = self._decoder.decode(first)
        self._at = 0
        self._before = 0
        self._decode = json.JSONDecoder().raw_decode

    def next(self) -> str:
        """The next character that is not blank, left where it is."""
        while True:
            while self._at < len(self._text):
                if self._text[self._at] not in _BLANK:
                    return self._text[self._at]
                self._at += 1
            if not self._fetch():
                raise ValueError(f"it ends at character {self._before + self._at}")

    def expect(self, mark: str) -> None:
        """Pass over `mark`."""
        found = self.next()
        if found != mark:
            raise ValueError(
                f"{found!r} in place of {mark!r} at character {self._before + self._at}"
            )
        self._at += 1

    def skip_comma(self, end: str) -> None:
        """Pass over the comma, unless the end follows."""
        if self.next() != end:
            self.expect(",")
            if self.next() == end:
                raise ValueError(f"a comma before {end!r} at character {self._before + self._at}")

    def value(self) -> Any:
        """Decode one value."""
        self.next()
        while True:
            try:
                value, end = self._decode(self._text, self._at)
                # A number may go on in what is not fetched yet.
                if end < len(self._text) or not self._fetch():
                    self._at = end
                    return value
            except json.JSONDecodeError as error:
                if len(self._text) - self._at > _LARGEST_ENTRY:
                    raise ValueError(
                        f"an entry has more than {_LARGEST_ENTRY} characters"
                    ) from None
                # What is wrong far from the end of the text stays wrong with more of it.
                far = error.pos < len(self._text) - 4096 and not error.msg.startswith("Unterm")
                if far or not self._fetch():
                    place = self._before + error.pos
                    raise ValueError(f"{error.msg} at character {place}") from None

    def _fetch(self) -> bool:
        """Add at least as much as is left; False when there is no more."""
        left = self._text[self._at :]
        parts, size = [left], 0
        for chunk in self._chunks:
            part = self._decoder.decode(chunk)
            parts.append(part)
            size += len(part)
            if size > len(left):
                break
        else:
            part = self._decoder.decode(b"", final=True)
            parts.append(part)
            size += len(part)
        self._before += self._at
        self._text, self._at = "".join(parts), 0
        return size > 0
