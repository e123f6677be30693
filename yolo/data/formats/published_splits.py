"""The splits that a set of images and annotations publishes: lists of images, else folders."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from yolo.data.formats.image_lists import Find, Line, read_list
from yolo.data.formats.index import Files, ImageList, Record, extension, plain
from yolo.data.formats.path_lookup import Absences, PathLookup, misread
from yolo.data.formats.split_names import USUAL, by_folder, split_called, split_of_list

_FEW = 100
"""Text files in one folder; where there are more, they are labels of images and no lists."""
_COLUMN = re.compile(rb"[^\r\n]*\S[ \t]+[+-]?[01][ \t]*[\r\n]")
_PER_CLASS = re.compile(r".+_(?P<split>[A-Za-z]+)")


@dataclass(frozen=True)
class Splits:
    """What `index.Index` holds of the splits."""

    records: dict[str, Record]
    """All records, with one for each listed image that is not there."""
    published: dict[str, list[str]]
    lists: list[ImageList]


@dataclass(frozen=True)
class _List:
    file: str
    name: str
    """Its own name, by which it can be asked for."""
    lines: list[Line]


def find(
    files: Files,
    names: Sequence[str],
    records: Mapping[str, Record],
    roots: Mapping[str, str],
    absences: Absences,
) -> Splits:
    """Read the lists of each set, and those beside it; folders count where there are none.

    The lists of a set are in `ImageSets/Main`, else in `ImageSets`. Lists elsewhere are its splits
    when it has none there; else they can be named by their paths. Lists per class
    (`cat_train.txt`) are no splits of their own; where there are only such, they make them up.

    Args:
        files: The set.
        names: All visible files.
        records: Images by name; of several roots the name begins with the label of its root.
        roots: Label of each folder that holds a set.
        absences: Explains images that are not there.
    """
    found = _Found(dict(records), absences)
    texts = [name for name in names if _may_be_list(name)]
    with_lists = set()
    for root, label in roots.items():
        prefix = f"{label}/" if len(roots) > 1 else ""
        inside = [name for name in records if name.startswith(prefix)]
        own = [
            _List(name, _base(name), _lines(files, name, _Finder(records, inside, prefix)))
            for name in _set_files(texts, root)
            if not _is_per_class(files, name, texts)
        ]
        chosen = _in_our_names([one for one in own if _is_list(one)])
        if chosen.keys().isdisjoint(USUAL):
            finder = _Finder(records, inside, prefix)
            joined = _joined_classes(files, _set_files(texts, root), finder)
            rest = {name: one for name, one in chosen.items() if _class_split(name) not in joined}
            chosen = rest | joined
        if not chosen.keys().isdisjoint(USUAL):
            with_lists.update(inside)
        elif prefix:
            found.published[f"{label}/all"] = inside
        for split, listed in chosen.items():
            found.add(split, listed, prefix, label)
    beside = _beside(files, texts, names, records)
    if not with_lists:
        for split, listed in _in_our_names(beside).items():
            if split in USUAL:
                found.add(split, listed, "", "")
                with_lists.update(line.image for line in listed.lines if line.image)
                beside.remove(listed)
    for listed in beside:
        found.add(listed.name, listed, "", "")
    if not with_lists:
        annotated = {
            name: record.annotation or record.image or ""
            for name, record in records.items()
            if record.annotated
        }
        for split, inside in by_folder(annotated).items():
            found.published.setdefault(split, []).extend(inside)
    return Splits(dict(sorted(found.records.items())), found.published, found.lists)


def find_beside(
    files: Files, names: Sequence[str], records: Mapping[str, Record], absences: Absences
) -> Splits:
    """Read the lists of a set of classes that are called as a split (`meta/train.txt`)."""
    found = _Found(dict(records), absences)
    beside = _beside(files, [name for name in names if _may_be_list(name)], names, records)
    for split, listed in _in_our_names(beside).items():
        if split in USUAL:
            found.add(split, listed, "", "")
    return Splits(dict(sorted(found.records.items())), found.published, found.lists)


class _Found:
    """Collects the splits."""

    def __init__(self, records: dict[str, Record], absences: Absences) -> None:
        self.records = records
        self.published: dict[str, list[str]] = {}
        self.lists: list[ImageList] = []
        self._absences = absences

    def add(self, split: str, listed: _List, prefix: str, label: str) -> None:
        """Publish a list under its name, under the set's and, if it has one, its own."""
        images = []
        for line in listed.lines:
            image = line.image or prefix + plain(line.text)
            if image not in self.records:
                absent = self._absences.explain(line.text)
                self.records[image] = Record(image, None, absent=absent)
            images.append(image)
        for name in dict.fromkeys((split, listed.name)):
            self.published.setdefault(name, []).extend(images)
            if label:
                self.published[f"{label}/{name}"] = images
        lines = tuple(line.number for line in listed.lines)
        self.lists.append(ImageList(listed.file, split, tuple(images), lines))


class _Finder:
    """Finds the image that a line of a list means: by its id, else by path or file name."""

    def __init__(
        self, records: Mapping[str, Record], names: Sequence[str], prefix: str = ""
    ) -> None:
        self._names = set(names)
        self._prefix = prefix
        self._by_path = {
            path: name
            for name in names
            if (path := records[name].image or records[name].annotation) is not None
        }
        self._lookup: PathLookup | None = None

    def __call__(self, text: str) -> str | None:
        name = self._prefix + plain(text)
        if name in self._names:
            return name
        if self._lookup is None:
            self._lookup = PathLookup(self._by_path)
        path = self._lookup.find(text, any_ending=True)
        if path is not None:
            return self._by_path[path]
        return next(
            (self._prefix + n for n in misread(text) if self._prefix + n in self._names), None
        )


def _set_files(texts: Sequence[str], root: str) -> list[str]:
    """Members of `ImageSets/Main` of a set, else of its `ImageSets` itself."""
    start = f"{root}/".lower() if root else ""
    for folder in (f"{start}imagesets/main/", f"{start}imagesets/"):
        found = [name for name in texts if name.lower().rpartition("/")[0] == folder[:-1]]
        if found:
            return found
    return []


def _is_per_class(files: Files, name: str, texts: Sequence[str]) -> bool:
    """Whether the list says which images of a split show a class, in a second column."""
    match = _PER_CLASS.fullmatch(_base(name))
    if match is None or split_called(match["split"]) is None:
        return False
    folder = name.rpartition("/")[0]
    has_split = any(
        text.rpartition("/")[0] == folder and _base(text).lower() == match["split"].lower()
        for text in texts
    )
    if not has_split:
        return False
    data = files.read(name)
    return not data.strip() or bool(_COLUMN.match(data.lstrip() + b"\n"))


def _class_split(name: str) -> str | None:
    """The split of a list per class: `cat_train` → `train`; None: it is called otherwise."""
    match = _PER_CLASS.fullmatch(name)
    return split_called(match["split"]) if match else None


def _joined_classes(files: Files, members: Sequence[str], finder: _Finder) -> dict[str, _List]:
    """Splits that lists per class make up together."""
    groups: dict[str, list[str]] = {}
    for name in members:
        split = _class_split(_base(name))
        if split is not None:
            groups.setdefault(split, []).append(name)
    joined = {}
    for split, group in groups.items():
        lines: dict[str, Line] = {}
        for name in group:
            for line in _lines(files, name, finder):
                lines.setdefault(line.image or line.text, line)
        folder = group[0].rpartition("/")[0]
        joined[split] = _List(f"{folder}/*_{split}.txt", split, list(lines.values()))
    return joined


def _beside(
    files: Files, texts: Sequence[str], names: Sequence[str], records: Mapping[str, Record]
) -> list[_List]:
    """Lists outside of `ImageSets`: text files most of whose lines name an image."""
    counts = Counter(name.rpartition("/")[0] for name in texts)
    candidates = [
        name
        for name in texts
        if counts[name.rpartition("/")[0]] <= _FEW
        and "imagesets" not in name.lower().split("/")[:-1]
        and not _base(name).lower().startswith(("readme", "license", "comp3_", "comp4_"))
    ]
    if not candidates:
        return []
    finder = _Finder(records, list(records))
    lists = [_List(name, name, _lines(files, name, finder)) for name in candidates]
    return [one for one in lists if _names_images(one.lines)]


def _in_our_names(lists: Sequence[_List]) -> dict[str, _List]:
    """Lists by our name for the split, or by their own where they are no usual split.

    Of several that mean one split (`val`, `valid`), the one that is called exactly so is it; where
    none is, neither is.
    """
    by_split: dict[str, list[_List]] = {}
    for one in lists:
        by_split.setdefault(split_of_list(_base(one.file)) or one.name, []).append(one)
    named = {}
    for split, alike in by_split.items():
        exact = [one for one in alike if _base(one.file).lower() == split]
        best = exact if len(exact) == 1 else alike
        for one in alike:
            named[split if len(best) == 1 and one is best[0] else one.name] = one
    return named


def _is_list(one: _List) -> bool:
    return split_of_list(_base(one.file)) is not None or any(line.image for line in one.lines)


def _names_images(lines: Sequence[Line]) -> bool:
    return 0 < len(lines) <= 2 * sum(line.image is not None for line in lines)


def _may_be_list(name: str) -> bool:
    ending = extension(name)
    is_split = split_of_list(_base(name)) is not None
    return ending in (".txt", ".lst", ".list") or (is_split and ending in ("", ".csv"))


def _lines(files: Files, name: str, find: Find) -> list[Line]:
    """Lines of a list; of a table its images, each once, without the header."""
    lines = read_list(files.read(name), find)
    if extension(name) != ".csv":
        return lines
    if lines and lines[0].image is None:
        lines = lines[1:]
    return list({line.image or line.text: line for line in reversed(lines)}.values())[::-1]


def _base(name: str) -> str:
    ending = extension(name)
    return name.rpartition("/")[2].removesuffix(name[len(name) - len(ending) :])
