"""How good, how fast and how large a detector is, backend by backend, on this machine.

Each backend runs in a process of its own, so that its peak of memory is its own. Images are taken
one at a time; the time of one is that from its encoded bytes to its boxes.
"""

import os
import platform
import resource
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from yolo.errors import UserError

TOLERANCE = 1e-4
"""Largest difference of the mAP of two backends that is rounding."""
_WARM_UP = 3
_PACKAGES = {"PyTorch": "torch", "ONNX Runtime": "onnxruntime", "OpenVINO": "openvino"}


@dataclass(frozen=True)
class Measured:
    """One backend."""

    backend: str
    version: str
    voc07_map: float
    """0 to 1; NaN when the split has no object."""
    median_ms: float
    """Milliseconds per image."""
    p95_ms: float
    peak_bytes: int
    """Most memory of the process, libraries included."""
    file_bytes: int
    """Size of the file that it runs."""


@dataclass(frozen=True)
class Benchmark:
    """A detector on a split."""

    weights: str
    network: str
    images: int
    parameters: int
    flops: int
    """Of one image; a multiplication and an addition are two."""
    machine: str
    threads: int
    backends: tuple[Measured, ...]

    @property
    def spread(self) -> float:
        """Difference of the highest and the lowest mAP of the backends."""
        scores = [own.voc07_map for own in self.backends]
        return max(scores) - min(scores)


def measure(
    weights: Path, clean: Path, split: str, *, score_threshold: float, nms_iou: float, threads: int
) -> Benchmark:
    """Run a detector on a split of a clean set by every backend that is installed.

    Raises:
        UserError: The weights or the set cannot be read, the split is empty, or the classes differ.
    """
    from yolo.data.store.clean_set import CleanSet
    from yolo.inference.export import export_onnx
    from yolo.inspection.layer_table import layer_table
    from yolo.model.detector.detector import load_detector

    data = CleanSet(clean)
    images = len(data.split(split))
    if images == 0:
        raise UserError(f"the split {split} of {clean} has no image; nothing can be measured")
    detector = load_detector(weights)
    if detector.spec.classes != data.classes:
        raise UserError(
            f"{weights} knows the classes {', '.join(detector.spec.classes)}, {clean} has "
            f"{', '.join(data.classes)}"
        )
    layers = layer_table(detector, detector.spec.input_size)
    found = []
    with TemporaryDirectory(prefix="yolov1-") as folder:
        exported = Path(folder) / "detector.onnx"
        export_onnx(weights, exported, nms=False)
        for backend, package in _PACKAGES.items():
            if find_spec(package) is None:
                print(f"{backend} is not installed: left out", file=sys.stderr)
                continue
            file = weights if backend == "PyTorch" else exported
            print(f"{backend}: {images} images", file=sys.stderr)
            with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
                own = (backend, file, clean, split, score_threshold, nms_iou, threads)
                found.append(pool.submit(_run, *own).result())
    return Benchmark(
        weights=weights.as_posix(),
        network=detector.spec.network,
        images=images,
        parameters=sum(layer.parameters for layer in layers),
        flops=sum(layer.flops for layer in layers),
        machine=machine(),
        threads=threads,
        backends=tuple(found),
    )


def _run(
    backend: str,
    file: Path,
    clean: Path,
    split: str,
    score_threshold: float,
    nms_iou: float,
    threads: int,
) -> Measured:
    """Measure one backend, in its own process."""
    import torch

    from yolo.data.store import images as encoded
    from yolo.data.store.clean_set import CleanSet
    from yolo.evaluation.analysis.devkit import rounded
    from yolo.inference.engine import Engine, OnnxEngine, OpenVinoEngine, TorchEngine
    from yolo.inference.model import Model
    from yolo.metrics.inputs import read_truth, to_columns
    from yolo.metrics.voc_ap import score
    from yolo.model.detector.detector import load_detector
    from yolo.model.detector.predict import locate, resize

    torch.set_num_threads(threads)
    engine: Engine
    if backend == "PyTorch":
        detector = load_detector(file).eval()
        engine, spec = TorchEngine(detector), detector.spec
    else:
        onnx = OnnxEngine(file, threads)
        spec = onnx.spec
        engine = OpenVinoEngine(file, threads) if backend == "OpenVINO" else onnx
    model = Model(spec, engine)
    data = CleanSet(clean)
    records = data.split(split)

    def detect(index: int) -> list:
        pixels = encoded.decode(records.image(index), records.name(index))
        return locate(
            model.engine(resize(pixels, spec.input_size)[np.newaxis]),
            spec,
            [records.size(index)],
            score_threshold=score_threshold,
            nms_iou=nms_iou,
        )

    for index in range(min(_WARM_UP, len(records))):
        detect(index)
    detected, seconds = [], []
    for index in range(len(records)):
        started = time.perf_counter()
        detected += detect(index)
        seconds.append(time.perf_counter() - started)
    scores = score(rounded(to_columns(detected)), read_truth(records), len(data.classes))
    median, p95 = 1000 * np.quantile(seconds, [0.5, 0.95])
    return Measured(
        backend=backend,
        version=version(_PACKAGES[backend]),
        voc07_map=scores.voc07_map,
        median_ms=float(median),
        p95_ms=float(p95),
        peak_bytes=_peak(),
        file_bytes=file.stat().st_size,
    )


def _peak() -> int:
    """Most memory that this process has held, in bytes."""
    status = Path("/proc/self/status")
    if status.is_file():
        # unlike ru_maxrss, it does not begin with the parent's
        (line,) = (one for one in status.read_text().splitlines() if one.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def machine() -> str:
    """Processor and system."""
    name = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.is_file():
        lines = info.read_text().splitlines()
        models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
        name = models[0] if models else name
    return (
        f"{name}, {os.cpu_count()} cores, {platform.system()}, Python {platform.python_version()}"
    )


def markdown(found: Benchmark) -> str:
    """A section for people, and for a model card."""
    lines = [
        "## Speed",
        "",
        f"{found.images} test images, one at a time, from the encoded file to boxes, on "
        f"{found.machine}, {found.threads} threads. Network `{found.network}`: "
        f"{found.parameters:,} parameters, {found.flops / 1e9:.2f} GFLOPs per image.",
        "",
        "| backend | mAP, VOC 2007 | ms per image, median | p95 | peak memory, MiB | file, MiB |",
        "|---|---:|---:|---:|---:|---:|",
        *(_row(own) for own in found.backends),
    ]
    if found.spread > TOLERANCE:
        lines += ["", f"The backends differ by {found.spread:.5f} in mAP, more than rounding."]
    return "\n".join(lines) + "\n"


def _row(own: Measured) -> str:
    score = "undefined" if np.isnan(own.voc07_map) else f"{100 * own.voc07_map:.2f} %"
    cells: Sequence[str] = (
        f"{own.backend} {own.version}",
        score,
        f"{own.median_ms:.1f}",
        f"{own.p95_ms:.1f}",
        f"{own.peak_bytes / 2**20:.0f}",
        f"{own.file_bytes / 2**20:.1f}",
    )
    return f"| {' | '.join(cells)} |"
