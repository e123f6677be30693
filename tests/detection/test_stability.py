"""Corner cases at which re-implementations of the loss become infinite."""

import pytest
import torch

from yolo.detection.loss import detection_loss
from yolo.detection.targets import encode

torch.set_num_threads(1)
SCALES = {"coord_scale": 5.0, "object_scale": 1.0, "noobject_scale": 0.5, "class_scale": 1.0}
GRID, BOXES, CLASSES = 3, 2, 4
CELL = 5 + CLASSES


def no_objects():
    return torch.zeros(1, GRID, GRID, CELL)


def zero_size_truth():
    truth = no_objects()
    truth[0, 1, 1] = torch.tensor([1, 0, 1, 0, 0, 0.5, 0.5, 0.0, 0.0])
    return truth


def rows(*boxes):
    return encode(torch.tensor(boxes), grid=GRID, classes=CLASSES)[None]


TRUTHS = {
    "no objects": no_objects(),
    "an object of no size": zero_size_truth(),
    "two objects in a cell": rows([1.0, 0.5, 0.5, 0.2, 0.2], [3.0, 0.51, 0.5, 0.4, 0.1]),
    "object on the right edge": rows([0.0, 1.0, 0.5, 0.2, 0.2]),
    "object on the bottom edge": rows([0.0, 0.5, 1.0, 0.2, 0.2]),
    "object in the corner": rows([0.0, 1.0, 1.0, 0.2, 0.2]),
    "object as large as the image": rows([2.0, 0.5, 0.5, 1.0, 1.0]),
}
OUTPUTS = GRID * GRID * (CLASSES + 5 * BOXES)
PREDICTIONS = {
    "all zero": torch.zeros(1, OUTPUTS),
    "all negative, so also the roots": torch.full((1, OUTPUTS), -0.7),
    "as after initialisation": torch.randn(1, OUTPUTS, generator=torch.Generator().manual_seed(0)),
    "tiny": torch.full((1, OUTPUTS), 1e-30),
    "large": torch.full((1, OUTPUTS), 4.0),
}


@pytest.mark.parametrize("sqrt", [True, False])
@pytest.mark.parametrize("prediction", PREDICTIONS)
@pytest.mark.parametrize("truth", TRUTHS)
def test_loss_and_gradient_are_finite(truth, prediction, sqrt):
    outputs = PREDICTIONS[prediction].clone().requires_grad_()
    losses = detection_loss(
        outputs, TRUTHS[truth], grid=GRID, boxes=BOXES, classes=CLASSES, sqrt=sqrt, **SCALES
    )
    losses.total.backward()
    assert outputs.grad is not None
    assert torch.isfinite(losses.total)
    assert torch.isfinite(outputs.grad).all()


def test_an_empty_prediction_on_an_empty_truth_has_overlap_0():
    outputs = torch.zeros(1, OUTPUTS)
    losses = detection_loss(
        outputs, zero_size_truth(), grid=GRID, boxes=BOXES, classes=CLASSES, **SCALES
    )
    # 0/0 in the original; with overlap 0 a confidence of 0 is right
    assert losses.object.item() == 0


@pytest.mark.parametrize(("cx", "cy", "cell"), [(1.0, 0.5, (1, 2)), (0.5, 1.0, (2, 1))])
def test_an_object_on_an_edge_belongs_to_the_last_cell(cx, cy, cell):
    truth = rows([0.0, cx, cy, 0.2, 0.2])[0]
    assert truth[..., 0].nonzero().tolist() == [list(cell)]


def test_a_negative_root_is_pushed_to_the_positive_one():
    truth = rows([1.0, 0.5, 0.5, 0.25, 0.25])
    outputs = torch.full((1, OUTPUTS), -0.5, requires_grad=True)
    detection_loss(
        outputs, truth, grid=GRID, boxes=BOXES, classes=CLASSES, **SCALES
    ).total.backward()
    assert outputs.grad is not None
    sizes = outputs.grad[0, -GRID * GRID * BOXES * 4 :].view(GRID, GRID, BOXES, 4)[1, 1, 0, 2:]
    # scale * (prediction - root of .25): steepest where the sign is wrong, and no more than that
    assert sizes.tolist() == pytest.approx([5 * -1.0] * 2)


def with_centres(*centres):
    """Predictions whose boxes of every cell have these x."""
    outputs = torch.zeros(1, OUTPUTS)
    coordinates = outputs[0, -GRID * GRID * BOXES * 4 :].view(-1, BOXES, 4)
    coordinates[..., 0] = torch.tensor(centres)
    return outputs.requires_grad_()


def test_of_boxes_far_beyond_the_image_the_nearest_is_responsible():
    truth = rows([1.0, 0.5, 0.5, 0.25, 0.25])
    outputs = with_centres(300.0, -200.0)
    detection_loss(
        outputs, truth, grid=GRID, boxes=BOXES, classes=CLASSES, **SCALES
    ).total.backward()
    assert outputs.grad is not None
    moved = outputs.grad[0, -GRID * GRID * BOXES * 4 :].view(GRID, GRID, BOXES, 4)[1, 1, :, 0]
    assert moved.tolist() == [0, 5 * -200.5]


def test_boxes_that_are_nan_make_the_loss_nan():
    truth, options = rows([1.0, 0.5, 0.5, 0.25, 0.25]), {"grid": GRID, "boxes": BOXES}
    nan = float("nan")
    lost = detection_loss(with_centres(nan, nan), truth, classes=CLASSES, **options, **SCALES)
    assert torch.isnan(lost.total) and torch.isnan(lost.coord)
    assert torch.isfinite(lost.noobject) and torch.isfinite(lost.classes)


def test_the_root_of_a_prediction_has_no_finite_slope():
    """What the loss must not do: the network predicts the root, so that nobody takes it."""
    width = torch.tensor([0.0], requires_grad=True)
    ((width.sqrt() - 0.5) ** 2).sum().backward()
    assert width.grad is not None and torch.isinf(width.grad).all()
    assert torch.isnan(torch.tensor(-0.1).sqrt())
