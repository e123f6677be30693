"""What a set says that it holds, before any image is read: the same for every format.

`layouts.read_index` tells the layout by its content and returns an `Index`. Whoever judges or uses
a set knows only this module; one module per format (`voc`, `coco`, `yolo_txt`, `csv_boxes`,
`hf_objects`, `imagefolder`) makes it, and knows nothing of rules.
"""

import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal, Protocol

from yolo.data.formats.annotations import Annotation, Parse

OK = "ok"
"""Stands in a column of findings where there is none."""
IMAGES = frozenset((".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".webp", ".tif", ".tiff"))
"""Extensions of the formats that are read; which one it is, the content tells."""
RARE_IMAGES = frozenset((".gif", ".jp2", ".avif", ".ppm", ".pgm"))
"""Extensions that a set with boxes may have too."""
UNREAD_IMAGES = frozenset((".heic", ".heif", ".dng", ".cr2", ".nef", ".arw", ".svg", ".psd"))
"""Extensions of images that are not read and have to be converted first."""
_HEIF = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"mif1", b"msf1")

Kind = Literal["detection", "classification"]


class Files(Protocol):
    """Named files, as `yolo.data.archives.reader.Archives` has them."""

    path: Path

    def names(self) -> list[str]:
        """All names, sorted."""
        ...

    def read(self, name: str) -> bytes:
        """Content of one file."""
        ...

    def chunks(self, name: str, most_bytes: int) -> Iterator[bytes]:
        """Content of one file of any size up to `most_bytes`, piece by piece."""
        ...


@dataclass(frozen=True, slots=True)
class Limits:
    """What images and annotations may ask of the machine: a few kilobytes can claim gigabytes."""

    picture_pixels: int = 1 << 27
    """A larger image is not decoded."""
    annotation_bytes: int = 1 << 20
    """Size of the annotation file of one image; a larger one is not parsed."""
    set_annotation_bytes: int = 1 << 31
    """Size of a file that holds the annotations of many images (COCO's JSON, a CSV)."""
    objects: int = 5_000_000
    """Annotated objects in such files together; COCO's training split has 0.86 million."""


@dataclass(frozen=True, slots=True)
class Record:
    """One image and where its parts are; a part that is missing is None."""

    name: str
    """Unique in the set."""
    image: str | None
    """Archive member that holds the image."""
    annotation: str | None = None
    """Archive member that holds the boxes (detection): of this image alone, to be read by
    `Index.parse`, or of many images; then `boxes` holds what it says."""
    boxes: Annotation | None = None
    """The annotation, where reading the index has read it already."""
    label: str | None = None
    """Class (classification)."""
    listing: str = OK
    """What is wrong with how the image is listed (two files of one id)."""
    absent: str = ""
    """Where `image` or `annotation` is None: what is known of the missing file, for people."""

    @property
    def annotated(self) -> bool:
        """Whether anything says what is in the image."""
        return self.annotation is not None or self.boxes is not None

    @property
    def place(self) -> str:
        """The file that a finding about an object of this image names."""
        own = self.annotation if self.boxes is None else self.image
        return own or self.annotation or self.name


@dataclass(frozen=True, slots=True)
class ImageList:
    """A file that lists images."""

    file: str
    """Archive member."""
    split: str
    """What `Index.published` and `data.<set>.splits` call it."""
    images: tuple[str, ...]
    """Names of records in its order, repeats included."""
    lines: tuple[int, ...] = ()
    """Of each image the line that names it, from 1."""


@dataclass(frozen=True)
class Index:
    """All images of a set and its own splits."""

    kind: Kind
    layout: str
    """For people: `Pascal VOC`, `COCO JSON`."""
    records: Mapping[str, Record]
    """By name, sorted."""
    published: Mapping[str, Sequence[str]]
    """Names of images by the name of the published split, in its order, repeats included.
    `train`, `val`, `trainval` and `test` are called so whatever the set calls them; other splits
    and parts of several sets (`VOC2007/train`) go by their own names too."""
    lists: Sequence[ImageList] = ()
    """The files that list images; each is in `published`."""
    parse: Parse | None = None
    """Reads `Record.annotation` of a record without `boxes`."""
    ignored: Sequence[str] = ()
    """Files that are no images by their names."""
    notes: Sequence[str] = ()
    """What people should know about how the set was read, a sentence each."""


def visible(names: Sequence[str]) -> list[str]:
    """Members but for what operating systems leave behind (`.DS_Store`, `__MACOSX/`, `._a.jpg`)."""
    return [name for name in names if not _is_left_behind(name)]


def _is_left_behind(name: str) -> bool:
    return (
        name.startswith((".", "__MACOSX/"))
        or "/." in name
        or "/__MACOSX/" in name
        or name.endswith(("Thumbs.db", "desktop.ini"))
    )


def unread_format(name: str, data: bytes) -> str | None:
    """Format of an image that has to be converted first: by its content, else by its name."""
    if data[4:8] == b"ftyp" and data[8:12] in _HEIF and b"avif" not in data[8:64]:
        return "HEIC"
    ending = extension(name)
    return ending[1:].upper() if ending in UNREAD_IMAGES else None


def extension(name: str) -> str:
    """`a/b.c.JPG` → `.jpg`; empty when there is none."""
    start = name.rfind(".")
    return name[start:].lower() if start > name.rfind("/") + 1 else ""


def without_extension(name: str) -> str:
    """`a/b.c.jpg` → `a/b.c`."""
    return str(PurePosixPath(name).with_suffix(""))


def plain(name: str) -> str:
    """One letter may be written in two ways, which file systems change: always in the same."""
    return name if name.isascii() else unicodedata.normalize("NFC", name)
