"""Average precision as COCO counts it, by faster-coco-eval (pycocotools' rules, in C++).

AP is the mean over the IoUs 0.50, 0.55 .. 0.95 of the precision at 101 recalls; of a class and an
image the 100 best detections count. Corners are the same inclusive pixels as for VOC: a box is
xmax - xmin + 1 wide. Difficult objects are crowds: not counted as positives, and a detection that
matches nothing else and lies in one, by IoU over its own area, is neither true nor false.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from yolo.metrics.voc_ap import Detections, Floats, Truth, mean_defined

MOST_DETECTIONS = 100
"""Per class and image, as COCO's own maxDets."""
_UNDEFINED = -1


@dataclass(frozen=True)
class CocoScores:
    """AP in 0..1 over the classes that have positives; NaN when none has.

    map: AP@[.50:.95]; map50, map75: AP at one IoU. ap: (classes,) AP@[.50:.95], NaN for a class
    without positives.
    """

    map: float
    map50: float
    map75: float
    ap: Floats


def score(detections: Detections, truth: Truth, classes: int) -> CocoScores:
    """Score `detections` of class indices 0..classes-1 against `truth`."""
    if len(truth.image) == 0:
        nan = float("nan")
        return CocoScores(nan, nan, nan, np.full(classes, nan))
    from faster_coco_eval import COCO, COCOeval_faster

    known = COCO(_dataset(detections, truth, classes))
    evaluation = COCOeval_faster(known, known.loadRes(_results(detections)), "bbox")
    parameters = evaluation.params
    parameters.maxDets = [MOST_DETECTIONS]
    parameters.areaRng, parameters.areaRngLbl = [[0, 1e10]], ["all"]
    evaluation.evaluate()
    evaluation.accumulate()
    # (IoUs, recalls, classes, areas, limits)
    table = np.asarray(evaluation.eval["precision"], dtype=np.float64)[..., 0, 0]
    table = np.where(table == _UNDEFINED, np.nan, table)
    by_iou = table.mean(axis=1)
    ap = by_iou.mean(axis=0)
    places = [int(np.argmin(np.abs(parameters.iouThrs - iou))) for iou in (0.5, 0.75)]
    at_50, at_75 = (by_iou[place] for place in places)
    return CocoScores(
        *(mean_defined(values.tolist()) for values in (ap, at_50, at_75)),
        ap=ap,
    )


def _dataset(detections: Detections, truth: Truth, classes: int) -> dict[str, Any]:
    images = np.union1d(truth.image, detections.image)
    boxes = _corner_and_size(truth.box)
    rows = zip(
        truth.image.tolist(),
        truth.label.tolist(),
        boxes.tolist(),
        np.prod(boxes[:, 2:], axis=1).tolist(),
        truth.difficult.tolist(),
        strict=True,
    )
    return {
        "images": [{"id": image} for image in images.tolist()],
        "categories": [{"id": label} for label in range(classes)],
        "annotations": [
            # the library takes the number 0 for "no object"
            {
                "id": number,
                "image_id": image,
                "category_id": label,
                "bbox": box,
                "area": area,
                "iscrowd": int(difficult),
            }
            for number, (image, label, box, area, difficult) in enumerate(rows, 1)
        ],
    }


def _results(detections: Detections) -> list[dict[str, Any]]:
    columns = (
        detections.image.tolist(),
        detections.label.tolist(),
        detections.score.tolist(),
        _corner_and_size(detections.box).tolist(),
    )
    return [
        {"image_id": image, "category_id": label, "score": score, "bbox": box}
        for image, label, score, box in zip(*columns, strict=True)
    ]


def _corner_and_size(box: NDArray[np.floating]) -> Floats:
    """(N, 4) inclusive corners from 1 → x, y, width, height from 0."""
    box = box.astype(np.float64)
    return np.concatenate([box[:, :2] - 1, box[:, 2:] - box[:, :2] + 1], axis=1)
