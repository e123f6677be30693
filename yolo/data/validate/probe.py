"""Read each picture and annotation once and note what the rules need to know; keep no pixels."""

import hashlib
import io
import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from PIL import Image, UnidentifiedImageError

from yolo.data.store import images
from yolo.data.validate import voc
from yolo.data.validate.index import OK, Entry, Files
from yolo.data.validate.perceptual_hash import likeness
from yolo.errors import UserError
from yolo.runtime.workers import Workers

_EXIF_ORIENTATION = 0x0112


@dataclass(frozen=True)
class Limits:
    """What one picture may ask of the machine: a few kilobytes can claim gigabytes of pixels."""

    picture_pixels: int = 1 << 27
    """A larger picture is not decoded."""
    annotation_bytes: int = 1 << 20
    """A larger annotation is not parsed."""


@dataclass(frozen=True)
class Picture:
    """What is known of a picture's bytes."""

    content: str | None = None
    """Hash of the bytes; None when they were not read."""
    readable: str = OK
    """Or why it is not."""
    width: int | None = None
    height: int | None = None
    orientation: int = 1
    """EXIF's; 1 is upright."""
    kind: str = ""
    """Format of the content as Pillow calls it: JPEG, PNG."""
    likeness: int | None = None
    """Perceptual hash."""


@dataclass(frozen=True)
class Facts:
    """What is known of one entry of the listing."""

    picture: Picture = Picture()
    annotation: voc.Annotation | None = None
    xml: str = OK
    """Or why the annotation cannot be read."""


def survey(
    files: Files, entries: Iterable[Entry], limits: Limits, workers: Workers
) -> Iterator[tuple[str, Facts]]:
    """Examine the entries: (name, facts) in their order."""
    yield from workers.map(_examine_entries, (files, limits), entries)


def _examine_entries(
    shared: tuple[Files, Limits], entries: Sequence[Entry]
) -> list[tuple[str, Facts]]:
    files, limits = shared
    found = []
    for entry in entries:
        image = files.read(entry.image) if entry.image else None
        xml = files.read(entry.annotation) if entry.annotation else None
        found.append((entry.name, examine(image, xml, limits)))
    return found


def examine(image: bytes | None, xml: bytes | None, limits: Limits) -> Facts:
    """Decode the picture and parse the annotation, as far as there are any."""
    picture = Picture() if image is None else examine_picture(image, limits.picture_pixels)
    if xml is None:
        return Facts(picture)
    if len(xml) > limits.annotation_bytes:
        reason = f"has {len(xml)} bytes; the limit is {limits.annotation_bytes}"
        return Facts(picture, xml=reason)
    try:
        return Facts(picture, voc.parse(xml))
    except UserError as error:
        return Facts(picture, xml=str(error))


def examine_picture(data: bytes, most_pixels: int) -> Picture:
    """Decode the whole picture, so that damage in its middle is found too."""
    content = hashlib.blake2b(data, digest_size=16).hexdigest()
    try:
        if Image.MAX_IMAGE_PIXELS is not None:
            # Pillow has a limit of its own, which the user's may be above.
            Image.MAX_IMAGE_PIXELS = max(Image.MAX_IMAGE_PIXELS, most_pixels)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(io.BytesIO(data)) as header:
                width, height = header.size
                # Many phones add a second picture to a JPEG, and Pillow then calls it MPO.
                kind = "JPEG" if header.format == "MPO" else header.format or ""
                # Pillow would decode a PNG without EXIF for it.
                exif = header.getexif() if kind == "JPEG" or "exif" in header.info else {}
                orientation = exif.get(_EXIF_ORIENTATION, 1)
        if width * height > most_pixels:
            return Picture(content, f"{width}x{height} is above {most_pixels} pixels, the limit")
        image = images.try_decode(data)
    except UnidentifiedImageError:
        return Picture(content, "is no picture")
    except Image.DecompressionBombError:
        return Picture(content, f"has more than {most_pixels} pixels, the limit")
    except Exception as error:  # Pillow's header readers raise whatever a damaged header leads to
        return Picture(content, f"is damaged: {error}")
    if isinstance(image, str):
        return Picture(content, image)
    height, width = image.shape[:2]
    return Picture(content, OK, width, height, orientation, kind, likeness(image))
