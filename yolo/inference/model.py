"""A detector ready for use: `model.predict(images)`."""

import sys
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Literal, cast, get_args, overload

import numpy as np
import torch

from yolo.errors import UserError
from yolo.files import digest
from yolo.inference.engine import Engine, OnnxEngine, TorchEngine
from yolo.inference.image_input import AnyImage, is_one, to_array
from yolo.model.detector.detector import DetectorSpec, load_detector
from yolo.model.detector.predict import Detected, locate, resize
from yolo.runtime import settings as runtime
from yolo.runtime.cache import cache_folder
from yolo.runtime.device import pick_device
from yolo.runtime.malloc import keep_freed

Backend = Literal["torch", "onnx"]

SCORE_THRESHOLD = 0.2
"""The original shows detections above this score (yolo.c: run_yolo, -thresh)."""
NMS_IOU = 0.4
"""The original suppresses the worse of two boxes above this IoU (yolo.c: test_yolo)."""
BATCH = 16


class Model:
    """A detector and the engine that runs it."""

    def __init__(self, spec: DetectorSpec, engine: Engine) -> None:
        """`spec`: input size, grid and classes of the network that `engine` runs."""
        self.spec = spec
        self.engine = engine

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names; `Detected.labels` are indices into them."""
        return self.spec.classes

    @overload
    def predict(
        self,
        images: AnyImage,
        *,
        score_threshold: float = ...,
        nms_iou: float = ...,
        batch: int = ...,
    ) -> Detected: ...
    @overload
    def predict(
        self,
        images: Iterable[AnyImage],
        *,
        score_threshold: float = ...,
        nms_iou: float = ...,
        batch: int = ...,
    ) -> list[Detected]: ...
    def predict(
        self,
        images: AnyImage | Iterable[AnyImage],
        *,
        score_threshold: float = SCORE_THRESHOLD,
        nms_iou: float = NMS_IOU,
        batch: int = BATCH,
    ) -> Detected | list[Detected]:
        """Detect objects in one image, or in each of several.

        Args:
            images: A path, PIL image, array (H, W, 3) or tensor (3, H, W), see `AnyImage`; or an
                iterable of such, or an array (N, H, W, 3) or tensor (N, 3, H, W).
            score_threshold: Least score of a detection, exclusive, 0 to 1.
            nms_iou: Of two detections of a class with a greater IoU, the worse is dropped.
            batch: Images held in memory and run at a time.

        Returns:
            For one image `boxes, scores, labels`, by descending score: boxes (K, 4) float32, xmin
            ymin xmax ymax in pixels of the image as in Pascal VOC (the first pixel is 1, both ends
            belong to the box); scores (K,) float32, usually in 0 to 1; labels (K,) int64, indices
            into `classes`. For several images a list of these, in the same order.

        Raises:
            UserError: A file is missing, truncated, damaged or not an image.
            ValueError: An array or tensor has another shape, type or range; a threshold is not
                within 0 to 1; `batch` is below 1.
        """
        if is_one(images):
            return self.predict(
                [cast(AnyImage, images)], score_threshold=score_threshold, nms_iou=nms_iou
            )[0]
        several = cast(Iterable[AnyImage], images)
        return list(
            self.stream(several, score_threshold=score_threshold, nms_iou=nms_iou, batch=batch)
        )

    def stream(
        self,
        images: Iterable[AnyImage],
        *,
        score_threshold: float = SCORE_THRESHOLD,
        nms_iou: float = NMS_IOU,
        batch: int = BATCH,
    ) -> Iterator[Detected]:
        """Yield what `predict` returns for several images; `batch` of them are held at a time."""
        for name, value in (("score_threshold", score_threshold), ("nms_iou", nms_iou)):
            if not 0 <= value <= 1:
                raise ValueError(f"{name} is {value}; 0 to 1 is allowed")
        if batch < 1:
            raise ValueError(f"batch is {batch}; a whole number from 1 up is allowed")
        remaining = iter(images)
        while group := [to_array(image) for image in islice(remaining, batch)]:
            inputs = np.stack([resize(image, self.spec.input_size) for image in group])
            sizes = [(image.shape[1], image.shape[0]) for image in group]
            yield from locate(
                self.engine(inputs),
                self.spec,
                sizes,
                score_threshold=score_threshold,
                nms_iou=nms_iou,
            )


def load_model(path: Path, backend: Backend = "torch") -> Model:
    """Load a weights file; threads and device are those of the runtime settings (`YOLO_*`).

    Args:
        path: A `.safetensors` file, or an `.onnx` file written by `yolov1 export`.
        backend: `onnx` exports the weights once, into the user's cache, and runs them with ONNX
            Runtime on the CPU; an `.onnx` file always runs that way.

    Raises:
        UserError: The file is missing or not a detector.
        ValueError: There is no such backend.
    """
    if backend not in get_args(Backend):
        raise ValueError(f"backend is {backend!r}; allowed: {', '.join(get_args(Backend))}")
    settings = runtime.from_environment()
    torch.set_num_threads(settings.threads)
    keep_freed()
    if path.suffix == ".onnx" or backend == "onnx":
        if not path.is_file():
            raise UserError(f"there is no weights file {path}")
        engine = OnnxEngine(path if path.suffix == ".onnx" else _exported(path), settings.threads)
        return Model(engine.spec, engine)
    detector = load_detector(path).to(pick_device(settings.device))
    return Model(detector.spec, TorchEngine(detector))


def _exported(weights: Path) -> Path:
    """Return the weights as ONNX from the cache; export them when it lacks them."""
    from yolo.inference.export import export_onnx

    folder = cache_folder() / f"onnx-torch-{torch.__version__}"
    path = folder / f"{digest(weights)}.onnx"
    if not path.is_file():
        print(f"exporting {weights} to {path}, once", file=sys.stderr)
        export_onnx(weights, path, nms=False)
    return path
