"""How fast `yolov1 demo` answers, beside the bare network, and what it does under overload.

    .venv/bin/python -m benchmarks.serving

The server is a process of its own on loopback with a network of random weights (values do not
change the time). The clients are threads of this process and share the machine with it. Measured
one after the other, in one run:

- network: one image of pixels in memory to the numbers of the output layer, in this process;
- from bytes: a JPEG of 500 x 375 to boxes, in this process;
- one client, then as many as the server lets in; each sends its next request on the answer;
- overload: requests begin at four times the rate just reached, whether or not others are answered;
- memory: resident bytes of the server after a tenth of `--requests` and after all of them.
"""

import argparse
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import psutil
import requests
import torch

from yolo.inference.demo import ROOM
from yolo.inference.model import load_model
from yolo.inference.uploads import LIMITS, decode_upload, examine
from yolo.model.detector.detector import DetectorSpec, build_detector, save_detector

SPECS = {
    "nano": DetectorSpec("nano", 0.5, 128, 8, 2, tuple("abcd")),
    "yolov1-fast": DetectorSpec("yolov1-fast", 1.0, 448, 7, 2, tuple("abcdefghijklmnopqrst")),
}
CLIENTS = 4 * ROOM
_of_thread = threading.local()


def photo() -> bytes:
    """A JPEG with as much detail as a photograph has."""
    coarse = np.random.default_rng(0).integers(0, 256, (47, 63, 3), np.uint8)
    large = cv2.resize(coarse, (500, 375), interpolation=cv2.INTER_CUBIC)
    return cv2.imencode(".jpg", large)[1].tobytes()


def timed(call: Callable[[], object], seconds: float) -> list[float]:
    """Milliseconds of each call."""
    call()
    times, end = [], time.perf_counter() + seconds
    while time.perf_counter() < end:
        started = time.perf_counter()
        call()
        times.append(1000 * (time.perf_counter() - started))
    return times


def post(address: str, body: bytes) -> tuple[str, float]:
    """Status and milliseconds of one request; each thread keeps its connection."""
    if not hasattr(_of_thread, "session"):
        _of_thread.session = requests.Session()
    started = time.perf_counter()
    try:
        reply = _of_thread.session.post(f"{address}/detect", data=body, timeout=120)
        status = str(reply.status_code)
        if status == "503" and int(reply.headers.get("Retry-After", "0")) < 1:
            status = "503 without Retry-After"
    except requests.RequestException as error:
        status = f"no answer: {type(error).__name__}"
    return status, 1000 * (time.perf_counter() - started)


def closed_loop(address: str, body: bytes, clients: int, seconds: float) -> float:
    """Print requests a second and latencies of clients that wait for answers; return the rate."""
    end = time.perf_counter() + seconds

    def client(_: int) -> list[tuple[str, float]]:
        answers = []
        while time.perf_counter() < end:
            answers.append(post(address, body))
        return answers

    started = time.perf_counter()
    with ThreadPoolExecutor(clients) as pool:
        answers = [own for some in pool.map(client, range(clients)) for own in some]
    rate = len(answers) / (time.perf_counter() - started)
    print(f"{clients} clients: {rate:.1f} requests/s, {spread([t for _, t in answers])}")
    assert {status for status, _ in answers} == {"200"}, Counter(s for s, _ in answers)
    return rate


def overload(address: str, body: bytes, rate: float, seconds: float) -> None:
    """Begin requests at `rate` a second; print what became of each."""
    count = int(rate * seconds)
    start = time.perf_counter()

    def one(number: int) -> tuple[str, float]:
        time.sleep(max(0.0, start + number / rate - time.perf_counter()))
        return post(address, body)

    with ThreadPoolExecutor(CLIENTS) as pool:
        answers = list(pool.map(one, range(count)))
    offered = count / (time.perf_counter() - start)
    print(f"overload: {count} requests at {offered:.1f}/s (wanted {rate:.1f}/s)")
    for status, number in sorted(Counter(status for status, _ in answers).items()):
        times = [taken for own, taken in answers if own == status]
        print(f"  {status}: {number} ({number / count:.0%}), {spread(times)}")


def spread(times: list[float]) -> str:
    """Median, p95 and most."""
    p95 = statistics.quantiles(times, n=20)[-1] if len(times) > 1 else times[0]
    return f"median {statistics.median(times):.1f} ms, p95 {p95:.1f} ms, most {max(times):.1f} ms"


def memory(address: str, body: bytes, server: psutil.Process, count: int) -> None:
    """Print the server's resident memory along many requests."""
    with ThreadPoolExecutor(4) as pool:
        done = 0
        for goal in (count // 10, count // 2, count):
            list(pool.map(lambda _: post(address, body), range(goal - done)))
            done = goal
            print(f"memory after {done} requests: {server.memory_info().rss / 2**20:.1f} MiB")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--network", choices=SPECS, default="nano")
    parser.add_argument("--backend", choices=("torch", "onnx"), default="torch")
    parser.add_argument("--seconds", type=float, default=10, help="of each measure")
    parser.add_argument("--requests", type=int, default=5000, help="of the measure of memory")
    options = parser.parse_args()
    print(f"Python {platform.python_version()}, torch {torch.__version__}")
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}; {options.network}")
    body = photo()
    with tempfile.TemporaryDirectory() as folder:
        weights = Path(folder) / "detector.safetensors"
        save_detector(weights, build_detector(SPECS[options.network]))
        model = load_model(weights, options.backend)
        side = model.spec.input_size
        pixels = np.random.default_rng(0).integers(0, 256, (1, side, side, 3), np.uint8)
        print(f"network: {spread(timed(lambda: model.engine(pixels), options.seconds))}")
        whole = timed(lambda: examine(model, decode_upload(body, LIMITS)), options.seconds)
        print(f"from bytes: {spread(whole)}")
        command = [sys.executable, "-m", "yolo.cli", "demo", "--weights", str(weights)]
        command += ["--port", "0", "--backend", options.backend]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as running:
            try:
                assert running.stdout is not None
                address = running.stdout.readline().split()[0]
                closed_loop(address, body, 1, options.seconds)
                rate = closed_loop(address, body, ROOM, options.seconds)
                overload(address, body, 4 * rate, options.seconds)
                memory(address, body, psutil.Process(running.pid), options.requests)
            finally:
                running.terminate()
    print(f"load at the end {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
