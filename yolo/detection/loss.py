"""The loss of the detection layer (paper equation 3; detection_layer.c).

Its value is what the original descends, 1/N * sum of 1/2 * scale * error^2 over the N images of
the batch, so that a learning rate means what it means in the original (docs/learning-rate.md).
The cost that the original prints is another number: the sum of the squared gradient.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from yolo.detection.boxes import iou, rmse
from yolo.detection.layout import split


class DetectionLoss(NamedTuple):
    """Mean over the images; `total` is the sum of the other four, each a scalar with gradient."""

    total: Tensor
    coord: Tensor
    """x, y, w, h of the responsible boxes."""
    object: Tensor
    """Confidence of the responsible boxes."""
    noobject: Tensor
    """Confidence of all other boxes."""
    classes: Tensor
    """Class scores of the cells with an object."""


class _Responsible(NamedTuple):
    box: Tensor
    """(N, S*S) number of the box that a cell's object would be assigned to."""
    iou: Tensor
    """(N, S*S) its overlap with the truth."""


def detection_loss(
    prediction: Tensor,
    truth: Tensor,
    *,
    grid: int,
    boxes: int,
    classes: int,
    coord_scale: float,
    object_scale: float,
    noobject_scale: float,
    class_scale: float,
    rescore: bool = True,
    sqrt: bool = True,
) -> DetectionLoss:
    """Compare predictions with truth grids (detection_layer.c: forward_detection_layer).

    In a cell with an object one box is responsible for it: the one that overlaps it most or,
    where none overlaps it, the one with the least root-mean-square difference. Of equals it is
    the first. Its confidence is taught its overlap, as a constant; that of every other box,
    also in cells with an object, is taught 0. Nothing here waits for the device.

    Where the original's result is undefined, since no box of an object's cell overlaps it and all
    are 20 image sizes or more away (it then writes to another cell's box), the nearest is
    responsible here as well. NaN in what the loss reads makes `total` NaN, for the trainer's
    check for finite losses to stop on.

    Args:
        prediction: (N, S*S*(C + 5B)) float, see `yolo.detection.layout`. Below 32 bits it is
            computed with as float32.
        truth: (N, S, S, 5 + C) float, see `yolo.detection.targets.encode`; also (N, S*S*(5 + C)).
        grid: S.
        boxes: B.
        classes: C.
        coord_scale: weight of x, y, w, h; 5 in the paper and all configurations.
        object_scale: weight of responsible boxes' confidence; 1.
        noobject_scale: weight of the other boxes' confidence; 0.5.
        class_scale: weight of class scores; 1.
        rescore: teach the confidence the overlap; otherwise 1.
        sqrt: the network predicts the square roots of w and h; otherwise w and h.

    Raises:
        ValueError: `prediction` or `truth` has another shape.
    """
    images, cells = len(prediction), grid * grid
    if images == 0 or truth.numel() != images * cells * (5 + classes):
        raise ValueError(
            f"truth has shape {tuple(truth.shape)}; prediction {tuple(prediction.shape)}, "
            f"{grid} x {grid} cells and {classes} classes need ({images or 1} or more, "
            f"{grid}, {grid}, {5 + classes})"
        )
    if prediction.dtype in (torch.float16, torch.bfloat16):
        prediction = prediction.float()
    scores, confidence, coordinates = split(prediction, grid=grid, boxes=boxes, classes=classes)
    truth = truth.detach().to(prediction.dtype).reshape(images, cells, 5 + classes)
    has_object, true_classes, true_box = truth.split([1, classes, 4], dim=-1)
    has_object = has_object.squeeze(-1) != 0

    responsible = _responsible(coordinates.detach(), true_box, grid, sqrt)
    chosen = responsible.box[..., None]
    predicted_box = coordinates.gather(2, chosen[..., None].expand(-1, -1, -1, 4)).squeeze(2)
    true_size = true_box[..., 2:].sqrt() if sqrt else true_box[..., 2:]
    box_error = predicted_box - torch.cat((true_box[..., :2], true_size), dim=-1)

    target = responsible.iou if rescore else 1.0
    object_error = confidence.gather(2, chosen).squeeze(2) - target
    box_number = torch.arange(boxes, device=prediction.device)
    is_other = ~(has_object[..., None] & (box_number == chosen))

    def mean(scale: float, error: Tensor, where: Tensor) -> Tensor:
        return 0.5 * scale / images * (error.square() * where).sum()

    coord = mean(coord_scale, box_error, has_object[..., None])
    object_ = mean(object_scale, object_error, has_object)
    noobject = mean(noobject_scale, confidence, is_other)
    class_ = mean(class_scale, scores - true_classes, has_object[..., None])
    return DetectionLoss(coord + object_ + noobject + class_, coord, object_, noobject, class_)


def _responsible(coordinates: Tensor, true_box: Tensor, grid: int, sqrt: bool) -> _Responsible:
    """Choose the responsible box of each cell as if it had an object.

    Both boxes leave out the cell's offset, which they share. Negative roots count by their
    square.

    Args:
        coordinates: (N, S*S, B, 4) as predicted.
        true_box: (N, S*S, 4) x, y relative to the cell, w, h relative to the image.
        grid: S.
        sqrt: the network predicts square roots of w and h.
    """

    def relative(centre: Tensor, size: Tensor) -> Tensor:
        return torch.cat((centre / grid, size), dim=-1)

    size = coordinates[..., 2:]
    predicted = relative(coordinates[..., :2], size.square() if sqrt else size)
    true = relative(true_box[..., :2], true_box[..., 2:])[:, :, None]
    overlap = iou(predicted, true)
    distance = rmse(predicted, true)
    # argmin would take a NaN for the least.
    nearest = torch.where(distance.isnan(), torch.inf, distance).argmin(dim=-1)
    overlaps = (overlap > 0).any(dim=-1)
    box = torch.where(overlaps, overlap.argmax(dim=-1), nearest)
    return _Responsible(box, overlap.gather(-1, box[..., None]).squeeze(-1))
