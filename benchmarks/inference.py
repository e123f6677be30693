"""Seconds per image of detection on the CPU, beside other runtimes, in one run.

    make bench-setup && .venv/bin/python -m benchmarks.inference

Networks of the paper with random weights (values do not change the time), 20 classes, 448 pixels,
grid 7. Two measures, each for 1 and 16 images at a time:

- network: pixels (N, 448, 448, 3) uint8 in memory to the numbers of the output layer;
- end to end: JPEG files of 500 x 375 to boxes: read, decode, resize, network, decode, suppression;
  all but the network is ours for every contender.

All contenders stand in this process with `YOLO_THREADS` threads each and take turns in every
round, so that another load of the machine meets all; the rounds of a case last `--seconds`, three
at least. They rest between calls: the threads of a runtime spin on for a while after each, which
would slow the next one. Before, each contender's numbers are compared with eager PyTorch's. Set-up
is what a contender needs before its second image; ONNX Runtime and OpenVINO take an export, timed
apart. Freed memory is kept, for all contenders, as `yolo.load` does (`yolo/runtime/malloc.py`).
"""

import argparse
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping
from functools import partial
from importlib.metadata import version
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from yolo.inference.engine import Engine, OnnxEngine, OpenVinoEngine, TorchEngine
from yolo.inference.export import export_onnx
from yolo.inference.model import Model
from yolo.model.detector.detector import Detector, DetectorSpec, build_detector, save_detector
from yolo.runtime import settings as runtime
from yolo.runtime.malloc import keep_freed

SIDE, GRID, BOXES = 448, 7, 2
CLASSES = tuple(f"class {number}" for number in range(20))
BATCHES = (1, 16)
LEAST_ROUNDS = 3
REST = 0.25
BASELINE = "PyTorch, eager"
REFERENCE = "OpenVINO"


def engines(detector: Detector, folder: Path, threads: int) -> dict[str, Engine]:
    """Every contender, ready; prints what getting it ready took."""
    weights, exported = folder / "detector.safetensors", folder / "detector.onnx"
    save_detector(weights, detector)
    started = time.perf_counter()
    export_onnx(weights, exported, nms=False)
    print(f"  export to ONNX: {time.perf_counter() - started:.1f} s", flush=True)
    make: dict[str, Callable[[], Engine]] = {
        BASELINE: partial(TorchEngine, detector),
        "ONNX Runtime (ours)": partial(OnnxEngine, exported, threads),
        REFERENCE: partial(OpenVinoEngine, exported, threads),
    }
    found: dict[str, Engine] = {}
    for name, start in make.items():
        started = time.perf_counter()
        found[name] = start()
        for batch in BATCHES:
            pixels = noise(batch)
            answer = found[name](pixels)
            torch.testing.assert_close(answer, found[BASELINE](pixels), atol=1e-4, rtol=1e-4)
        print(f"  {name}: set-up {time.perf_counter() - started:.1f} s, equal to 1e-4", flush=True)
    return found


def noise(count: int) -> NDArray[np.uint8]:
    return np.random.default_rng(count).integers(0, 256, (count, SIDE, SIDE, 3), np.uint8)


def write_pictures(folder: Path, count: int) -> list[Path]:
    """JPEG files with as much detail as photographs have."""
    paths = []
    for number in range(count):
        coarse = np.random.default_rng(number).integers(0, 256, (47, 63, 3), np.uint8)
        paths.append(folder / f"{number}.jpg")
        cv2.imwrite(str(paths[-1]), cv2.resize(coarse, (500, 375), interpolation=cv2.INTER_CUBIC))
    return paths


def take_turns(
    contenders: Mapping[str, Callable[[], object]], seconds: float
) -> dict[str, list[float]]:
    """Seconds of each call of each contender."""
    times: dict[str, list[float]] = {name: [] for name in contenders}
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or len(times[BASELINE]) < LEAST_ROUNDS:
        for name, call in contenders.items():
            time.sleep(REST)
            started = time.perf_counter()
            call()
            times[name].append(time.perf_counter() - started)
    return times


def report(case: str, batch: int, times: dict[str, list[float]]) -> None:
    """Rows of the table, in milliseconds per image; the ratio is of medians to OpenVINO's."""
    per_picture = {name: [1000 * own / batch for own in taken] for name, taken in times.items()}
    reference = statistics.median(per_picture[REFERENCE])
    for name, own in per_picture.items():
        median = statistics.median(own)
        print(
            f"| {case} | {name} | {min(own):.1f} | {median:.1f} | {median / reference:.2f} "
            f"| {len(own)} |",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--networks", nargs="+", default=["yolov1", "yolov1-fast"])
    parser.add_argument("--seconds", type=float, default=25, help="of the rounds of a case")
    options = parser.parse_args()
    threads = runtime.from_environment().threads
    torch.set_num_threads(threads)
    keep_freed()
    names = ("torch", "onnxruntime", "openvino", "opencv-python-headless", "numpy")
    print(f"Python {platform.python_version()}", *(f"{name} {version(name)}" for name in names))
    print(f"{threads} threads of {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    for network in options.networks:
        print(network, flush=True)
        detector = build_detector(DetectorSpec(network, 1.0, SIDE, GRID, BOXES, CLASSES)).eval()
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary)
            found = engines(detector, folder, threads)
            paths = write_pictures(folder, max(BATCHES))
            print("| case | contender | least ms | median ms | to OpenVINO | rounds |")
            print("|---|---|---:|---:|---:|---:|")
            for batch in BATCHES:
                case, pixels = f"{network}, {batch} at a time", noise(batch)
                alone = {name: partial(engine, pixels) for name, engine in found.items()}
                report(f"{case}, network", batch, take_turns(alone, options.seconds))
                whole = {
                    name: partial(Model(detector.spec, engine).predict, paths[:batch])
                    for name, engine in found.items()
                }
                report(f"{case}, end to end", batch, take_turns(whole, options.seconds))
    print(f"load at the end {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
