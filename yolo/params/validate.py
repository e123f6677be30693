"""Block `validate`: what the clean data must fulfil, and what happens to what does not.

The rules are described in `yolo/data/validate/rules.py`.
"""

from typing import Annotated, Literal

from pydantic import Field

from yolo.params.base import Block
from yolo.params.values import Count

Rejected = Annotated[float, Field(ge=0, le=1)]
Bits = Annotated[int, Field(ge=0, le=31)]
DropImage = Literal["fail", "drop_image"]
ImagePolicy = Literal["fail", "drop_image", "warn"]
DropObject = Literal["fail", "drop_image", "drop_object"]
SetPolicy = Literal["fail", "warn"]


class ClassificationPolicies(Block):
    """What happens to a picture, or to the set, that breaks a rule."""

    unreadable_image: DropImage
    missing_annotation: DropImage
    unknown_class: DropImage
    format_mismatch: ImagePolicy
    exif_orientation: ImagePolicy
    duplicate_image: ImagePolicy
    near_duplicate: ImagePolicy
    class_coverage: SetPolicy
    evaluation_coverage: SetPolicy


class DetectionPolicies(Block):
    """What happens to a picture, to an object, or to the set, that breaks a rule."""

    missing_image: DropImage
    unreadable_image: DropImage
    missing_annotation: DropImage
    unreadable_annotation: DropImage
    size_mismatch: ImagePolicy
    filename_mismatch: ImagePolicy
    duplicate_id: ImagePolicy
    format_mismatch: ImagePolicy
    exif_orientation: ImagePolicy
    duplicate_image: ImagePolicy
    near_duplicate: ImagePolicy
    cell_collision: ImagePolicy
    unknown_class: DropObject
    invalid_box: DropObject
    empty_box: DropObject
    box_outside: Literal["fail", "drop_image", "drop_object", "clip"]
    invalid_flag: Literal["fail", "drop_image", "drop_object", "warn"]
    class_coverage: SetPolicy
    evaluation_coverage: SetPolicy


class ClassificationRules(Block):
    """Contract of the classification set."""

    min_images: Count
    """Least number of admitted pictures in each split."""
    max_rejected: Rejected
    """Largest share of the pictures that the rules may drop, those of unknown classes aside."""
    near_duplicate_bits: Bits
    """Pictures of two splits look alike when no more of the 64 bits of their hashes differ."""
    rules: ClassificationPolicies


class DetectionRules(Block):
    """Contract of the detection set."""

    min_images: Count
    """Least number of admitted pictures in each split."""
    max_rejected: Rejected
    """Largest share of the pictures, and of the objects, that the rules may drop, objects of
    unknown classes aside."""
    near_duplicate_bits: Bits
    """Pictures of two splits look alike when no more of the 64 bits of their hashes differ."""
    rules: DetectionPolicies


class Validate(Block):
    """A contract per data set."""

    classification: ClassificationRules
    detection: DetectionRules
