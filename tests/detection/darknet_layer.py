"""The original's detection layer and suppression, statement by statement, one number at a time.

A slow second opinion for the vectorised code, written from detection_layer.c and box.c; the
fixtures check it too.
"""

from dataclasses import dataclass

import numpy as np

F = np.float32


@dataclass(frozen=True)
class Layer:
    """The settings of a `[detection]` section."""

    side: int
    num: int
    classes: int
    coord_scale: float = 5.0
    object_scale: float = 1.0
    noobject_scale: float = 0.5
    class_scale: float = 1.0
    rescore: bool = True
    sqrt: bool = True


def overlap(x1, w1, x2, w2):
    return min(x1 + w1 / 2, x2 + w2 / 2) - max(x1 - w1 / 2, x2 - w2 / 2)


def box_iou(a, b):
    w, h = overlap(a[0], a[2], b[0], b[2]), overlap(a[1], a[3], b[1], b[3])
    intersection = F(0) if w < 0 or h < 0 else w * h
    union = a[2] * a[3] + b[2] * b[3] - intersection
    return intersection / union if union != 0 else F(0)


def box_rmse(a, b):
    return F(np.sqrt(sum((float(p) - float(q)) ** 2 for p, q in zip(a, b, strict=True))))


def delta(layer, output, truth):
    """(outputs,) minus the gradient of one image and (S*S,) responsible boxes, -1 without."""
    cells, per_truth = layer.side**2, 5 + layer.classes
    result, responsible = np.zeros_like(output), np.full(cells, -1)
    for i in range(cells):
        t = i * per_truth
        p = cells * layer.classes + i * layer.num
        for j in range(layer.num):
            result[p + j] = F(layer.noobject_scale) * (0 - output[p + j])
        if not truth[t]:
            continue
        for c in range(layer.classes):
            k = i * layer.classes + c
            result[k] = F(layer.class_scale) * (truth[t + 1 + c] - output[k])
        true = truth[t + 1 + layer.classes : t + per_truth].copy()
        relative = true.copy()
        relative[:2] /= F(layer.side)
        best, best_iou, best_rmse = -1, F(0), F(20)
        ious = []
        for j in range(layer.num):
            b = cells * (layer.classes + layer.num) + (i * layer.num + j) * 4
            out = output[b : b + 4].copy()
            out[:2] /= F(layer.side)
            if layer.sqrt:
                out[2:] *= out[2:]
            iou, rmse = box_iou(out, relative), box_rmse(out, relative)
            ious.append(iou)
            if best_iou > 0 or iou > 0:
                if iou > best_iou:
                    best_iou, best = iou, j
            elif rmse < best_rmse:
                best_rmse, best = rmse, j
        assert best >= 0, "the original's behaviour is undefined"
        responsible[i] = best
        target = ious[best] if layer.rescore else F(1)
        result[p + best] = F(layer.object_scale) * (target - output[p + best])
        b = cells * (layer.classes + layer.num) + (i * layer.num + best) * 4
        wanted = true
        if layer.sqrt:
            wanted[2:] = np.sqrt(true[2:])
        result[b : b + 4] = F(layer.coord_scale) * (wanted - output[b : b + 4])
    return result, responsible


def do_nms_sort(boxes, scores, iou_threshold, score_threshold):
    """(M, C) scores after the threshold and suppression; equal scores keep the boxes' order."""
    scores = np.where(scores > score_threshold, scores, 0)
    for c in range(scores.shape[1]):
        order = np.argsort(-scores[:, c], kind="stable")
        for rank, i in enumerate(order):
            if scores[i, c] == 0:
                continue
            for j in order[rank + 1 :]:
                if box_iou(boxes[i], boxes[j]) > iou_threshold:
                    scores[j, c] = 0
    return scores
