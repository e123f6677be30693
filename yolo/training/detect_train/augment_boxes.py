"""Boxes under the detector's crop and flip (data.c: correct_boxes, fill_truth_region).

A box is one row (class, cx, cy, w, h), so that no step can part a box from its class.
"""

import numpy as np

from yolo.data.loading.augment import Crop
from yolo.detection.targets import MINIMUM_SIZE


def from_voc(boxes: np.ndarray, labels: np.ndarray, width: int, height: int) -> np.ndarray:
    """Rows from annotations in VOC pixels (scripts/voc_label.py: convert).

    cx = ((xmin + xmax) / 2 - 1) / width and w = (xmax - xmin) / width: the first pixel is 1, and
    nothing is added to the width although both ends belong to the box. Detections go the exact
    way back: xmin = (cx - w / 2) * width + 1 (`yolo.model.detector.predict.to_pixels`).

    Args:
        boxes: (n, 4) xmin, ymin, xmax, ymax in pixels.
        labels: (n,) class numbers.
        width: of the image in pixels.
        height: of the image in pixels.

    Returns:
        (n, 5) float32 class, cx, cy, w, h relative to the image.
    """
    corners = np.asarray(boxes, np.float64).reshape(-1, 4)
    low, high, size = corners[:, :2], corners[:, 2:], (width, height)
    rows = np.empty((len(corners), 5), np.float32)
    rows[:, 0] = labels
    rows[:, 1:3] = ((low + high) / 2 - 1) / size
    rows[:, 3:] = (high - low) / size
    return rows


def move_boxes(
    boxes: np.ndarray,
    crop: Crop,
    width: int,
    height: int,
    flip: bool,
    vertical_flip: bool = False,
) -> np.ndarray:
    """Rows as they lie in the cropped, resized and flipped image, clipped to it.

    Rows that end up narrower or lower than `MINIMUM_SIZE` are left out, the others keep their
    order. In float32, as the original.

    Args:
        boxes: (n, 5) float32 class, cx, cy, w, h relative to the image.
        crop: as drawn by `draw_crop`.
        width: of the image in pixels.
        height: of the image in pixels.
        flip: left and right are mirrored after the crop.
        vertical_flip: top and bottom are mirrored after the crop.

    Returns:
        (k, 5) float32 class, cx, cy, w, h relative to the crop, k at most n.
    """
    image_size = np.array([width, height], np.float32)
    scale = np.array([crop.width, crop.height], np.float32) / image_size
    offset = np.array([crop.left, crop.top], np.float32) / image_size / scale
    inverse = np.float32(1) / scale

    centre, half = boxes[:, 1:3], boxes[:, 3:5] / 2
    low = (centre - half) * inverse - offset
    high = (centre + half) * inverse - offset
    if flip:
        low[:, 0], high[:, 0] = 1 - high[:, 0], 1 - low[:, 0]
    if vertical_flip:
        low[:, 1], high[:, 1] = 1 - high[:, 1], 1 - low[:, 1]
    for edge in (low, high):
        np.minimum(np.maximum(edge, 0, out=edge), 1, out=edge)
    moved = np.empty_like(boxes)
    moved[:, 0] = boxes[:, 0]
    moved[:, 1:3] = (low + high) / 2
    moved[:, 3:] = size = high - low
    return moved[(size[:, 0] >= MINIMUM_SIZE) & (size[:, 1] >= MINIMUM_SIZE)]
