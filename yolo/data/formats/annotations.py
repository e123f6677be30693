"""What an annotation says of one image, whatever format it was written in."""

from collections.abc import Callable
from dataclasses import dataclass

Box = tuple[float, float, float, float]
"""xmin, ymin, xmax, ymax in pixels; the first pixel is 1 and both ends belong to the box."""
FARTHEST = 1e9
"""Pixels. A coordinate that is farther out is no place in an image."""
_SIX_DECIMALS = 1e-6


@dataclass(frozen=True, slots=True)
class Object:
    """One annotated object, its texts as they stand."""

    number: int
    """Place among the objects of the image, from 1."""
    name: str
    """Class; empty when the annotation names none that is known (see `unnamed`)."""
    box: Box | None
    """None when the annotation does not give four numbers, each below a thousand million. In
    shares of the image instead of pixels where the annotation says so (`Annotation.shares`)."""
    box_text: str
    """The box as the file gives it, for people."""
    difficult: str = "0"
    truncated: str = "0"
    unnamed: str = "has no name"
    """Why `name` is empty, if it is."""


@dataclass(frozen=True, slots=True)
class Annotation:
    """The objects of one image and what else its annotation states."""

    objects: tuple[Object, ...] = ()
    filename: str = ""
    """Empty when the annotation does not say."""
    size: str | None = None
    """`WIDTHxHEIGHT`; `none` where the file should say it; None: the format has no size."""
    shares: bool = False
    """Boxes are left, top, right, bottom edges in shares of width and height."""
    odd_tags: str = ""
    """Tags that are written in another way than the format's, such as `Difficult`."""


Parse = Callable[[bytes], Annotation]
"""Reads the annotation file of one image; a picklable callable. Raises `UserError` that says only
what is wrong, for a reader who knows the file."""


def in_pixels(box: Box, width: int, height: int) -> Box:
    """A box in shares of the image as `Box`: the whole image is 1, 1, width, height.

    Files give shares with six decimals, so a corner that is that close to a whole pixel is one.
    """
    left, top, right, bottom = box
    return (
        _pixel(left, width) + 1,
        _pixel(top, height) + 1,
        _pixel(right, width),
        _pixel(bottom, height),
    )


def _pixel(share: float, side: int) -> float:
    pixel = share * side
    return float(round(pixel)) if abs(pixel - round(pixel)) <= _SIX_DECIMALS * side else pixel
