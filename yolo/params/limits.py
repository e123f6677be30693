"""Block `limits`: how much foreign data may ask of the machine before it is refused."""

from typing import Annotated

from pydantic import Field

from yolo.params.base import Block
from yolo.params.values import Count

Expansion = Annotated[int, Field(ge=2)]


class ArchiveLimits(Block):
    """What archives may hold."""

    members: Count
    """Files in all archives of a set together."""
    member_bytes: Count
    """Size of one file."""
    total_bytes: Count
    """Size of all files together."""
    expansion: Expansion
    """A compressed archive may inflate to this many times its size (or to 64 MiB if more)."""


class Limits(Block):
    """Archives, and what is in them."""

    archive: ArchiveLimits
    picture_pixels: Count
    """A larger image counts as unreadable; it is not decoded."""
    annotation_bytes: Count
    """A larger annotation of one image counts as unreadable; it is not parsed."""
    set_annotation_bytes: Count
    """A larger file with the annotations of many images (COCO's JSON, a CSV) refuses the set."""
    objects: Count
    """More annotated objects in such files together refuse the set."""
