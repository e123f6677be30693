"""Block `validate`: what the clean data must fulfil, and what happens to what does not."""

from typing import Annotated

from pydantic import Field

from yolo.params.document import Block
from yolo.params.values import Count

Rejected = Annotated[float, Field(ge=0, le=1)]


class ClassificationRules(Block):
    """Contract of the classification set."""

    min_images: Count
    max_rejected: Rejected


class DetectionRules(Block):
    """Contract of the detection set."""

    min_images: Count
    max_rejected: Rejected


class Validate(Block):
    """A contract per data set."""

    classification: ClassificationRules
    detection: DetectionRules
