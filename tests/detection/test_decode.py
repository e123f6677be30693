"""Decoding and suppression against the original's numbers, and against wrong suppressions."""

import json
from functools import partial

import numpy as np
import pytest
import torch
from darknet_layer import do_nms_sort
from hypothesis import given, settings
from hypothesis import strategies as st
from mutation import mutant

from yolo.detection import boxes as box_measures
from yolo.detection import decode as module
from yolo.detection.decode import decode, detections, nms
from yolo.detection.targets import encode_batch

torch.set_num_threads(1)
CASES = range(5)


@pytest.fixture(scope="module")
def fixtures(original):
    with np.load(original / "decode_nms.npz") as file:
        cases = json.loads(str(file["meta"]))
        names = ("raw", "bbox_xywh", "objectness", "prob_before_nms", "prob_after_nms")
        return [
            case | {name: torch.from_numpy(file[f"c{number}_{name}"]) for name in names}
            for number, case in enumerate(cases)
        ]


def shape(case):
    return {"grid": case["S"], "boxes": case["B"], "classes": case["C"]}


@pytest.mark.parametrize("number", CASES)
def test_boxes_confidences_and_scores_are_the_originals(fixtures, number):
    case = fixtures[number]
    decoded = decode(case["raw"][None], **shape(case), sqrt=bool(case["sqrt"]))
    side = torch.tensor([case["w"], case["h"]] * 2)
    np.testing.assert_allclose(
        decoded.boxes[0] * side, case["bbox_xywh"], rtol=0, atol=2e-6 * max(side)
    )
    np.testing.assert_allclose(decoded.confidence[0], case["objectness"], atol=1e-6)
    scores = decoded.scores[0]
    before = torch.where(scores > case["thresh"], scores, 0)
    np.testing.assert_allclose(before, case["prob_before_nms"], rtol=0, atol=1e-6)


# IoU exactly .5; then a box of another class on the same place; then a score at the threshold
EXACT_BOXES = torch.tensor([[0.5, 0.5, 1, 1], [0.25, 0.5, 0.5, 1], [0.5, 0.5, 1, 1], [5, 5, 1, 1]])
EXACT_SCORES = torch.tensor([[0.9, 0.0], [0.8, 0.0], [0.0, 0.7], [0.25, 0.5]])
EXACT_LEFT = torch.tensor([[0.9, 0.0], [0.8, 0.0], [0.0, 0.7], [0.0, 0.5]])


def assert_suppresses_as_original(suppress, fixtures):
    """Raise AssertionError unless exactly the original's entries are left."""
    for case in fixtures:
        if case["nms"] == 0:  # the original skips the suppression
            continue
        # scores from the raw output: what the original thresholds itself
        scores = decode(case["raw"][None], **shape(case), sqrt=bool(case["sqrt"])).scores[0]
        left = suppress(
            case["bbox_xywh"], scores, iou_threshold=case["nms"], score_threshold=case["thresh"]
        )
        np.testing.assert_array_equal(left != 0, case["prob_after_nms"] != 0)
        np.testing.assert_allclose(left, case["prob_after_nms"], rtol=0, atol=1e-6)
    left = suppress(EXACT_BOXES, EXACT_SCORES, iou_threshold=0.5, score_threshold=0.25)
    np.testing.assert_array_equal(left, EXACT_LEFT)


def test_the_surviving_set_is_the_originals(fixtures):
    assert_suppresses_as_original(nms, fixtures)


@pytest.mark.parametrize("number", CASES)
def test_boxes_relative_to_the_image_survive_alike(fixtures, number):
    case = fixtures[number]
    decoded = decode(case["raw"][None], **shape(case), sqrt=bool(case["sqrt"]))
    # no overlap is above 1: nothing is suppressed, as by the original with threshold 0
    threshold = case["nms"] or 1.5
    left = nms(
        decoded.boxes[0],
        decoded.scores[0],
        iou_threshold=threshold,
        score_threshold=case["thresh"],
    )
    np.testing.assert_array_equal(left != 0, case["prob_after_nms"] != 0)


def pixel_iou(first, second):
    """The devkit's overlap: both ends of a box belong to it."""
    grown = torch.tensor([0.0, 0, 1, 1])
    return box_measures.iou(first + grown, second + grown)


def with_pixel_iou():
    wrong = mutant(module, "iou(near", "pixel_iou(near")
    vars(wrong)["pixel_iou"] = pixel_iou
    return wrong.nms


def class_agnostic(boxes, scores, **thresholds):
    best = nms(boxes, scores.amax(1, keepdim=True), **thresholds)
    return torch.where((best > 0) & (scores > thresholds["score_threshold"]), scores, 0)


WRONG_SUPPRESSIONS = {
    "overlap at the threshold": lambda: mutant(module, "> iou_threshold", ">= iou_threshold").nms,
    "overlap with + 1": with_pixel_iou,
    "all classes as one": lambda: class_agnostic,
    "score at the threshold": lambda: (
        mutant(module, "scores > score_threshold", "scores >= score_threshold").nms
    ),
    "suppressed boxes suppress": lambda: mutant(module, "left[winner]", "start[winner]").nms,
    "lower scores first": lambda: (
        mutant(module, "scores[image, first] >= scores", "scores[image, first] < scores").nms
    ),
}


@pytest.mark.parametrize("name", WRONG_SUPPRESSIONS)
def test_the_check_notices_a_wrong_suppression(fixtures, name):
    wrong = WRONG_SUPPRESSIONS[name]()
    with pytest.raises(AssertionError):
        assert_suppresses_as_original(wrong, fixtures)


def chain(length):
    """Each box overlaps its neighbours by 1/2, and scores fall along the chain."""
    boxes = torch.tensor([[index / 3, 0.5, 1, 1] for index in range(length)])
    return boxes, torch.linspace(0.9, 0.1, length)[:, None]


def test_a_suppressed_box_suppresses_none():
    left = nms(*chain(9), iou_threshold=0.4, score_threshold=0.0)
    # IoU of neighbours (2/3) / (4/3) = .5, of the next but one (1/3) / (5/3) = .2
    assert (left[:, 0] > 0).tolist() == [True, False] * 4 + [True]


def test_of_equal_scores_the_first_box_stays():
    boxes = torch.tensor([[0.5, 0.5, 1, 1]] * 3)
    left = nms(boxes, torch.full((3, 2), 0.5), iou_threshold=0.5, score_threshold=0.1)
    assert left.tolist() == [[0.5, 0.5], [0, 0], [0, 0]]


def test_two_negative_numbers_make_a_positive_score():
    raw = torch.tensor([[-0.5, -0.8, 0.5, 0.5, 0.3, -0.4]])
    decoded = decode(raw, grid=1, boxes=1, classes=1)
    assert decoded.scores.item() == pytest.approx(0.4)
    assert decoded.boxes[0, 0].tolist() == pytest.approx([0.5, 0.5, 0.09, 0.16])


def test_what_is_encoded_decodes_to_itself():
    rows = torch.tensor([[0, 3, 0.4, 0.75, 0.25, 0.5], [0, 1, 0.9, 0.1, 0.1, 0.04]])
    truth = encode_batch(rows, images=1, grid=5, classes=4).view(25, 9)
    coordinates = torch.cat((truth[:, 5:7], truth[:, 7:].sqrt()), dim=1)
    raw = torch.cat([truth[:, 1:5].flatten(), truth[:, 0], coordinates.flatten()])[None]
    (found,) = detections(raw, grid=5, boxes=1, classes=4, iou_threshold=0.5, score_threshold=0.5)
    assert found.labels.tolist() == [1, 3]
    np.testing.assert_allclose(found.boxes, rows[[1, 0], 2:], rtol=1e-6)


@settings(max_examples=60, deadline=None)
@given(
    count=st.integers(0, 25),
    classes=st.integers(1, 5),
    iou_threshold=st.sampled_from([0.0, 0.2, 0.5, 1.0]),
    score_threshold=st.sampled_from([-0.5, 0.0, 0.2]),
    seed=st.integers(0, 2**32 - 1),
)
def test_any_suppression_is_the_originals(count, classes, iou_threshold, score_threshold, seed):
    rng = np.random.default_rng(seed)
    # few distinct values, so that scores tie and overlaps hit the threshold
    boxes = rng.integers(0, 5, (count, 4)).astype(np.float32)
    scores = (rng.integers(-2, 6, (count, classes)) / 5).astype(np.float32)
    expected = do_nms_sort(boxes, scores, iou_threshold, score_threshold)
    found = nms(
        torch.from_numpy(boxes),
        torch.from_numpy(scores),
        iou_threshold=iou_threshold,
        score_threshold=score_threshold,
    )
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("pairs_at_a_time", [1, 1 << 19])
def test_detections_are_decoding_and_suppression_of_each_image(monkeypatch, pairs_at_a_time):
    monkeypatch.setattr(module, "_PAIRS_AT_A_TIME", pairs_at_a_time)
    options = {"grid": 4, "boxes": 3, "classes": 5}
    thresholds = {"iou_threshold": 0.4, "score_threshold": 0.3}
    prediction = torch.rand(6, 16 * 20, generator=torch.Generator().manual_seed(0))
    prediction[2] = 0
    decoded = decode(prediction, **options)
    found = detections(prediction, **options, **thresholds)
    assert len(found) == 6 and len(found[2].scores) == 0
    for image, (boxes, scores, labels) in enumerate(found):
        left = nms(decoded.boxes[image], decoded.scores[image], **thresholds)
        assert (scores.diff() <= 0).all()
        rebuilt = torch.zeros_like(left)
        index = (decoded.boxes[image][:, None] == boxes).all(-1).float().argmax(0)
        rebuilt[index, labels] = scores
        assert torch.equal(rebuilt, left)


def test_no_images_are_no_detections():
    options = partial(detections, grid=2, boxes=1, classes=1, iou_threshold=0.5)
    assert options(torch.zeros(0, 24), score_threshold=0.1) == []


def test_shapes_that_do_not_fit_are_an_error():
    with pytest.raises(ValueError, match=r"\(3, 4\) and scores \(2, 5\)"):
        nms(torch.zeros(3, 4), torch.zeros(2, 5), iou_threshold=0.5, score_threshold=0.1)
    with pytest.raises(ValueError, match="prediction has shape"):
        decode(torch.zeros(1, 25), grid=2, boxes=1, classes=1)
