"""Images in, boxes in VOC's pixels out."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from yolo.errors import UserError
from yolo.metrics.inputs import to_columns
from yolo.metrics.voc_ap import Truth, score
from yolo.model.detector.detector import DetectorSpec, build_detector
from yolo.model.detector.predict import detect, resize, to_pixels
from yolo.runtime.device import pick_device
from yolo.runtime.prefetch import read_ahead
from yolo.training.detect_train.augment_boxes import from_voc

CPU = torch.device("cpu")
SPEC = DetectorSpec("nano", 0.25, 64, 4, 2, ("a", "b", "c"))


class Oracle(nn.Module):
    """Outputs the labels it was made with, image by image, whatever it is shown."""

    def __init__(self, labels: list[np.ndarray]) -> None:
        super().__init__()
        self.spec = DetectorSpec("oracle", 1.0, 64, 8, 1, ("a", "b", "c"))
        self._labels = iter(labels)

    def forward(self, images: Tensor) -> Tensor:
        rows = [self._encode(next(self._labels)) for _ in range(len(images))]
        return torch.tensor(np.stack(rows), dtype=torch.float32)

    def _encode(self, labels: np.ndarray) -> np.ndarray:
        grid, classes = self.spec.grid, len(self.spec.classes)
        probability = np.zeros((grid, grid, classes))
        confidence = np.zeros((grid, grid))
        box = np.zeros((grid, grid, 4))
        for label, cx, cy, w, h in labels:
            column, row = int(cx * grid), int(cy * grid)
            probability[row, column, int(label)] = 1
            confidence[row, column] = 1
            x, y = cx * grid - column, cy * grid - row
            box[row, column] = (x, y, math.sqrt(w), math.sqrt(h))
        return np.concatenate([probability.ravel(), confidence.ravel(), box.ravel()])


def oracle_scene() -> tuple[list[np.ndarray], Truth]:
    """Twelve images of 100 x 80 with a box of at least 2 x 2 pixels in some of the 64 cells."""
    rng = np.random.default_rng(5)
    labels, rows = [], []
    for image in range(12):
        cells = rng.choice(64, 6, replace=False)
        centre = np.stack([cells % 8 * 12.5 + 6, cells // 8 * 10 + 5], axis=1)
        corner = np.maximum(np.floor(centre - rng.uniform(0, 3, (6, 2))), 1)
        box = np.concatenate([corner, corner + rng.integers(1, 6, (6, 2))], axis=1)
        kind = rng.integers(0, 3, 6)
        labels.append(from_voc(box, kind, 100, 80))
        rows += [(image, k, *b) for k, b in zip(kind, box, strict=True)]
    table = np.array(rows)
    truth = Truth(
        table[:, 0].astype(int), table[:, 1].astype(int), table[:, 2:], np.zeros(72, bool)
    )
    return labels, truth


def test_a_detector_that_outputs_its_labels_scores_one_even_on_tiny_boxes() -> None:
    labels, truth = oracle_scene()
    pictures = [np.zeros((80, 100, 3), np.uint8)] * 12
    found = detect(
        Oracle(labels), pictures, score_threshold=0.001, nms_iou=0.5, batch=5, device=CPU
    )  # type: ignore[arg-type]
    detections = to_columns(found)
    assert len(detections.image) == 72
    scores = score(detections, truth, 3)
    assert scores.voc07_map == pytest.approx(1.0)
    # to a thousandth of a pixel, not only by IoU
    order = [np.lexsort((*c.box.T.round(2), c.image)) for c in (detections, truth)]
    np.testing.assert_allclose(detections.box[order[0]], truth.box[order[1]], atol=1e-3)


def test_pixels_are_the_inverse_of_the_training_labels() -> None:
    boxes = np.array([[1, 1, 2, 2], [10, 20, 30, 60], [1, 1, 100, 80]], float)
    relative = from_voc(boxes, np.zeros(3, int), 100, 80)[:, 1:]
    np.testing.assert_allclose(to_pixels(relative, 100, 80), boxes, atol=1e-4)


def test_corners_are_clamped_to_the_picture() -> None:
    boxes = np.array([[0.5, 0.5, 3, 3], [-0.5, 0.5, 0.2, 0.2]], np.float32)
    assert to_pixels(boxes, 100, 80)[0].tolist() == [1, 1, 100, 80]
    assert to_pixels(boxes, 100, 80)[1].tolist() == pytest.approx([1, 33, 1, 49])


def test_resizing_keeps_the_corners_where_they_are() -> None:
    image = np.zeros((5, 9, 3), np.uint8)
    image[0, 0], image[0, -1], image[-1, 0], image[-1, -1] = 10, 20, 30, 40
    small = resize(image, 33)
    assert small.shape == (33, 33, 3)
    assert small[[0, 0, -1, -1], [0, -1, 0, -1], 0].tolist() == [10, 20, 30, 40]


def test_detections_do_not_depend_on_the_batch_and_leave_the_detector_as_it_was() -> None:
    torch.set_num_threads(1)
    detector = build_detector(SPEC, seed=1).train()
    rng = np.random.default_rng(0)
    pictures = [rng.integers(0, 256, (40 + i, 60, 3), np.uint8) for i in range(5)]
    one = detect(detector, pictures, score_threshold=0.0, nms_iou=0.5, batch=1)
    many = detect(detector, iter(pictures), score_threshold=0.0, nms_iou=0.5, batch=4)
    assert detector.training
    assert len(one) == len(many) == 5
    for a, b, picture in zip(one, many, pictures, strict=True):
        assert len(a.scores) == len(b.scores)
        np.testing.assert_allclose(a.scores, b.scores, atol=1e-6)
        assert (np.diff(a.scores) <= 0).all()
        assert (a.boxes >= 1).all() and (a.boxes[:, 2] <= 60).all()
        assert (a.boxes[:, 3] <= len(picture)).all()


def test_pictures_are_read_ahead_in_order_and_an_error_comes_through() -> None:
    def read(index: int) -> np.ndarray:
        if index == 30:
            raise UserError("image 30")
        return np.full((1, 1, 3), index, np.uint8)

    pictures = read_ahead(read, 40, threads=2)
    assert [int(next(pictures)[0, 0, 0]) for _ in range(30)] == list(range(30))
    with pytest.raises(UserError, match="image 30"):
        next(pictures)
    assert len(list(read_ahead(read, 3, threads=2))) == 3
    assert list(read_ahead(read, 0, threads=1)) == []


def test_no_pictures_give_no_detections() -> None:
    detector = build_detector(SPEC)
    assert detect(detector, [], score_threshold=0.1, nms_iou=0.5) == []
    assert len(to_columns([]).image) == 0


def test_the_cpu_is_taken_when_asked_for_and_when_there_is_nothing_else(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    gpu = torch.device("cuda")
    monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda check_available: gpu)
    assert pick_device("cpu") == CPU
    assert pick_device("auto") == gpu
    monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda check_available: None)
    assert pick_device("auto") == CPU
