"""Find a file that a list or an annotation names: by its id, its path or only the end of it."""

from collections.abc import Iterable, Iterator

from yolo.data.formats.index import (
    IMAGES,
    RARE_IMAGES,
    UNREAD_IMAGES,
    extension,
    plain,
    visible,
)

_ENCODINGS = ("gbk", "cp932", "big5", "cp949", "cp866", "cp850", "cp1251", "cp1252")
"""In which programs on Windows write the names in a zip without saying so."""
_TAKEN = ("utf-8", "cp437", "gbk", "cp932", "big5", "cp949")
"""As which such names are read."""
_ENDINGS = IMAGES | RARE_IMAGES | UNREAD_IMAGES | {".xml", ".txt"}


class PathLookup:
    """Paths by their ends.

    Texts come from other machines: with folders that are not here (`D:/img/1.jpg`,
    `../train/images/1.jpg`), in another case, with backslashes or without an ending.
    """

    def __init__(self, paths: Iterable[str]) -> None:
        self._by_stem: dict[str, list[str]] = {}
        for path in paths:
            self._by_stem.setdefault(_stem(_parts(path)[-1]), []).append(path)

    def find(self, text: str, near: str = "", *, any_ending: bool = False) -> str | None:
        """The path that `text` means; None when none does, or several do equally.

        Of paths with this file name that one is meant which shares most folders with `text`, then
        most with `near`, a path beside which the text stands.

        Args:
            text: Path, file name or id.
            near: A path of the set.
            any_ending: An ending may be missing or another one.
        """
        for spelling in (text, *misread(text)):
            path = self._find(_parts(spelling), near, any_ending)
            if path is not None:
                return path
        return None

    def _find(self, parts: list[str], near: str, any_ending: bool) -> str | None:
        found = self._by_stem.get(_stem(parts[-1]), ())
        if not any_ending:
            own = extension(parts[-1])
            found = [path for path in found if extension(path) == own]
        if len(found) <= 1:
            return next(iter(found), None)
        ranked = sorted(((_likeness(parts, path, near), path) for path in found), reverse=True)
        return None if ranked[0][0] == ranked[1][0] else ranked[0][1]


def same_name(text: str, name: str) -> bool:
    """Whether a text that an annotation holds is this name, in whatever spelling and encoding."""
    return plain(text) == plain(name) or plain(name) in misread(text)


def misread(text: str) -> Iterator[str]:
    """What becomes of a name when a zip does not say its encoding and another one is taken."""
    if text.isascii():
        return
    for encoding in _ENCODINGS:
        for taken in _TAKEN:
            if taken != encoding:
                try:
                    yield plain(text.encode(encoding).decode(taken))
                except UnicodeError:
                    continue


def _likeness(parts: list[str], path: str, near: str) -> tuple[int, bool, int]:
    own = _parts(path)
    return (
        _shared(reversed(parts[:-1]), reversed(own[:-1])),
        _without_ending(parts[-1]) == _without_ending(own[-1]),
        _shared(_parts(near)[:-1], own),
    )


def _shared(first: Iterable[str], second: Iterable[str]) -> int:
    count = 0
    for one, other in zip(first, second, strict=False):
        if one.casefold() != other.casefold():
            break
        count += 1
    return count


def _parts(text: str) -> list[str]:
    return plain(text).replace("\\", "/").split("/")


def _without_ending(name: str) -> str:
    ending = extension(name)
    return name[: -len(ending)] if ending in _ENDINGS else name


def _stem(name: str) -> str:
    return _without_ending(name).casefold()


class Absences:
    """What is known of images that are missing: where a file of that name lies instead."""

    def __init__(self, names: Iterable[str]) -> None:
        self._by_stem: dict[str, list[str]] = {}
        for name in visible(list(names)):
            if extension(name) in IMAGES | RARE_IMAGES | UNREAD_IMAGES:
                self._by_stem.setdefault(_stem(_parts(name)[-1]), []).append(name)

    def explain(self, text: str) -> str:
        """The words behind "missing" for an image that `text` names; empty when nothing is."""
        found = self._by_stem.get(_stem(_parts(text)[-1]), ())
        for name in found:
            ending = extension(name)
            if ending in UNREAD_IMAGES:
                kind = ending[1:].upper()
                return f"{name} is there, but {kind} is not read: convert it to JPEG or PNG"
        return f"a file of this name is {found[0]}" if found else ""
