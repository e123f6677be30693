"""From a network's output to detections (detection_layer.c, box.c: do_nms_sort)."""

from typing import NamedTuple

import torch
from torch import Tensor

from yolo.detection.boxes import iou
from yolo.detection.layout import split

_PAIRS_AT_A_TIME = 1 << 19


class Decoded(NamedTuple):
    """What the network predicts for each box; cells row by row, boxes of a cell in order."""

    boxes: Tensor
    """(N, S*S*B, 4) cx, cy, w, h relative to the image."""
    confidence: Tensor
    """(N, S*S*B)."""
    scores: Tensor
    """(N, S*S*B, C) confidence times class score."""


class Detections(NamedTuple):
    """The detections of one image, best first."""

    boxes: Tensor
    """(K, 4) cx, cy, w, h relative to the image."""
    scores: Tensor
    """(K,)."""
    labels: Tensor
    """(K,) int64 class numbers."""


def decode(
    prediction: Tensor, *, grid: int, boxes: int, classes: int, sqrt: bool = True
) -> Decoded:
    """Boxes, confidences and class-specific scores (paper section 2, equation 1).

    Nothing is clamped, as in the original (detection_layer.c: get_detection_detections): the
    product of a negative confidence and a negative class score is a positive score.

    Args:
        prediction: (N, S*S*(C + 5B)) float, see `yolo.detection.layout`.
        grid: S.
        boxes: B.
        classes: C.
        sqrt: the network predicts the square roots of w and h.

    Raises:
        ValueError: `prediction` has another shape.
    """
    parts = split(prediction, grid=grid, boxes=boxes, classes=classes)
    index = torch.arange(grid, device=prediction.device, dtype=prediction.dtype)
    column = index.repeat(grid)
    row = index.repeat_interleave(grid)
    corner = torch.stack((column, row), dim=-1)
    centre = (parts.coordinates[..., :2] + corner[:, None]) / grid
    size = parts.coordinates[..., 2:]
    size = size.square() if sqrt else size
    return Decoded(
        torch.cat((centre, size), dim=-1).flatten(1, 2),
        parts.confidence.flatten(1),
        (parts.confidence[..., None] * parts.classes[:, :, None]).flatten(1, 2),
    )


def nms(boxes: Tensor, scores: Tensor, *, iou_threshold: float, score_threshold: float) -> Tensor:
    """Non-maximum suppression per class in one image (box.c: do_nms_sort).

    An entry is removed when its score is at most `score_threshold`, or when a box of a higher
    score in the same class that is itself not removed overlaps it by an IoU above
    `iou_threshold`. Of equal scores the first counts as higher.

    Args:
        boxes: (M, 4) float, cx cy w h in any common unit.
        scores: (M, C) float.
        iou_threshold: overlap from which on the lower score is removed, exclusive.
        score_threshold: score up to which an entry is removed, inclusive.

    Returns:
        (M, C) float: `scores` with the removed entries at 0.

    Raises:
        ValueError: the shapes do not fit.
    """
    if boxes.shape != (len(scores), 4) or scores.ndim != 2:
        raise ValueError(
            f"boxes {tuple(boxes.shape)} and scores {tuple(scores.shape)} must be (M, 4) and (M, C)"
        )
    return _suppress(boxes[None], scores[None], iou_threshold, score_threshold)[0]


def detections(
    prediction: Tensor,
    *,
    grid: int,
    boxes: int,
    classes: int,
    iou_threshold: float,
    score_threshold: float,
) -> list[Detections]:
    """Decode a batch and suppress: for each image what `nms` leaves, best score first.

    Every class of a box that is left is a detection of its own, as in the original. Equal scores
    keep the order of boxes, then classes.

    Args:
        prediction: (N, S*S*(C + 5B)) float, see `yolo.detection.layout`.
        grid: S.
        boxes: B.
        classes: C.
        iou_threshold: as for `nms`.
        score_threshold: as for `nms`.

    Raises:
        ValueError: `prediction` has another shape.
    """
    decoded = decode(prediction, grid=grid, boxes=boxes, classes=classes)
    # A few images at a time, so that the overlaps of all pairs of boxes stay in cache.
    group = max(1, _PAIRS_AT_A_TIME // decoded.boxes.shape[1] ** 2)
    kept = torch.cat(
        [
            _suppress(*part, iou_threshold, score_threshold)
            for part in zip(decoded.boxes.split(group), decoded.scores.split(group), strict=True)
        ]
    )
    image, box, label = kept.nonzero(as_tuple=True)
    score = kept[image, box, label]
    order = score.argsort(descending=True, stable=True)
    order = order[image[order].argsort(stable=True)]
    image, box, label, score = image[order], box[order], label[order], score[order]
    counts = image.bincount(minlength=len(prediction)).tolist()
    return [
        Detections(*columns)
        for columns in zip(
            decoded.boxes[image, box].split(counts),
            score.split(counts),
            label.split(counts),
            strict=True,
        )
    ]


def _suppress(
    boxes: Tensor, scores: Tensor, iou_threshold: float, score_threshold: float
) -> Tensor:
    """Batched `nms`: (N, M, 4) and (N, M, C) to (N, M, C).

    Greedy suppression is the one solution of "an entry is left if it is a candidate and no
    entry that is left beats it". Applying that rule to all entries at once settles at least
    one more rank of each class each time, so repeating it until nothing changes gives the
    greedy result in as many rounds as the longest chain of overlaps, whatever the batch.
    """
    candidate = (scores > score_threshold) & (scores != 0)
    used = candidate.any(-1)
    most = int(used.sum(1).max()) if used.numel() else 0
    # Boxes without any candidate cannot suppress: pair only the others, which come first here.
    chosen = (~used).to(torch.uint8).argsort(dim=1, stable=True)[:, :most]
    near = boxes.gather(1, chosen[..., None].expand(-1, -1, 4))
    pairs = (iou(near[:, :, None], near[:, None]) > iou_threshold).triu(1)
    image, first, second = pairs.nonzero(as_tuple=True)
    first, second = chosen[image, first], chosen[image, second]

    ahead = scores[image, first] >= scores[image, second]
    edge, label = (candidate[image, first] & candidate[image, second]).nonzero(as_tuple=True)
    forward = ahead[edge, label]
    image, first, second = image[edge], first[edge], second[edge]
    _, rows, classes = scores.shape
    winner = (image * rows + torch.where(forward, first, second)) * classes + label
    loser = (image * rows + torch.where(forward, second, first)) * classes + label

    start = candidate.flatten()
    left = start
    while True:
        following = start.clone()
        following[loser[left[winner]]] = False
        if torch.equal(following, left):
            return torch.where(left.view_as(scores), scores, 0)
        left = following
