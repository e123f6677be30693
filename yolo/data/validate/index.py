"""What an archive says that it holds, before any image is read."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Protocol

OK = "ok"
"""Stands in a column of findings where there is none."""
PICTURES = frozenset((".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".webp", ".tif", ".tiff"))
"""Extensions of the formats that are read; which one it is, the content tells."""


class Files(Protocol):
    """Named files, as `yolo.data.archives.reader.Archives` has them."""

    path: Path

    def names(self) -> list[str]:
        """All names."""
        ...

    def read(self, name: str) -> bytes:
        """Content of one file."""
        ...


@dataclass(frozen=True)
class Entry:
    """One picture and where its parts are; a part that is missing is None."""

    name: str
    """Unique in the set."""
    image: str | None
    """Archive member that holds the picture."""
    annotation: str | None = None
    """Archive member that holds the boxes (detection)."""
    label: str | None = None
    """Class (classification)."""
    listing: str = OK
    """What is wrong with how the picture is listed (two files of one id)."""


@dataclass(frozen=True)
class Listing:
    """All pictures of a set and its own splits."""

    entries: Mapping[str, Entry]
    """By name, sorted."""
    published: Mapping[str, Sequence[str]]
    """Names of pictures by the name of the published split, in its order, repeats included."""
    ignored: Sequence[str] = ()
    """Files that are no pictures by their names."""


def visible(names: Sequence[str]) -> list[str]:
    """Members but for what operating systems leave behind (`.DS_Store`, `__MACOSX/`, `._a.jpg`)."""
    return [
        name
        for name in names
        if not any(part.startswith(".") or part == "__MACOSX" for part in PurePosixPath(name).parts)
    ]


def without_extension(name: str) -> str:
    """`a/b.c.jpg` → `a/b.c`."""
    return str(PurePosixPath(name).with_suffix(""))
