"""Read each image and annotation once and note what the rules need to know; keep no pixels."""

import hashlib
import io
import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, UnidentifiedImageError

from yolo.data.formats.annotations import Annotation, Parse
from yolo.data.formats.index import OK, Files, Limits, Record, unread_format
from yolo.data.store import images
from yolo.data.validate.perceptual_hash import perceptual_hash
from yolo.errors import UserError
from yolo.runtime.workers import Workers

_EXIF_ORIENTATION = 0x0112
_NARROW = 32
"""Values of 256: an image whose pixels use fewer is nearly black or grey. Those of 12 bits that are
stored in 16 use 16 of them."""
_UNREAD_MODES = {
    "F": "has 32-bit floating-point values",
    "I": "has 32-bit values",
}
"""Kinds of pixels, as Pillow calls them, that are not read."""


@dataclass(frozen=True, slots=True)
class ImageProbe:
    """What is known of an image's bytes."""

    content: str | None = None
    """Hash of the bytes; None when they were not read."""
    readable: str = OK
    """Or why it is not."""
    width: int | None = None
    """Pixels, as viewers show the image: turned as its EXIF orientation says."""
    height: int | None = None
    orientation: int = 1
    """EXIF's; 1 is upright."""
    format: str = ""
    """Format of the content as Pillow calls it: JPEG, PNG."""
    range: str = OK
    """Or how small a part of their range the pixels use."""
    hash: int | None = None
    """Perceptual hash."""

    @property
    def turned(self) -> bool:
        """Whether viewers turn or mirror what is stored."""
        return self.orientation != 1


@dataclass(frozen=True, slots=True)
class Probe:
    """What is known of one record."""

    image: ImageProbe = ImageProbe()
    annotation: Annotation | None = None
    problem: str = OK
    """Or why the annotation cannot be read."""


Job = tuple[str, str | None, str | None]
"""Name, member of the image and of the annotation, as far as they are to be read."""


def probe_records(
    files: Files, records: Iterable[Record], parse: Parse | None, limits: Limits, workers: Workers
) -> Iterator[tuple[str, Probe]]:
    """Examine the records: (name, probe) in their order."""
    # Annotations that are known already are not sent to other processes and back.
    known: dict[str, Annotation] = {}

    def jobs() -> Iterator[Job]:
        for record in records:
            if record.boxes is not None:
                known[record.name] = record.boxes
            yield record.name, record.image, None if record.boxes else record.annotation

    for name, found in workers.map(_probe_jobs, (files, parse, limits), jobs()):
        boxes = known.pop(name, None)
        yield name, found if boxes is None else Probe(found.image, boxes)


def _probe_jobs(
    shared: tuple[Files, Parse | None, Limits], jobs: Sequence[Job]
) -> list[tuple[str, Probe]]:
    files, parse, limits = shared
    found = []
    for name, image, annotation in jobs:
        data = files.read(image) if image else None
        text = files.read(annotation) if annotation else None
        found.append((name, examine(data, text, parse, limits)))
    return found


def examine(
    image: bytes | None, annotation: bytes | None, parse: Parse | None, limits: Limits
) -> Probe:
    """Decode the image and parse the annotation, as far as there are any."""
    found = ImageProbe() if image is None else examine_image(image, limits.picture_pixels)
    if annotation is None or parse is None:
        return Probe(found)
    if len(annotation) > limits.annotation_bytes:
        reason = f"has {len(annotation)} bytes; the limit is {limits.annotation_bytes}"
        return Probe(found, problem=reason)
    try:
        return Probe(found, parse(annotation))
    except UserError as error:
        return Probe(found, problem=str(error))


def examine_header(data: bytes) -> ImageProbe:
    """Size, format and orientation of an image, whose pixels are not decoded.

    Nothing is known of one whose header is damaged.
    """
    try:
        header = _read_header(data)
    except Exception:  # Pillow's header readers raise whatever a damaged header leads to
        return ImageProbe()
    width, height = header.width, header.height
    if header.orientation in range(5, 9):
        width, height = height, width
    return ImageProbe(
        width=width, height=height, orientation=header.orientation, format=header.format
    )


def examine_image(data: bytes, most_pixels: int) -> ImageProbe:
    """Decode the whole image, so that damage in its middle is found too."""
    content = hashlib.blake2b(data, digest_size=16).hexdigest()
    try:
        if Image.MAX_IMAGE_PIXELS is not None:
            # Pillow has a limit of its own, which the user's may be above.
            Image.MAX_IMAGE_PIXELS = max(Image.MAX_IMAGE_PIXELS, most_pixels)
        header = _read_header(data)
        width, height = header.width, header.height
        if width * height > most_pixels:
            return ImageProbe(content, f"{width}x{height} is above {most_pixels} pixels, the limit")
        if header.mode in _UNREAD_MODES:
            return ImageProbe(
                content,
                f"{_UNREAD_MODES[header.mode]}, which are not read: save it with 8 or 16 bits",
            )
        image = images.try_decode(data)
    except UnidentifiedImageError:
        kind = unread_format("", data)
        convert = f"is {kind}, which is not read: convert it to JPEG or PNG"
        return ImageProbe(content, convert if kind else "is no image")
    except Image.DecompressionBombError:
        return ImageProbe(content, f"has more than {most_pixels} pixels, the limit")
    except Exception as error:  # Pillow's header readers raise whatever a damaged header leads to
        return ImageProbe(content, f"is damaged: {error}")
    if isinstance(image, str):
        return ImageProbe(content, image)
    image = images.turn(image, header.orientation)
    height, width = image.shape[:2]
    pixel_range = _range(image, data)
    return ImageProbe(
        content,
        OK,
        width,
        height,
        header.orientation,
        header.format,
        pixel_range,
        perceptual_hash(image),
    )


@dataclass(frozen=True, slots=True)
class _Header:
    """What an image says of itself."""

    width: int
    height: int
    """Of what is stored."""
    mode: str
    format: str
    orientation: int


def _read_header(data: bytes) -> _Header:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with Image.open(io.BytesIO(data)) as header:
            # Many phones add a second image to a JPEG, and Pillow then calls it MPO.
            kind = "JPEG" if header.format == "MPO" else header.format or ""
            # Pillow would decode a PNG without EXIF for it.
            exif = header.getexif() if kind == "JPEG" or "exif" in header.info else {}
            orientation = exif.get(_EXIF_ORIENTATION, 1)
            orientation = orientation if orientation in range(2, 9) else 1
            return _Header(*header.size, header.mode, kind, orientation)


def _range(image: np.ndarray, data: bytes) -> str:
    low, high = int(image.min()), int(image.max())
    # An image of one colour hides nothing.
    if high - low >= _NARROW or high == low:
        return OK
    deep = images.bits(data) > 8
    bits = ": 12 bits stored in 16? Scale them to the whole range" if deep else ""
    return f"its pixels use {low} to {high} of 0 to 255{bits}"
