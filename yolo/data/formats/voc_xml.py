"""Read the annotation of one image in Pascal VOC's XML, as the many programs write it.

Namespaces, wrappers around the objects, tags in another case and declared encodings are read as
what they mean (VOCdevkit development kit documentation, 2012, is the standard).
"""

import codecs
import re
from collections.abc import Iterator, Sequence
from xml.etree.ElementTree import Element, ParseError

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring

from yolo.data.formats.annotations import FARTHEST, Annotation, Box, Object
from yolo.errors import UserError

_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
_SIDES = ("xmin", "ymin", "xmax", "ymax")
_FLAGS = ("difficult", "truncated")
_TAGS = frozenset(
    ("filename", "size", "width", "height", "object", "name", "bndbox", *_SIDES, *_FLAGS)
)
_DECLARED = re.compile(rb"\s*<\?xml[^>]*encoding\s*=\s*[\"']([A-Za-z0-9._:-]+)[\"']")
_BEGINNING = re.compile(rb"<(?:[\w.-]+:)?annotation[\s>]", re.IGNORECASE)


def looks_like(data: bytes) -> bool:
    """Whether this is an annotation by its beginning, sound or not."""
    return bool(_BEGINNING.search(data[:4096].replace(b"\0", b"")))


def parse(data: bytes) -> Annotation:
    """Read an annotation; nested `part` boxes are ignored, absent flags are 0.

    Raises:
        UserError: No XML, XML with entities, or another kind of document. Says only what is wrong.
    """
    root = _root(data)
    odd = _make_plain(root)
    if root.tag != "annotation":
        inside = root.findall("annotation")
        if len(inside) != 1:
            own = ": it is CVAT's own format, export as Pascal VOC" * bool(root.findall("image"))
            raise UserError(f"is no VOC annotation: its outermost tag is {root.tag}{own}")
        root = inside[0]
    size = "x".join(_pixels(_text(root, f"size/{side}")) for side in ("width", "height"))
    return Annotation(
        tuple(_object(node, number) for number, node in enumerate(_objects(root), 1)),
        filename=_text(root, "filename"),
        size="none" if size == "x" else size,
        odd_tags=", ".join(sorted(odd)),
    )


def _root(data: bytes) -> Element:
    try:
        try:
            return fromstring(data, forbid_dtd=True)
        except (ParseError, ValueError, LookupError) as error:
            # expat knows few encodings
            return fromstring(_decoded(data, error), forbid_dtd=True)
    except DefusedXmlException:
        raise UserError("declares a document type or entities, which is not read") from None
    except (ParseError, ValueError, LookupError) as error:
        raise UserError(f"is not readable XML: {error}") from None


def _decoded(data: bytes, error: Exception) -> str:
    """The text of a file whose encoding the XML parser does not know; else raises."""
    declared = _DECLARED.match(data.removeprefix(codecs.BOM_UTF8))
    name = declared[1].decode() if declared else ""
    is_utf8 = name.lower().replace("-", "") in ("", "utf8")
    if name and not is_utf8:
        try:
            return data.decode(name)
        except LookupError:
            raise UserError(
                f"declares the encoding {name}, which is not known: save it as UTF-8"
            ) from None
        except UnicodeError:
            pass
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        why = f"is not in its declared encoding {name}" if name else "is not UTF-8"
        if not data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            raise UserError(f"{why} and not readable: save it as UTF-8") from None
        raise error from None
    if is_utf8:
        raise error
    return text


def _make_plain(root: Element) -> set[str]:
    """Give all tags the standard's spelling; return those that held something in another one."""
    odd = set()
    for node in root.iter():
        tag = node.tag
        if not isinstance(tag, str):
            continue
        if tag[0] == "{":
            tag = tag.rpartition("}")[2]
        lower = tag.lower()
        if lower != tag and lower in _TAGS:
            odd.add(tag)
        node.tag = lower
    return odd


def _objects(root: Element) -> Iterator[Element]:
    """Objects at the top or in wrappers, in their order; not those inside other objects."""
    # a stack of our own: hostile files nest deeper than Python calls
    waiting = [root]
    while waiting:
        node = waiting.pop()
        if node.tag == "object":
            yield node
        else:
            waiting.extend(reversed(list(node)))


def _object(node: Element, number: int) -> Object:
    texts = [_text(node, f"bndbox/{side}") for side in _SIDES]
    return Object(
        number=number,
        name=_text(node, "name"),
        box=read_box(texts),
        box_text=" ".join(text or "?" for text in texts),
        difficult=_text(node, "difficult") or "0",
        truncated=_text(node, "truncated") or "0",
    )


def read_numbers(texts: Sequence[str]) -> list[float] | None:
    """Plain numbers; None when a text is none.

    Python alone would read `1_000` and digits of other scripts.
    """
    if not all(_NUMBER.fullmatch(text) for text in texts):
        return None
    return [float(text) for text in texts]


def read_box(texts: Sequence[str]) -> Box | None:
    """The two corners; None when a text is no plain number, or one beyond all images."""
    numbers = read_numbers(texts)
    if numbers is None or not all(abs(number) < FARTHEST for number in numbers):
        return None
    xmin, ymin, xmax, ymax = numbers
    return xmin, ymin, xmax, ymax


def _pixels(text: str) -> str:
    """`500.0` → `500`."""
    whole, _, fraction = text.partition(".")
    return whole if fraction.strip("0") == "" else text


def _text(node: Element, path: str) -> str:
    return (node.findtext(path) or "").strip()
