"""Images that viewers turn (EXIF), and which of the two images their annotations mean.

The clean data hold images as viewers show them. An annotation that states the size of the turned
image counts its pixels; one that states the stored size counts the stored pixels, and its boxes are
turned with the image. Where a size cannot tell, the annotation was made on what viewers show.
"""

from yolo.data.formats.annotations import Annotation, Box, in_pixels
from yolo.data.formats.index import OK
from yolo.data.validate.probe import ImageProbe, Probe

_SIDES_SWAPPED = range(5, 9)


def boxes(probe: Probe) -> list[Box | None]:
    """Boxes of the annotated objects in pixels of the upright image.

    None where the annotation gives no box, or one that needs the size of an image not known.
    """
    annotation, image = probe.annotation, probe.image
    if annotation is None:
        return []
    found = [one.box for one in annotation.objects]
    if annotation.shares:
        width, height = image.width, image.height
        if width is None or height is None:
            return [None] * len(found)
        return [None if box is None else in_pixels(box, width, height) for box in found]
    if not _counts_stored(annotation, image):
        return found
    return [None if box is None else turn(box, image) for box in found]


def turn(box: Box, image: ImageProbe) -> Box:
    """A box of stored pixels in those of the upright image."""
    assert image.width is not None and image.height is not None
    xmin, ymin, xmax, ymax = box
    # one behind the last pixel, of the upright image
    right, bottom = image.width + 1, image.height + 1
    if image.orientation in _SIDES_SWAPPED:
        xmin, ymin, xmax, ymax = ymin, xmin, ymax, xmax
    if image.orientation in (2, 3, 6, 7):
        xmin, xmax = right - xmax, right - xmin
    if image.orientation in (3, 4, 7, 8):
        ymin, ymax = bottom - ymax, bottom - ymin
    return xmin, ymin, xmax, ymax


def stated_size(probe: Probe) -> str | None:
    """`ok` when the annotation states the image's size, upright or stored; else what it states."""
    if probe.annotation is None or probe.image.width is None or probe.annotation.size is None:
        return None
    upright, stored = _sizes(probe.image)
    stated = probe.annotation.size
    return OK if stated in (upright, stored) else f"stated {stated}, is {upright}"


def describe(probe: Probe) -> str:
    """`ok`, or what is to be known of an image that is turned and of its boxes."""
    image, annotation = probe.image, probe.annotation
    if not image.turned:
        return OK
    text = f"EXIF orientation {image.orientation}: turned"
    if annotation is None:
        return text
    upright, stored = _sizes(image)
    if upright != stored and annotation.size == upright:
        return OK
    if annotation.shares:
        return f"{text}; its boxes were taken as shares of the turned image"
    if not _counts_stored(annotation, image):
        return f"{text}; its boxes were taken as made on the turned image"
    if _fits_upright_only(annotation, image):
        return (
            f"{text} with its boxes, for its annotation states the stored size {stored}; "
            "but only in the turned image would they all lie inside"
        )
    return f"{text} with its boxes, which count stored pixels ({stored})"


def _counts_stored(annotation: Annotation, image: ImageProbe) -> bool:
    if not image.turned or image.width is None:
        return False
    upright, stored = _sizes(image)
    return upright != stored and annotation.size == stored


def _sizes(image: ImageProbe) -> tuple[str, str]:
    """Sizes of the upright and of the stored image."""
    upright = f"{image.width}x{image.height}"
    if image.orientation in _SIDES_SWAPPED:
        return upright, f"{image.height}x{image.width}"
    return upright, upright


def _fits_upright_only(annotation: Annotation, image: ImageProbe) -> bool:
    assert image.width is not None and image.height is not None
    found = [one.box for one in annotation.objects if one.box is not None]
    inside = all(box[2] <= image.width and box[3] <= image.height for box in found)
    return inside and any(box[2] > image.height or box[3] > image.width for box in found)
