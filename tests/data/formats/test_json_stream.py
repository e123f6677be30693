"""Arrays of a large JSON file, entry by entry."""

import itertools
import json

import pytest

from yolo.data.formats import json_stream
from yolo.errors import UserError


def pieces(data: bytes, size: int) -> list[bytes]:
    return [data[start : start + size] for start in range(0, len(data), size)]


DOCUMENT = {
    "info": {"year": 2017, "note": 'a "quote", a ] and a }'},
    "images": [{"id": 1, "name": "\u00e9\u732b"}, {"id": 2}],
    "empty": [],
    "count": 12345,
    "annotations": [[1, [2]], "text", 3.5, None, True, 17],
}
ENTRIES = [(key, one) for key in ("images", "annotations") for one in DOCUMENT[key]]


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_entries_come_in_order_however_the_file_is_cut(size: int, encoding: str) -> None:
    data = json.dumps(DOCUMENT, ensure_ascii=False, indent=1).encode(encoding)
    first, rest = data[:4], data[4:]
    assert list(json_stream.entries([first, *pieces(rest, size)])) == ENTRIES


def test_no_more_is_held_than_what_is_at_hand() -> None:
    entry = b'{"id": 1, "segmentation": [[' + b"1.5, " * 1000 + b"2]]},"
    taken = 0

    def endless():
        nonlocal taken
        yield b'{"annotations": ['
        while True:
            taken += 1
            yield entry

    found = list(itertools.islice(json_stream.entries(endless()), 500))
    assert len(found) == 500
    assert taken < 510


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "ends at character 0"),
        (b"[]", "in place of '{'"),
        (b"{", "ends at"),
        (b'{"a": [1, 2', "ends at"),
        (b'{"a": [1, 2}', "in place of ','"),
        (b'{"a": [1 2]}', "in place of ','"),
        (b'{"a": [1,]}', "a comma before"),
        (b'{"a": [{"b": }]}', "Expecting value"),
        (b'{"a": ["' + b"x" * 9000, "Unterminated string"),
        (b'{"a": [' + b"[" * 100_000, "not readable JSON"),
        (b'{"a": [' + b'{"b":' * 100_000, "not readable JSON"),
        (b'{"a": [' + b"9" * 10_000 + b"]}", "not readable JSON"),
        (b'{"a": ["\xff"]}', "not readable JSON"),
        (b"<html>502</html>", "in place of '{'"),
    ],
)
def test_what_is_wrong_is_said(data: bytes, words: str) -> None:
    with pytest.raises(UserError, match=words):
        list(json_stream.entries(pieces(data, 4096)))


def test_an_entry_that_never_ends_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_stream, "_LARGEST_ENTRY", 10_000)
    data = b'{"a": ["' + b"x" * 100_000 + b'"]}'
    with pytest.raises(UserError, match="more than 10000 characters"):
        list(json_stream.entries(pieces(data, 1000)))
