"""Block `promotion`: when a model may take the place of the released one."""

from typing import Annotated, Literal

from pydantic import Field

from yolo.params.base import Block


class Promotion(Block):
    """The rule by which a run may publish its detector.

    No stage reads it: it decides about a result, it changes none.
    """

    metric: Literal["voc07_map", "voc_map"]
    """The mean whose paired difference decides."""
    largest_loss: Annotated[float, Field(ge=0, le=1)]
    """How far the new mean may be below the released one (0.01: one point), if that is chance."""
