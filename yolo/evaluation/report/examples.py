"""Example images of the report, with predicted and true boxes."""

import base64
import io
import re
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from yolo.evaluation.analysis.analysis import Analysis
from yolo.evaluation.analysis.image_ranking import choose
from yolo.evaluation.report.draw import draw
from yolo.metrics.voc_ap import Detections
from yolo.model.detector.predict import ImageArray

KINDS = {
    "sample": ("A sample", "spread evenly over the split, whatever the result"),
    "best": ("Best", "highest F1"),
    "missed": ("Most missed", "objects that no detection shows"),
    "worst": ("Worst", "lowest F1"),
}
_LEAST_SIDE = 320
_MOST_SIDE = 640
_QUALITY = 85


@dataclass(frozen=True)
class Example:
    """A test image with boxes, as a JPEG file."""

    kind: str
    number: int
    """Number of the image in the split."""
    name: str
    """Name of the image."""
    file: str
    """File name, unique in the report."""
    caption: str
    width: int
    height: int
    jpeg: bytes

    @property
    def base64(self) -> str:
        """The JPEG in base64, for a page."""
        return base64.b64encode(self.jpeg).decode("ascii")


def show(
    analysis: Analysis,
    detections: Detections,
    most: int,
    name: Callable[[int], str],
    read: Callable[[int], ImageArray],
) -> list[Example]:
    """Choose and draw up to `most` images; `name` and `read` take the number of an image."""
    found = np.zeros(len(analysis.truth.image), bool)
    for ranking in analysis.rankings:
        shown = ranking.true & (ranking.score > analysis.picture_threshold)
        found[ranking.nearest[shown]] = True
    results = []
    for kind, chosen in choose(analysis.per_image, most).items():
        for place, image in enumerate(chosen, 1):
            drawn = _draw(analysis, detections, found, image, read(image))
            buffer = io.BytesIO()
            drawn.save(buffer, "JPEG", quality=_QUALITY)
            stem = re.sub(r"[^\w.-]+", "_", name(image))[-60:]
            results.append(
                Example(
                    kind=kind,
                    number=image,
                    name=name(image),
                    file=f"{kind}-{place:02d}-{stem}.jpg",
                    caption=_caption(analysis, image),
                    width=drawn.width,
                    height=drawn.height,
                    jpeg=buffer.getvalue(),
                )
            )
    return results


def rows_shown(analysis: Analysis, detections: Detections, image: int) -> NDArray[np.intp]:
    """Rows of the detections that are drawn in an image, the best first."""
    rows = np.flatnonzero(
        (detections.image == image) & (detections.score > analysis.picture_threshold)
    )
    return rows[np.argsort(-detections.score[rows], kind="stable")]


def _draw(
    analysis: Analysis, detections: Detections, found: np.ndarray, image: int, pixels: ImageArray
) -> Image.Image:
    rows = rows_shown(analysis, detections, image)
    truth = analysis.truth
    objects = np.flatnonzero(truth.image == image)
    missed = ~found[objects] & ~truth.difficult[objects]
    drawn = draw(
        pixels,
        detections.box[rows],
        detections.label[rows].tolist(),
        detections.score[rows].tolist(),
        analysis.classes,
        true_boxes=truth.box[objects],
        true_names=[
            analysis.classes[truth.label[row]] if gone else ""
            for row, gone in zip(objects, missed, strict=True)
        ],
        scale=-(-_LEAST_SIDE // max(pixels.shape[:2])),
    )
    drawn.thumbnail((_MOST_SIDE, _MOST_SIDE), Image.Resampling.LANCZOS)
    return drawn


def _caption(analysis: Analysis, image: int) -> str:
    counts = analysis.per_image
    true, false, missed = (
        int(column[image]) for column in (counts.true, counts.false, counts.missed)
    )
    return f"{true} found, {missed} missed, {false} false"
