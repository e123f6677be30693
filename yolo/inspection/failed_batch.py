"""The batch at which a training stopped: numbers and images."""

import math
from typing import Any

from PIL import Image, ImageDraw
from torch import Tensor

from yolo.inspection.target_images import sheet
from yolo.training.monitoring.failed_batch import FailedBatch

_COLUMNS = 8
_LARGEST = 5


def summary(failed: FailedBatch) -> dict[str, Any]:
    """Loss terms, a row per image, and the weights that are not finite or the largest.

    A term that is not finite is text (`nan`, `inf`): JSON has no such numbers.
    """
    magnitudes = {
        name: float(value.abs().max())
        for name, value in failed.model.items()
        if value.is_floating_point() and value.numel()
    }
    finite = {name: value for name, value in magnitudes.items() if math.isfinite(value)}
    largest = sorted(finite, key=lambda name: -finite[name])[:_LARGEST]
    return {
        "batch": failed.update,
        "terms": {n: v if math.isfinite(v) else str(v) for n, v in failed.terms.items()},
        "images": [row for batch in failed.batches for row in _rows(batch)],
        "not_finite": sorted(magnitudes.keys() - finite.keys()),
        "largest": [{"name": name, "magnitude": finite[name]} for name in largest],
    }


def image_sheet(failed: FailedBatch) -> Image.Image:
    """The images as the network saw them, but for their colours, with their boxes."""
    drawn = [
        _drawn(batch["images"][number], boxes)
        for batch in failed.batches
        for number, boxes in enumerate(_boxes(batch))
    ]
    return sheet(drawn, min(_COLUMNS, len(drawn)))


def _rows(batch: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        {
            "name": name,
            "boxes": len(boxes),
            "least": int(image.min()),
            "most": int(image.max()),
            "colour": colour,
        }
        for name, image, colour, boxes in zip(
            batch["names"], batch["images"], batch["colour"].tolist(), _boxes(batch), strict=True
        )
    ]


def _boxes(batch: dict[str, Any]) -> list[Tensor]:
    """(n, 4) cx cy w h relative to the image, of each; none where the task has none."""
    rows = batch.get("boxes")
    numbers = range(len(batch["names"]))
    if rows is None:
        return [batch["colour"].new_zeros(0, 4) for _ in numbers]
    return [rows[rows[:, 0] == number, 2:6] for number in numbers]


def _drawn(image: Tensor, boxes: Tensor) -> Image.Image:
    drawn = Image.fromarray(image.numpy())
    canvas = ImageDraw.Draw(drawn)
    width, height = drawn.size
    for across, down, wide, high in boxes.tolist():
        left, top = (across - wide / 2) * width, (down - high / 2) * height
        right, bottom = (across + wide / 2) * width, (down + high / 2) * height
        if all(map(math.isfinite, (left, top, right, bottom))):
            canvas.rectangle((left, top, max(left, right), max(top, bottom)), outline=(255, 0, 0))
    return drawn
