"""What runs the network: pixels to the flat vector of numbers that decoding takes."""

from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from yolo.evaluation.predict import to_input
from yolo.model.detector import Detector


class Engine(Protocol):
    """Runs a detector: (N, side, side, 3) uint8 RGB to (N, S*S*(C + 5B)) float."""

    def __call__(self, pixels: NDArray[np.uint8]) -> Tensor:
        """Predict."""
        ...


class TorchEngine:
    """PyTorch on the device that the detector is on."""

    def __init__(self, detector: Detector) -> None:
        """`detector` is used as it is and should be in evaluation mode."""
        self._detector = detector
        self._device = next(detector.parameters()).device

    def __call__(self, pixels: NDArray[np.uint8]) -> Tensor:
        """Predict."""
        with torch.inference_mode():
            return self._detector(to_input(pixels, self._device))
