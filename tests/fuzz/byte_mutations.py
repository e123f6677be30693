"""Seeded damage to valid files: flipped bits, lost and repeated parts, absurd values."""

import random
import re
from collections.abc import Callable

_VALUES = (
    *(b"0", b"-1", b"1e999", b"nan", b"9" * 30, b"0.5", b"null", b"[]", b"{}", b"[" * 2000),
    *(b'"', b"'", b"<", b"</", b"&a;", b",", b"\t", b"\n", b":", b"- ", b"*a", b"!!python/name:os"),
    *(b"../../x", b"/etc/passwd", b"\x00", b"\xff", b"\xff" * 8, b"\x7f\xff\xff\xff"),
    *(b"\xff\xff\xff\x7f", b"\x00" * 4, b"\xed\xa0\x80", b"\xef\xbb\xbf", b"\xff\xfe", b"\xc2\xb2"),
)
_NUMBER = re.compile(rb"-?\d+(?:\.\d+)?")
_WORD = re.compile(rb"[A-Za-z_]+")


def mutated(data: bytes, rng: random.Random) -> bytes:
    """A copy with one to sixteen changes."""
    changed = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 4, 16))):
        rng.choice(_CHANGES)(changed, rng)
    return bytes(changed)


def _place(data: bytearray, rng: random.Random) -> int:
    """A position; every second one lies near an end, where formats keep their headers."""
    near = min(len(data), 512)
    return rng.choice(
        (rng.randrange(len(data) + 1), rng.randrange(near + 1), len(data) - rng.randrange(near + 1))
    )


def _part(data: bytearray, rng: random.Random) -> slice:
    start = _place(data, rng)
    return slice(start, start + rng.choice((1, 2, 4, 16, rng.randrange(len(data) + 1))))


def _flip(data: bytearray, rng: random.Random) -> None:
    if data:
        data[_place(data, rng) % len(data)] ^= 1 << rng.randrange(8)


def _random_byte(data: bytearray, rng: random.Random) -> None:
    if data:
        data[_place(data, rng) % len(data)] = rng.randrange(256)


def _overwrite(data: bytearray, rng: random.Random) -> None:
    value = rng.choice(_VALUES)
    start = _place(data, rng)
    data[start : start + len(value)] = value


def _insert(data: bytearray, rng: random.Random) -> None:
    start = _place(data, rng)
    data[start:start] = rng.choice(_VALUES)


def _delete(data: bytearray, rng: random.Random) -> None:
    del data[_part(data, rng)]


def _repeat(data: bytearray, rng: random.Random) -> None:
    part = data[_part(data, rng)]
    start = _place(data, rng)
    data[start:start] = part


def _cut(data: bytearray, rng: random.Random) -> None:
    del data[_place(data, rng) :]


def _replace(pattern: re.Pattern[bytes]) -> Callable[[bytearray, random.Random], None]:
    def change(data: bytearray, rng: random.Random) -> None:
        found = pattern.search(data, _place(data, rng))
        if found:
            own = rng.choice((rng.choice(_VALUES), *pattern.findall(data)[:50]))
            data[found.start() : found.end()] = own

    return change


_CHANGES: tuple[Callable[[bytearray, random.Random], None], ...] = (
    *(_flip, _random_byte, _overwrite, _insert, _delete, _repeat, _cut),
    *(_replace(_NUMBER), _replace(_WORD)),
)
