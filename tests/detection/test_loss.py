"""The loss against the original's numbers, and against wrong losses."""

import json
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from darknet_layer import Layer, delta
from hypothesis import given, settings
from hypothesis import strategies as st
from mutation import mutant
from waiting import waits

from yolo.detection import loss
from yolo.detection.loss import detection_loss
from yolo.detection.targets import encode_batch

torch.set_num_threads(1)
SCALES = {"coord_scale": 5.0, "object_scale": 1.0, "noobject_scale": 0.5, "class_scale": 1.0}
CASES = range(9)


@dataclass(frozen=True)
class Fixture:
    """One case of detection_loss.npz."""

    settings: dict
    prediction: torch.Tensor
    truth: torch.Tensor
    delta: np.ndarray
    cost: float
    responsible: np.ndarray
    squared_errors: np.ndarray


@pytest.fixture(scope="module")
def fixtures(original):
    with np.load(original / "detection_loss.npz") as file:
        return [
            read(file, number, case) for number, case in enumerate(json.loads(str(file["meta"])))
        ]


def read(file, number, case):
    assert case["softmax"] == 0
    grid, classes = case["S"], case["C"]
    truth = torch.from_numpy(file[f"c{number}_truth"])
    return Fixture(
        settings={name: case[name] for name in SCALES}
        | {"grid": grid, "boxes": case["B"], "classes": classes}
        | {"rescore": bool(case["rescore"]), "sqrt": bool(case["sqrt"])},
        prediction=torch.from_numpy(file[f"c{number}_input"]),
        truth=truth.view(-1, grid, grid, 5 + classes),
        delta=file[f"c{number}_delta"],
        cost=float(file[f"c{number}_cost"][0]),
        responsible=file[f"c{number}_responsible"],
        squared_errors=file[f"c{number}_paper_loss"],
    )


def descend(loss_function, prediction, truth, **settings):
    """The loss and N times minus its gradient."""
    prediction = prediction.clone().requires_grad_()
    losses = loss_function(prediction, truth, **settings)
    (gradient,) = torch.autograd.grad(losses.total, prediction)
    return losses, -gradient.numpy() * len(prediction)


def assert_matches_original(loss_function, fixture):
    """Raise AssertionError unless value, gradient and assignment are the original's."""
    losses, found = descend(loss_function, fixture.prediction, fixture.truth, **fixture.settings)
    tolerance = 2e-6 * max(1.0, np.abs(fixture.delta).max())
    np.testing.assert_allclose(found, fixture.delta, rtol=0, atol=tolerance)
    np.testing.assert_allclose(np.square(found).sum(), fixture.cost, rtol=1e-5)
    mean = fixture.squared_errors.mean() / 2
    np.testing.assert_allclose(losses.total.item(), mean, rtol=1e-5)
    np.testing.assert_array_equal(responsible(found, **fixture.settings), fixture.responsible)
    _, *terms = losses
    np.testing.assert_allclose(sum(term.item() for term in terms), losses.total.item(), rtol=1e-6)


def responsible(found, *, grid, boxes, **_):
    """The box of each cell whose coordinates have a gradient, -1 without."""
    coordinates = found[:, -grid * grid * boxes * 4 :].reshape(-1, grid, grid, boxes, 4)
    moved = (coordinates != 0).any(-1)
    return np.where(moved.any(-1), moved.argmax(-1), -1)


@pytest.mark.parametrize("case", CASES)
def test_value_gradient_and_responsible_boxes_are_the_originals(fixtures, case):
    assert_matches_original(detection_loss, fixtures[case])


@pytest.mark.parametrize("case", CASES)
def test_a_flat_truth_is_the_same_truth(fixtures, case):
    fixture = fixtures[case]
    expected = detection_loss(fixture.prediction, fixture.truth, **fixture.settings)
    found = detection_loss(fixture.prediction, fixture.truth.flatten(1), **fixture.settings)
    assert torch.equal(found.total, expected.total)


WRONG_LOSSES = {
    "confidence is taught 1": ("target = responsible.iou if rescore else 1.0", "target = 1.0"),
    "first box when none overlaps": (
        "box = torch.where(overlaps, overlap.argmax(dim=-1), nearest)",
        "box = overlap.argmax(dim=-1)",
    ),
    "other boxes of an object's cell are taught 1": (
        "mean(noobject_scale, confidence, is_other)",
        "mean(noobject_scale, confidence - has_object[..., None].float(), is_other)",
    ),
    "other boxes of an object's cell are left alone": (
        "is_other = ~(has_object[..., None] & (box_number == chosen))",
        "is_other = ~has_object[..., None].expand_as(confidence)",
    ),
    "sum over the batch": ("0.5 * scale / images", "0.5 * scale"),
    "no half": ("0.5 * scale / images", "scale / images"),
    "squared scales, as the cost that is printed": ("0.5 * scale", "0.5 * scale**2"),
    "the truth's size is taken as it is": (
        "true_box[..., 2:].sqrt() if sqrt else true_box[..., 2:]",
        "true_box[..., 2:]",
    ),
    "classes of cells without an object": (
        "mean(class_scale, scores - true_classes, has_object[..., None])",
        "mean(class_scale, scores - true_classes, torch.ones(1))",
    ),
}


@pytest.mark.parametrize("name", WRONG_LOSSES)
def test_the_check_notices_a_wrong_loss(fixtures, name):
    wrong = mutant(loss, *WRONG_LOSSES[name]).detection_loss
    with pytest.raises(AssertionError):
        for fixture in fixtures:
            assert_matches_original(wrong, fixture)


@settings(max_examples=40, deadline=None)
@given(
    grid=st.integers(1, 5),
    boxes=st.integers(1, 4),
    classes=st.integers(1, 6),
    images=st.integers(1, 3),
    rescore=st.booleans(),
    sqrt=st.booleans(),
    spread=st.sampled_from([0.1, 0.5, 2.0]),
    seed=st.integers(0, 2**32 - 1),
)
def test_any_configuration_descends_as_the_original(
    grid, boxes, classes, images, rescore, sqrt, spread, seed
):
    rng = np.random.default_rng(seed)
    outputs = grid * grid * (classes + 5 * boxes)
    prediction = rng.normal(0.3, spread, (images, outputs)).astype(np.float32)
    rows = np.column_stack(
        [
            rng.integers(0, images, 8),
            rng.integers(0, classes, 8),
            rng.uniform(0, 1, (8, 2)),
            rng.uniform(0.01, 1, (8, 2)),
        ]
    ).astype(np.float32)
    truth = encode_batch(torch.from_numpy(rows), images, grid, classes)
    layer = Layer(grid, boxes, classes, 3.0, 2.0, 0.25, 0.75, rescore, sqrt)
    expected, assigned = zip(
        *(
            delta(layer, output, wanted)
            for output, wanted in zip(prediction, truth.flatten(1).numpy(), strict=True)
        ),
        strict=True,
    )
    options = {"grid": grid, "boxes": boxes, "classes": classes, "rescore": rescore, "sqrt": sqrt}
    _, found = descend(
        detection_loss,
        torch.from_numpy(prediction),
        truth,
        coord_scale=3.0,
        object_scale=2.0,
        noobject_scale=0.25,
        class_scale=0.75,
        **options,
    )
    tolerance = 2e-6 * max(1.0, np.abs(expected).max())
    np.testing.assert_allclose(found, np.stack(expected), rtol=0, atol=tolerance)
    np.testing.assert_array_equal(
        responsible(found, **options).reshape(images, -1), np.stack(assigned)
    )


@pytest.mark.parametrize("case", CASES)
def test_the_second_opinion_agrees_with_the_original(fixtures, case):
    fixture = fixtures[case]
    options = dict(fixture.settings)
    layer = Layer(options.pop("grid"), options.pop("boxes"), options.pop("classes"), **options)
    for prediction, truth, wanted in zip(
        fixture.prediction.numpy(), fixture.truth.flatten(1).numpy(), fixture.delta, strict=True
    ):
        tolerance = 2e-6 * max(1.0, np.abs(wanted).max())
        np.testing.assert_allclose(delta(layer, prediction, truth)[0], wanted, atol=tolerance)


def one_cell(*boxes, confidence, classes=(0.0,)):
    """The output of a 1 x 1 grid."""
    return torch.tensor([[*classes, *confidence, *(number for box in boxes for number in box)]])


def test_the_terms_by_hand():
    # truth: centre (.5, .5), a quarter of the image; first box right but for x, second far off
    truth = torch.tensor([[[[1.0, 1.0, 0.5, 0.5, 0.25, 0.25]]]])
    prediction = one_cell(
        (0.75, 0.5, 0.5, 0.5), (9.0, 9.0, 0.5, 0.5), confidence=(0.2, 0.4), classes=(0.6,)
    )
    losses = detection_loss(prediction, truth, grid=1, boxes=2, classes=1, **SCALES)
    # the boxes touch at x = .625: no overlap, hence the nearer one, taught confidence 0
    assert losses.coord.item() == pytest.approx(0.5 * 5 * 0.25**2)
    assert losses.object.item() == pytest.approx(0.5 * 1 * 0.2**2)
    assert losses.noobject.item() == pytest.approx(0.5 * 0.5 * 0.4**2)
    assert losses.classes.item() == pytest.approx(0.5 * 1 * 0.4**2)
    assert losses.total.item() == pytest.approx(0.15625 + 0.02 + 0.04 + 0.08)


def test_of_equal_boxes_the_first_is_responsible():
    truth = torch.tensor([[[[1.0, 1.0, 0.5, 0.5, 0.25, 0.25]]]])
    for box in ((0.5, 0.5, 0.5, 0.5), (9.0, 9.0, 0.5, 0.5)):
        _, found = descend(
            detection_loss,
            one_cell(box, box, confidence=(0.0, 0.0)) + 0.125,
            truth,
            grid=1,
            boxes=2,
            classes=1,
            **SCALES,
        )
        assert responsible(found, grid=1, boxes=2).item() == 0


def test_nothing_is_left_to_learn_from_a_perfect_prediction():
    truth = encode_batch(torch.tensor([[0, 2, 0.4, 0.7, 0.25, 0.5]]), images=1, grid=3, classes=4)
    cell, boxes = 2 * 3 + 1, 2
    classes, confidence = torch.zeros(9, 4), torch.zeros(9, boxes)
    coordinates = torch.zeros(9, boxes, 4)
    classes[cell, 2], confidence[cell, 1] = 1, 1
    x, y, w, h = truth[0, 2, 1, 5:].tolist()
    coordinates[cell, 1] = torch.tensor([x, y, w**0.5, -(h**0.5)])
    prediction = torch.cat((classes.flatten(), confidence.flatten(), coordinates.flatten()))[None]
    losses = detection_loss(prediction, truth, grid=3, boxes=boxes, classes=4, **SCALES)
    # the negative root has the right overlap and is still pulled to the positive one
    assert losses.coord.item() == pytest.approx(0.5 * 5 * (2 * h**0.5) ** 2)
    assert losses.total.item() == pytest.approx(losses.coord.item(), abs=1e-6)


def test_the_overlap_is_no_path_for_gradients():
    truth = torch.tensor([[[[1.0, 1.0, 0.5, 0.5, 0.25, 0.25]]]])
    scales = SCALES | {"coord_scale": 0.0, "noobject_scale": 0.0, "class_scale": 0.0}
    _, found = descend(
        detection_loss,
        one_cell((0.6, 0.4, 0.5, 0.6), confidence=(0.3,)),
        truth,
        grid=1,
        boxes=1,
        classes=1,
        **scales,
    )
    assert found[0, 1] != 0
    assert not found[0, 2:].any()


def test_half_precision_is_computed_in_single(fixtures):
    fixture = fixtures[0]
    short = fixture.prediction.bfloat16()
    expected = detection_loss(short.float(), fixture.truth, **fixture.settings)
    found = detection_loss(short, fixture.truth, **fixture.settings)
    assert found.total.dtype == torch.float32
    assert torch.equal(found.total, expected.total)


def test_nothing_waits_for_the_device(fixtures):
    fixture = fixtures[1]
    prediction = fixture.prediction.clone().requires_grad_()

    def step():
        detection_loss(prediction, fixture.truth, **fixture.settings).total.backward()

    assert not waits(step)


@pytest.mark.parametrize(
    ("prediction", "truth"), [((2, 29), (2, 2, 2, 7)), ((2, 28), (1, 2, 2, 7)), ((0, 28), (0, 28))]
)
def test_shapes_that_do_not_fit_are_an_error(prediction, truth):
    with pytest.raises(ValueError, match="has shape"):
        detection_loss(
            torch.zeros(prediction), torch.zeros(truth), grid=2, boxes=1, classes=2, **SCALES
        )
