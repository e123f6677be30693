"""From images to detections: resize, network, decoding, suppression, pixels."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from yolo.data.loading.augment import Crop, warp
from yolo.data.store import images as encoded_images
from yolo.data.store.clean_set import Split
from yolo.detection.decode import detections as decode
from yolo.model.detector.detector import Detector, DetectorSpec
from yolo.runtime.prefetch import read_ahead
from yolo.runtime.progress import progress

ImageArray = NDArray[np.uint8]
"""(H, W, 3) uint8 RGB."""


class Detected(NamedTuple):
    """What was found in one image, by descending score.

    boxes: (K, 4) float32, xmin ymin xmax ymax, 1-based inclusive pixels within the image;
    scores: (K,) float32; labels: (K,) int64.
    """

    boxes: NDArray[np.float32]
    scores: NDArray[np.float32]
    labels: NDArray[np.int64]


def detect(
    detector: Detector,
    images: Iterable[ImageArray],
    *,
    score_threshold: float,
    nms_iou: float,
    sizes: Iterable[tuple[int, int]] | None = None,
    batch: int = 16,
    device: torch.device | None = None,
) -> list[Detected]:
    """Detect objects in images of any sizes; `batch` of them are held at a time.

    Each class of each predicted box whose score is above `score_threshold` is a detection;
    of two that overlap by more than `nms_iou` the better stays (box.c: do_nms_sort). Boxes count
    the pixels of images of these `sizes` (width, height), by default of the images given. The
    images go to `device`, by default to where the detector is.
    """
    spec = detector.spec
    if device is None:
        device = next(detector.parameters()).device
    remaining = iter(images)
    wanted = iter(sizes) if sizes is not None else None
    found: list[Detected] = []
    with _evaluating(detector), torch.inference_mode():
        while group := list(islice(remaining, batch)):
            inputs = np.stack([resize(image, spec.input_size) for image in group])
            found += locate(
                detector(to_input(inputs, device)),
                spec,
                [next(wanted) if wanted else image.shape[1::-1] for image in group],
                score_threshold=score_threshold,
                nms_iou=nms_iou,
            )
    return found


def detect_split(
    detector: Detector,
    split: Split,
    *,
    score_threshold: float,
    nms_iou: float,
    label: str | None = None,
    threads: int = 1,
) -> list[Detected]:
    """Detections in every image of a split of a clean set, in published pixels.

    `threads` images are decoded ahead of the network; with a `label` a line shows the progress.
    """

    def read(index: int) -> ImageArray:
        return encoded_images.decode(split.image(index), split.name(index))

    decoded = read_ahead(read, len(split), threads)
    return detect(
        detector,
        decoded if label is None else progress(decoded, label, len(split)),
        score_threshold=score_threshold,
        nms_iou=nms_iou,
        sizes=[split.size(index) for index in range(len(split))],
    )


def to_input(pixels: NDArray[np.uint8], device: torch.device) -> Tensor:
    """(N, side, side, 3) uint8 RGB → (N, 3, side, side) float in [0, 1] on `device`."""
    return torch.from_numpy(pixels).to(device).permute(0, 3, 1, 2).float() / 255


def locate(
    prediction: Tensor,
    spec: DetectorSpec,
    sizes: Sequence[tuple[int, int]],
    *,
    score_threshold: float,
    nms_iou: float,
) -> list[Detected]:
    """A network's output (N, S*S*(C + 5B)) → detections in images of `sizes` (width, height)."""
    decoded = decode(
        prediction,
        grid=spec.grid,
        boxes=spec.boxes,
        classes=len(spec.classes),
        iou_threshold=nms_iou,
        score_threshold=score_threshold,
    )
    return [
        _finite(to_pixels(boxes.cpu().numpy(), *size), scores.cpu().numpy(), labels.cpu().numpy())
        for size, (boxes, scores, labels) in zip(sizes, decoded, strict=True)
    ]


def _finite(
    boxes: NDArray[np.float32], scores: NDArray[np.float32], labels: NDArray[np.int64]
) -> Detected:
    """Drop detections whose box or score is not finite (diverged weights)."""
    is_finite = np.isfinite(boxes).all(axis=1) & np.isfinite(scores)
    return Detected(boxes[is_finite], scores[is_finite], labels[is_finite])


def resize(image: ImageArray, size: int) -> ImageArray:
    """The whole image on size x size pixels, its shape not kept (as the original tests)."""
    height, width = image.shape[:2]
    return warp(image, Crop(0, 0, width, height), size, flip=False)


def to_pixels(boxes: NDArray[np.float32], width: int, height: int) -> NDArray[np.float32]:
    """(K, 4) cx cy w h relative to the image → xmin ymin xmax ymax, 1-based inclusive pixels.

    The exact inverse of how labels are made (scripts/voc_label.py: cx = ((xmin + xmax) / 2 - 1) /
    W, w = (xmax - xmin) / W), so that a detector which outputs its labels scores 1. The original
    leaves out the + 1 when it writes detections. Corners are clamped to the image, 1..W, 1..H.
    """
    centre, half = boxes[:, :2].astype(np.float64), boxes[:, 2:].astype(np.float64) / 2
    corners = np.concatenate([centre - half, centre + half], axis=1)
    size = np.array([width, height, width, height])
    return np.clip(corners * size + 1, 1, size).astype(np.float32)


@contextmanager
def _evaluating(detector: Detector) -> Iterator[None]:
    """Switch to inference and back to what was."""
    training = detector.training
    detector.eval()
    try:
        yield
    finally:
        detector.train(training)
