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
ObjectPolicy = Literal["fail", "drop_image", "drop_object", "warn"]
SetPolicy = Literal["fail", "warn"]


class ClassificationPolicies(Block):
    """What happens to a image, or to the set, that breaks a rule."""

    unreadable_image: DropImage
    missing_annotation: DropImage
    unknown_class: DropImage
    format_mismatch: ImagePolicy
    exif_orientation: ImagePolicy
    pixel_range: ImagePolicy
    duplicate_image: ImagePolicy
    near_duplicate: ImagePolicy
    class_coverage: SetPolicy
    evaluation_coverage: SetPolicy
    similar_classes: SetPolicy
    unused_list: SetPolicy


class DetectionPolicies(Block):
    """What happens to a image, to an object, or to the set, that breaks a rule."""

    missing_image: DropImage
    unreadable_image: DropImage
    missing_annotation: DropImage
    unreadable_annotation: DropImage
    size_mismatch: ImagePolicy
    filename_mismatch: ImagePolicy
    odd_tag: ImagePolicy
    duplicate_id: ImagePolicy
    format_mismatch: ImagePolicy
    exif_orientation: ImagePolicy
    pixel_range: ImagePolicy
    duplicate_image: ImagePolicy
    conflicting_copy: ImagePolicy
    near_duplicate: ImagePolicy
    cell_collision: ImagePolicy
    invalid_class: DropObject
    unknown_class: DropObject
    invalid_box: DropObject
    empty_box: DropObject
    box_outside: Literal["fail", "drop_image", "drop_object", "clip"]
    duplicate_object: ObjectPolicy
    invalid_flag: ObjectPolicy
    class_coverage: SetPolicy
    evaluation_coverage: SetPolicy
    similar_classes: SetPolicy
    unused_list: SetPolicy


class ClassificationRules(Block):
    """Contract of the classification set."""

    min_images: Count
    """Least number of admitted images in each split."""
    max_rejected: Rejected
    """Largest share of the images that the rules may drop, those of unknown classes aside."""
    near_duplicate_bits: Bits
    """Images of two splits look alike when no more of the 64 bits of their hashes differ."""
    rules: ClassificationPolicies


class DetectionRules(Block):
    """Contract of the detection set."""

    min_images: Count
    """Least number of admitted images in each split."""
    max_rejected: Rejected
    """Largest share of the images, and of the objects, that the rules may drop, objects of
    unknown classes aside."""
    near_duplicate_bits: Bits
    """Images of two splits look alike when no more of the 64 bits of their hashes differ."""
    rules: DetectionPolicies


class Validate(Block):
    """A contract per data set."""

    classification: ClassificationRules
    detection: DetectionRules
