"""What the API answers: an uploaded image, decoded within limits, and the objects in it."""

import io
from dataclasses import dataclass
from typing import Any

from PIL import Image

from yolo.detection.decode import decode, nms
from yolo.errors import UserError
from yolo.evaluation.report.draw import class_colour
from yolo.inference.image_input import decode_upright
from yolo.inference.model import NMS_IOU, Model
from yolo.model.detector.predict import ImageArray, resize, to_pixels

LEAST_SCORE = 0.01
"""Lowest score that is sent unless the request asks for a higher one; the page's slider starts
here."""
_FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF")


@dataclass(frozen=True)
class Limits:
    """Largest upload."""

    bytes: int = 20 << 20
    pixels: int = 50_000_000


LIMITS = Limits()


class Refused(UserError):
    """A refused request, with its HTTP status."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


def examine(
    model: Model,
    image: ImageArray,
    nms_iou: float = NMS_IOU,
    score_threshold: float = LEAST_SCORE,
) -> dict[str, Any]:
    """Detect objects in an image (H, W, 3); return the answer as plain values.

    `detections` by descending score, above `score_threshold`: label, score, colour, box (xmin ymin
    xmax ymax as from `Model.predict`), cell (row, column of the grid cell that predicted it). Who
    shows the answer may raise the threshold further: a box is suppressed only by better ones, so
    dropping the lowest scores changes no other box.
    """
    spec = model.spec
    prediction = model.engine(resize(image, spec.input_size)[None]).cpu()
    boxes, _, scores = decode(
        prediction, grid=spec.grid, boxes=spec.boxes, classes=len(spec.classes)
    )
    kept = nms(boxes[0], scores[0], iou_threshold=nms_iou, score_threshold=score_threshold)
    place, label = kept.nonzero(as_tuple=True)
    order = kept[place, label].argsort(descending=True, stable=True)
    place, label = place[order], label[order]
    height, width = image.shape[:2]
    corners = to_pixels(boxes[0, place].numpy(), width, height)
    found = zip(
        label.tolist(),
        kept[place, label].tolist(),
        corners.tolist(),
        (place // spec.boxes).tolist(),
        strict=True,
    )
    return {
        "width": width,
        "height": height,
        "grid": spec.grid,
        "detections": [
            {
                "label": spec.classes[number],
                "colour": "#{:02x}{:02x}{:02x}".format(*class_colour(number)),
                "score": round(score, 6),
                "box": [round(corner, 2) for corner in box],
                "cell": divmod(cell, spec.grid),
            }
            for number, score, box, cell in found
        ],
    }


def decode_upload(data: bytes, limits: Limits) -> ImageArray:
    """Decode an uploaded image; check the size in its header before allocating memory.

    Raises `UserError` when it is no image, `Refused` when it is too large.
    """
    try:
        with Image.open(io.BytesIO(data), formats=_FORMATS) as header:
            width, height = header.size
    except Exception as error:  # Pillow's readers raise many kinds
        if isinstance(error, Image.DecompressionBombError):
            raise Refused("the image has too many pixels", 413) from None
        raise UserError("the file is not a JPEG, PNG, WebP, BMP or TIFF image") from None
    if width * height > limits.pixels:
        most = limits.pixels // 1_000_000
        raise Refused(f"the image has {width} x {height} pixels; {most} million are allowed", 413)
    return decode_upright(data, "the image")


def parse_share(name: str, text: str) -> float:
    """Parse a number of the query from 0 to 1; `UserError` for anything else."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise UserError(f"{name} is {text[:20]!r}; 0 to 1 is allowed")
    return value
