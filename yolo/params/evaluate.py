"""Block `evaluate`: from predictions to scores and images."""

from typing import Annotated

from pydantic import Field

from yolo.params.base import Block
from yolo.params.values import Threshold


class Evaluate(Block):
    """Evaluation on the test split."""

    score_threshold: Threshold
    """Class scores at or below it are no detection; the original evaluates at 0.001."""
    nms_iou: Threshold
    """A detection that overlaps a better one of its class by more is removed."""
    pictures: Annotated[int, Field(ge=0)]
    """Test images that the report shows with predicted and true boxes."""
    picture_threshold: Threshold
    """Least score of a box that is drawn; the original's demo draws from 0.2."""
