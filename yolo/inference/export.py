"""A detector as a file that other runtimes run: ONNX."""

import json
import logging
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from yolo.detection.decode import decode
from yolo.files import replacing
from yolo.model.detector.detector import Detector, load_detector
from yolo.model.network.weights import KEY

PREPROCESSING = (
    "RGB / 255; the whole image resized to the input's square without keeping its shape, "
    "bilinear with the centres of the corner pixels kept (align_corners)"
)
_OPSET = 18
_INT_MAX = 2**63 - 1


def export_onnx(
    weights: Path, out: Path, *, nms: bool, score_threshold: float = 0.2, nms_iou: float = 0.4
) -> None:
    """Write a detector as one ONNX file that takes any number of images at a time.

    Input `images` (N, 3, side, side) float, RGB in [0, 1]. Output `prediction`
    (N, S*S*(C + 5B)), see `yolo.detection.layout`. With `nms` there are also the detections of all
    images, by image and descending score: `image` (K,) int64 number in the batch, `boxes`
    (K, 4) xmin ymin xmax ymax relative to the image, not clamped, `scores` (K,), `labels` (K,)
    int64; and the thresholds are inputs that may be left out, `score_threshold` and `nms_iou`.

    The metadata hold `classes` and `preprocessing`, and the card of the weights under `yolo`.

    Raises:
        UserError: The weights cannot be read.
    """
    import onnx

    detector = load_detector(weights)
    model = _traced(_WithBoxes(detector) if nms else detector, detector.spec.input_size, nms)
    model.graph.name = "detector"
    if nms:
        _append_nms(model, score_threshold, nms_iou)
    metadata = {
        KEY: json.dumps(detector.card(), sort_keys=True, ensure_ascii=False),
        "classes": json.dumps(detector.spec.classes, ensure_ascii=False),
        "preprocessing": PREPROCESSING,
    }
    onnx.helper.set_model_props(model, metadata)
    onnx.checker.check_model(model)
    with replacing(out) as temporary:
        onnx.save(model, temporary)


class _WithBoxes(nn.Module):
    """The flat output, boxes (N, M, 4) cx cy w h and scores (N, C, M)."""

    def __init__(self, detector: Detector) -> None:
        super().__init__()
        self.detector = detector

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        prediction = self.detector(images)
        spec = self.detector.spec
        decoded = decode(prediction, grid=spec.grid, boxes=spec.boxes, classes=len(spec.classes))
        return prediction, decoded.boxes, decoded.scores.transpose(1, 2)


def _traced(module: nn.Module, side: int, nms: bool) -> Any:
    names = ["prediction", "decoded_boxes", "decoded_scores"] if nms else ["prediction"]
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            module.eval(),
            (torch.zeros(2, 3, side, side),),
            dynamo=True,
            opset_version=_OPSET,
            input_names=["images"],
            output_names=names,
            dynamic_shapes=({0: torch.export.Dim("batch", min=1)},),
            verbose=False,
        )
    assert program is not None
    return program.model_proto


def _append_nms(model: Any, score_threshold: float, nms_iou: float) -> None:
    """Continue the graph from decoded boxes and scores to detections."""
    from onnx import TensorProto, helper

    graph = model.graph
    constants = {
        "per_class": (TensorProto.INT64, [], [_INT_MAX]),
        "zero": (TensorProto.INT64, [1], [0]),
        "one": (TensorProto.INT64, [1], [1]),
        "two": (TensorProto.INT64, [1], [2]),
        "four": (TensorProto.INT64, [1], [4]),
        "image_and_box": (TensorProto.INT64, [2], [0, 2]),
        "half": (TensorProto.FLOAT, [], [0.5]),
        # inputs with a value of their own may be left out
        "score_threshold": (TensorProto.FLOAT, [1], [score_threshold]),
        "nms_iou": (TensorProto.FLOAT, [1], [nms_iou]),
    }
    for name, (kind, shape, values) in constants.items():
        graph.initializer.append(helper.make_tensor(name, kind, shape, values))
    for name in ("score_threshold", "nms_iou"):
        graph.input.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]))

    def node(kind: str, inputs: str, outputs: str, **attributes: Any) -> None:
        graph.node.append(helper.make_node(kind, inputs.split(), outputs.split(), **attributes))

    node(
        "NonMaxSuppression",
        "decoded_boxes decoded_scores per_class nms_iou score_threshold",
        "picked",  # (K, 3): image, class, box
        center_point_box=1,
    )
    # best first, then image by image: TopK keeps the order of equals
    node("GatherND", "decoded_scores picked", "picked_scores")
    node("Shape", "picked_scores", "count")
    node("TopK", "picked_scores count", "by_score by_score_at", axis=0)
    node("Gather", "picked by_score_at", "picked_by_score", axis=0)
    node("Slice", "picked_by_score zero one one", "images_by_score")
    node("Squeeze", "images_by_score one", "image_by_score")
    node("TopK", "image_by_score count", "image image_at", axis=0, largest=0)
    node("Gather", "by_score image_at", "scores", axis=0)
    node("Gather", "picked_by_score image_at", "ordered", axis=0)
    node("Slice", "ordered one two one", "label_column")
    node("Squeeze", "label_column one", "labels")
    node("Gather", "ordered image_and_box", "places", axis=1)
    node("GatherND", "decoded_boxes places", "centred")
    node("Slice", "centred zero two one", "centres")
    node("Slice", "centred two four one", "sizes")
    node("Mul", "sizes half", "halves")
    node("Sub", "centres halves", "first_corners")
    node("Add", "centres halves", "last_corners")
    node("Concat", "first_corners last_corners", "boxes", axis=1)
    del graph.output[1:]
    for name, kind, shape in (
        ("image", TensorProto.INT64, ["found"]),
        ("boxes", TensorProto.FLOAT, ["found", 4]),
        ("scores", TensorProto.FLOAT, ["found"]),
        ("labels", TensorProto.INT64, ["found"]),
    ):
        graph.output.append(helper.make_tensor_value_info(name, kind, shape))
