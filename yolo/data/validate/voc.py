"""The layout and the annotations of Pascal VOC (VOCdevkit development kit documentation, 2012).

A root holds `Annotations/ID.xml`, `JPEGImages/ID.jpg` and `ImageSets/Main/SPLIT.txt`.
"""

import codecs
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from xml.etree.ElementTree import Element, ParseError

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring

from yolo.data.validate.index import OK, PICTURES, Entry, Files, Listing, visible, without_extension
from yolo.errors import UserError

_ANNOTATIONS, _IMAGES, _SETS = "Annotations", "JPEGImages", "ImageSets"
_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
_ABSURD = 1e9
"""Pixels. What lies farther out is no place in a picture."""
_SPLITS = ("train", "val", "trainval", "test")
_PICTURES = PICTURES | {".gif", ".jp2", ".avif", ".ppm", ".pgm"}


@dataclass(frozen=True)
class Object:
    """One annotated object, its texts as they stand."""

    number: int
    """Place in the file, from 1."""
    name: str
    box: tuple[float, float, float, float] | None
    """xmin, ymin, xmax, ymax in pixels, the first pixel is 1, both ends belong to the box; None
    when the file does not give four numbers, each below a thousand million."""
    box_text: str
    difficult: str
    truncated: str


@dataclass(frozen=True)
class Annotation:
    """One annotation file, its texts as they stand."""

    filename: str
    """Empty when the file does not say."""
    size: str
    """`WIDTHxHEIGHT`; `none` when the file does not say."""
    objects: tuple[Object, ...]


def parse(data: bytes) -> Annotation:
    """Read an annotation; nested `part` boxes are ignored, absent flags are 0.

    Raises:
        UserError: No XML, XML with entities, or another kind of document. Says only what is wrong.
    """
    try:
        root = fromstring(data, forbid_dtd=True)
    except DefusedXmlException:
        raise UserError("declares a document type or entities, which is not read") from None
    except (ParseError, ValueError, LookupError) as error:
        raise UserError(f"is not readable XML: {error}") from None
    if root.tag != "annotation":
        raise UserError(f"is no VOC annotation: its outermost tag is {root.tag}")
    size = "x".join(_pixels(_text(root, f"size/{side}")) for side in ("width", "height"))
    objects = tuple(_object(node, number) for number, node in enumerate(root.findall("object"), 1))
    return Annotation(_text(root, "filename"), "none" if size == "x" else size, objects)


def listing(files: Files) -> Listing:
    """Find every root at any depth and join them.

    With one root a picture is called by its id (`000001`), with several by the root's name and the
    id (`VOC2007/000001`). Splits are called both `train` (of all roots) and `VOC2007/train`; of
    several roots, one without any split of a usual name has `VOC2007/all`.

    Raises:
        UserError: There is no folder with `Annotations`.
    """
    names = visible(files.names())
    roots = find_roots(names)
    if not roots:
        raise UserError(
            f"{files.path} holds no VOC data: no folder with {_ANNOTATIONS}/*.xml was found; "
            f"a set needs {_ANNOTATIONS}/ID.xml, {_IMAGES}/ID.jpg and {_SETS}/Main/train.txt"
        )
    entries: dict[str, Entry] = {}
    published: dict[str, list[str]] = {}
    ignored: list[str] = []
    for root, label in roots.items():
        prefix = f"{label}/" if len(roots) > 1 else ""
        inside = [name for name in names if name.startswith(f"{root}/" if root else "")]
        found, others = _entries(inside, root, prefix)
        entries.update(found)
        ignored += others
        members = _set_files(inside, root)
        if prefix and members.keys().isdisjoint(_SPLITS):
            published[f"{label}/all"] = list(found)
        for split, member in members.items():
            listed = [prefix + _id(line, found, prefix) for line in _lines(files.read(member))]
            for name in listed:
                entries.setdefault(name, Entry(name, None))
            published.setdefault(split, []).extend(listed)
            if label:
                published[f"{label}/{split}"] = listed
    return Listing(dict(sorted(entries.items())), published, ignored)


def find_roots(names: Sequence[str]) -> dict[str, str]:
    """Folders of sets, each with its shortest unique name, sorted.

    They hold `Annotations/*.xml`, or, when all annotations are lost, `JPEGImages`.
    """
    holders: set[str] = set()
    for name in names:
        *above, last = name.split("/")
        if above[-1:] == [_IMAGES] or (
            above[-1:] == [_ANNOTATIONS] and last.lower().endswith(".xml")
        ):
            holders.add("/".join(above[:-1]))
    roots = sorted(holders)
    labels = [PurePosixPath(root).name for root in roots]
    if len(set(labels)) < len(labels):
        labels = roots
    return dict(zip(roots, labels, strict=True))


def _entries(names: Sequence[str], root: str, prefix: str) -> tuple[dict[str, Entry], list[str]]:
    """The pictures of a set, and the files that are neither pictures nor annotations."""
    start = f"{root}/" if root else ""
    others: list[str] = []
    annotations: dict[str, list[str]] = {}
    images: dict[str, list[str]] = {}
    for name in names:
        folder, _, rest = name.removeprefix(start).partition("/")
        if folder == _ANNOTATIONS and rest.lower().endswith(".xml"):
            annotations.setdefault(_called(rest), []).append(name)
        elif folder == _IMAGES and PurePosixPath(rest).suffix.lower() in _PICTURES:
            images.setdefault(_called(rest), []).append(name)
        elif folder in (_ANNOTATIONS, _IMAGES):
            others.append(name)
    entries = {}
    for id_ in sorted(annotations.keys() | images.keys()):
        pictures, texts = images.get(id_, [None]), annotations.get(id_, [None])
        more = [*pictures[1:], *texts[1:]]
        problem = f"also {', '.join(map(str, more))}" if more else OK
        name = prefix + id_
        entries[name] = Entry(name, pictures[0], texts[0], listing=problem)
    return entries, others


def _called(name: str) -> str:
    """A picture's id; one letter may be written in two ways, which file systems change."""
    return unicodedata.normalize("NFC", without_extension(name))


def _set_files(names: Sequence[str], root: str) -> dict[str, str]:
    """Members of `ImageSets/Main` (else of `ImageSets` itself) by the name of their split."""
    start = f"{root}/" if root else ""
    for folder in (f"{start}{_SETS}/Main/", f"{start}{_SETS}/"):
        found = {
            name.removeprefix(folder)[:-4]: name
            for name in names
            if name.startswith(folder)
            and name.endswith(".txt")
            and "/" not in name.removeprefix(folder)
        }
        if found:
            # cat_train.txt says which pictures of train show a cat; it is no split of its own.
            ends = tuple(f"_{split}" for split in found)
            return {split: name for split, name in found.items() if not split.endswith(ends)}
    return {}


def _id(line: str, entries: Mapping[str, Entry], prefix: str) -> str:
    """The whole line when a picture is called so, else without the column that VOC adds."""
    whole = unicodedata.normalize("NFC", line.strip())
    called = (whole, whole.rpartition(" ")[0].strip())
    return next((name for name in called if prefix + name in entries), whole.split()[0])


def _lines(data: bytes) -> list[str]:
    marked = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    text = data.decode("utf-16" if marked else "utf-8-sig", "replace")
    # not splitlines(), which also splits at letters that names may hold
    return [line for line in re.split(r"\r\n|\r|\n", text) if line.strip()]


def _object(node: Element, number: int) -> Object:
    texts = [_text(node, f"bndbox/{side}") for side in ("xmin", "ymin", "xmax", "ymax")]
    return Object(
        number=number,
        name=_text(node, "name"),
        box=_box(texts),
        box_text=" ".join(text or "?" for text in texts),
        difficult=_text(node, "difficult") or "0",
        truncated=_text(node, "truncated") or "0",
    )


def _box(texts: Sequence[str]) -> tuple[float, float, float, float] | None:
    if not all(_NUMBER.fullmatch(text) for text in texts):
        return None
    xmin, ymin, xmax, ymax = (float(text) for text in texts)
    box = (xmin, ymin, xmax, ymax)
    return box if all(abs(side) < _ABSURD for side in box) else None


def _pixels(text: str) -> str:
    """`500.0` → `500`."""
    whole, _, fraction = text.partition(".")
    return whole if fraction.strip("0") == "" else text


def _text(node: Element, path: str) -> str:
    return (node.findtext(path) or "").strip()
