"""Engines that run the network: pixels in, the flat prediction that decoding takes out."""

import json
import os
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from yolo.detection.layout import outputs
from yolo.errors import UserError
from yolo.model.detector.detector import Detector, spec_of
from yolo.model.detector.predict import to_input
from yolo.model.network.weights import KEY, reading_card


class Engine(Protocol):
    """Runs a detector: (N, side, side, 3) uint8 RGB to (N, S*S*(C + 5B)) float."""

    def __call__(self, pixels: NDArray[np.uint8]) -> Tensor:
        """Predict."""
        ...


class OnnxEngine:
    """ONNX Runtime on the CPU, for a file that `yolo.inference.export` wrote."""

    def __init__(self, path: Path, threads: int) -> None:
        """Open the file; UserError when it is not one of our detectors."""
        # otherwise the official builds send telemetry about the machine
        os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 3
        try:
            self._session = onnxruntime.InferenceSession(
                path, options, providers=["CPUExecutionProvider"]
            )
            card = self._session.get_modelmeta().custom_metadata_map.get(KEY)
        except Exception as error:  # ONNX Runtime has no common class of its exceptions
            raise UserError(f"{path} is not a readable ONNX file: {error}") from None
        if card is None:
            raise UserError(f"{path} was not written by `yolov1 export`")
        self._path = path
        with reading_card(path):
            self.spec = spec_of(_mapping(card))
            self._check()

    def _check(self) -> None:
        """Raise ValueError unless inputs and outputs of the graph match its metadata."""
        spec = self.spec
        inputs = {own.name: (own.type, own.shape[1:]) for own in self._session.get_inputs()}
        results = {own.name: (own.type, own.shape[1:]) for own in self._session.get_outputs()}
        if inputs.keys() != {"images"}:
            raise ValueError(f"its inputs are {', '.join(sorted(inputs))} instead of images alone")
        self._numbers = outputs(grid=spec.grid, boxes=spec.boxes, classes=len(spec.classes))
        side = spec.input_size
        for given, name, shape in (
            (inputs, "images", [3, side, side]),
            (results, "prediction", [self._numbers]),
        ):
            if given.get(name) != ("tensor(float)", shape):
                raise ValueError(f"{name} should be {shape} floats and is {given.get(name)}")

    def __call__(self, pixels: NDArray[np.uint8]) -> Tensor:
        """Predict."""
        images = to_input(pixels, torch.device("cpu")).numpy()
        given = {"images": np.ascontiguousarray(images)}
        try:
            found: Any = self._session.run(["prediction"], given)
        except Exception as error:  # ONNX Runtime has no common class of its exceptions
            raise UserError(f"{self._path} cannot be run: {error}") from None
        shape = found[0].shape
        if shape != (len(pixels), self._numbers):
            raise UserError(f"{self._path} returned {shape} for {len(pixels)} images")
        return torch.from_numpy(found[0])


def _mapping(text: str) -> dict[str, Any]:
    try:
        card = json.loads(text)
    except RecursionError:
        raise ValueError("endless nesting") from None
    if not isinstance(card, dict):
        raise ValueError("no mapping")
    return card


class TorchEngine:
    """PyTorch on the detector's device."""

    def __init__(self, detector: Detector) -> None:
        """`detector` must be in evaluation mode."""
        self._detector = detector
        self._device = next(detector.parameters()).device

    def __call__(self, pixels: NDArray[np.uint8]) -> Tensor:
        """Predict."""
        with torch.inference_mode():
            return self._detector(to_input(pixels, self._device))


class OpenVinoEngine:
    """OpenVINO on the CPU, in 32 bits, for a file that `yolo.inference.export` wrote."""

    def __init__(self, path: Path, threads: int) -> None:
        """Compile the file."""
        import openvino  # pyright: ignore[reportMissingImports]

        settings = {
            "INFERENCE_NUM_THREADS": threads,
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_PRECISION_HINT": "f32",
        }
        compiled = openvino.Core().compile_model(path, "CPU", settings)
        self._request = compiled.create_infer_request()

    def __call__(self, pixels: NDArray[np.uint8]) -> Tensor:
        """Predict."""
        images = np.ascontiguousarray(to_input(pixels, torch.device("cpu")).numpy())
        (prediction,) = self._request.infer({"images": images}).values()
        return torch.from_numpy(prediction.copy())
