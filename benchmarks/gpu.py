"""What a GPU makes of this project: tests, speed, hours and price of the presets, the demo.

    .venv/bin/python -m benchmarks.gpu [--minutes 8] [--price PER_HOUR] [--parts tests speed demo]

It needs a clone after `make setup` and no network. In an environment of your own the parts `tests`
and `speed` need the packages torch, torchvision, accelerate, numpy, opencv-python-headless,
simplejpeg, pyarrow, pydantic, ruamel.yaml, safetensors, tqdm, defusedxml, pillow and pytest; `demo`
needs all of `requirements.lock`.

- tests: those marked `gpu`, by pytest.
- speed: per preset the bare loop and our training in turns (`benchmarks/training.py`), images a
  second; the operations per second against the device's peak (dense, in the preset's precision,
  from a table; else the fastest matrix product found); what one core of the host decodes, and how
  many cores keep the bare loop busy; the bare loop contiguous, compiled, and as a CUDA graph.
  A preset's hours are its updates at these rates, validation left out; its pre-training runs at the
  rate of a bare classifier times our share. `--price` (else `YOLO_PRICE_PER_HOUR`) gives what they
  cost.
- demo: `dvc repro` in a fresh clone of the last commit.

Writes `build/gpu.md` and `build/gpu.json`. What `--minutes` leaves no time for is named as not run.
`--small` shrinks networks and images, so that a CPU shows within a minute that it all runs.
"""

import argparse
import json
import math
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from ruamel.yaml import YAML
from torch import nn

from benchmarks.training import (
    Bare,
    clean_set,
    drawn,
    matrix_peak,
    now,
    operations,
    take_turns,
)
from stages.project.preset import compose
from yolo.data.loading.loader import BatchSampler, SampleOrder
from yolo.data.store.clean_set import CleanSet
from yolo.model.classifier.classifier import ClassifierSpec, build_classifier
from yolo.model.detector.detector import DetectorSpec, build_detector
from yolo.model.network.layers import set_batch_norm_images
from yolo.params.base import parse
from yolo.params.root import Params
from yolo.runtime import settings as runtime
from yolo.runtime.device import pick_device
from yolo.training.detect_train.task import Detection

ROOT = Path(__file__).resolve().parent.parent
PRESETS = ("voc2012", "paper", "resnet50", "fast", "custom", "demo")
"""yolov1-darknet, yolov1, resnet50, yolov1-fast and the networks of the defaults."""
PRICED = ("voc2012", "paper", "fast", "resnet50")
PEAKS = {
    # dense operations per second in bf16 and in fp32 without tensor cores, from data sheets
    "H200": (989e12, 67e12),
    "H100": (989e12, 67e12),
    "A100": (312e12, 19.5e12),
    "L40S": (362e12, 91.6e12),
    "L4": (121e12, 30.3e12),
    "A10": (125e12, 31.2e12),
    "RTX 4090": (165e12, 82.6e12),
    "RTX 3090": (71e12, 35.6e12),
}


@dataclass(frozen=True)
class Options:
    """What `--small` and the device decide."""

    device: torch.device
    small: bool
    deadline: float

    @property
    def left(self) -> float:
        """Seconds until the time is up."""
        return self.deadline - time.monotonic()


def peak_of(name: str, is_bf16: bool) -> float | None:
    """Of a device by its name; the longest entry that the name holds."""
    words = name.replace("-", " ").split()
    for key in sorted(PEAKS, key=len, reverse=True):
        if all(word in words for word in key.split()):
            return PEAKS[key][0 if is_bf16 else 1]
    return None


# Tests


def run_tests(options: Options) -> dict[str, Any]:
    """Counts of the tests marked `gpu`, and the names of those that failed."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "tests.xml"
        command = [sys.executable, "-m", "pytest", "-m", "gpu", f"--junitxml={report}"]
        folders = ["tests/data/loading", "tests/training"]
        status, seconds = _timed([*command, *folders], ROOT, options.left)
        if not report.is_file():
            return {"status": status, "seconds": seconds}
        suite = ElementTree.parse(report).getroot().find("testsuite")
        assert suite is not None
        failed = [case.get("name") for case in suite.iter("testcase") if list(case.iter("failure"))]
        counts = {key: int(suite.get(key, 0)) for key in ("tests", "failures", "errors", "skipped")}
    return {"status": status, "seconds": seconds, **counts, "failed": failed}


def run_demo(options: Options) -> dict[str, Any]:
    """Seconds of the demo from a clone to its report; with `small` of its first stage alone."""
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(["git", "clone", "--quiet", str(ROOT), folder], check=True)
        command = [sys.executable, "-m", "dvc", "repro", "--no-commit"]
        only = ["download@detection"] if options.small else []
        # the stages' command is .venv/bin/python
        (Path(folder) / ".venv").symlink_to(Path(sys.prefix), target_is_directory=True)
        status, seconds = _timed([*command, *only], Path(folder), options.left)
        metrics = Path(folder) / "reports/evaluate/metrics.json"
        found = json.loads(metrics.read_text()) if metrics.is_file() and not options.small else {}
    return {"status": status, "seconds": seconds, "metrics": found}


def _timed(command: list[str], folder: Path, limit: float) -> tuple[str, float]:
    begun = time.monotonic()
    try:
        done = subprocess.run(command, cwd=folder, timeout=max(1.0, limit), check=False)
    except subprocess.TimeoutExpired:
        return "the time was up", time.monotonic() - begun
    return f"exit status {done.returncode}", time.monotonic() - begun


# Speed


class Graphed:
    """A bare step as one CUDA graph."""

    def __init__(self, bare: Bare) -> None:
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(3):
                bare.step()
        torch.cuda.current_stream().wait_stream(stream)
        self._graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self._graph):
            bare.step()

    def step(self) -> None:
        self._graph.replay()


def images_per_second(step: Callable[[], None], batch: int, options: Options) -> float:
    """Of the median of some steps, after two that warm up."""
    seconds = []
    for number in range(4 if options.small else 12):
        begun = now(options.device)
        step()
        if number > 1:
            seconds.append(now(options.device) - begun)
    return batch / statistics.median(seconds)


def measure(name: str, archive: Path, folder: Path, options: Options) -> dict[str, Any]:
    """One preset."""
    params = parse(Params, YAML(typ="safe", pure=True).load(compose(name, ROOT / "presets")), name)
    params = _shrunk(params) if options.small else params
    model, optimisation = params.model, params.detect_train.optimisation
    settings, device = runtime.from_environment(), options.device
    clean = clean_set(archive, folder, params.data.detection.shorter_side)
    spec = DetectorSpec(
        model.network, model.width, model.input_size, model.grid, model.boxes, clean.classes
    )
    detector = build_detector(spec, 0, model.head)
    detector.freeze(params.detect_train.frozen_stages)
    set_batch_norm_images(detector, optimisation.batch_norm_images)
    detector.to(device)
    torch.set_num_threads(settings.threads)
    is_bf16, batch = optimisation.precision == "bf16", optimisation.batch

    def autocast() -> AbstractContextManager[Any]:
        return torch.autocast(device.type, torch.bfloat16, enabled=is_bf16)

    def bare(**how: Any) -> Bare:
        return Bare(detector, spec, batch, autocast, **how)

    task = Detection(detector, clean, params.detect_train)
    steps, rounds = (1, 2) if options.small else (5, 4)
    turns, _, _ = take_turns(params, task, bare(), settings, steps, rounds)
    pairs = list(zip(turns.bare, turns.ours, strict=False))[1:]
    rates = [batch / statistics.median(column) for column in zip(*pairs, strict=True)]
    share = statistics.median(bare_step / own for bare_step, own in pairs)
    device_name = torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU"
    peak = peak_of(device_name, is_bf16) or matrix_peak(
        device, torch.bfloat16 if is_bf16 else torch.float32
    )
    loaded = loader_rate(task, optimisation.batch, clean, device)
    found: dict[str, Any] = {
        "network": f"{spec.network}, width {spec.width:g}, {spec.input_size} px, batch {batch}",
        "precision": optimisation.precision,
        "bare": rates[0],
        "ours": rates[1],
        "share": share,
        "mfu": 3 * operations(detector, spec) * rates[1] / peak,
        "loader_per_core": loaded,
        "cores_to_keep_busy": math.ceil(rates[0] / loaded),
        "ways": ways(bare, batch, options),
    }
    if name in PRICED:
        found["hours"] = hours(params, found, autocast, options)
    return found


def ways(bare: Callable[..., Bare], batch: int, options: Options) -> dict[str, float | str]:
    """Images a second of the bare loop done in other ways, or why one cannot be."""
    makers: dict[str, Callable[[], Any]] = {
        "eager, channels last (ours)": bare,
        "eager, contiguous": lambda: bare(memory_format=torch.contiguous_format),
    }
    if options.device.type == "cuda":
        makers["torch.compile, channels last"] = lambda: bare(compiled=True)
        makers["CUDA graph, channels last"] = lambda: Graphed(bare())
    found: dict[str, float | str] = {}
    for name, make in makers.items():
        try:
            found[name] = images_per_second(make().step, batch, options)
        except Exception as error:  # a compiler or a driver may lack anything
            found[name] = f"{type(error).__name__}: {str(error).splitlines()[0][:100]}"
    return found


def loader_rate(task: Detection, batch: int, clean: CleanSet, device: torch.device) -> float:
    """Images a second that one core loads for the device."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        sampler = BatchSampler(SampleOrder(len(clean.split("train")), 0), 1, 3, batch, batch)
        loaded: Iterable[Any] = task.batches(sampler, 0, device)
        begun = time.perf_counter()
        count = sum(len(one.names) for one in loaded)
        return count / (time.perf_counter() - begun)
    finally:
        torch.set_num_threads(threads)


def hours(params: Params, found: dict[str, Any], autocast: Any, options: Options) -> float:
    """Of both trainings of a preset."""
    block = params.detect_train.optimisation
    seconds = block.batch * block.batches / found["ours"]
    if params.pretrain.weights.source is None:
        model, own = params.model, params.pretrain.optimisation
        names = tuple(str(number) for number in range(10 if options.small else 1000))
        spec = ClassifierSpec(model.network, model.width, params.pretrain.input_size, names)
        network: nn.Module = build_classifier(spec).to(options.device)
        set_batch_norm_images(network, own.batch_norm_images)
        rate = images_per_second(Bare(network, spec, own.batch, autocast).step, own.batch, options)
        seconds += own.batch * own.batches / (rate * min(1.0, found["share"]))
    return seconds / 3600


def _shrunk(params: Params) -> Params:
    """The same preset with a network of seconds."""

    def small(block: Any) -> Any:
        changes = {"batch": 2, "batch_norm_images": 2, "precision": "fp32"}
        changed = block.optimisation.model_copy(update=changes)
        return block.model_copy(update={"optimisation": changed})

    model = params.model.model_copy(
        update={"network": "nano", "width": 0.25, "input_size": 64, "grid": 4, "head": None}
    )
    detection = params.data.detection.model_copy(update={"shorter_side": 96})
    return params.model_copy(
        update={
            "model": model,
            "pretrain": small(params.pretrain).model_copy(update={"input_size": 64}),
            "detect_train": small(params.detect_train).model_copy(update={"frozen_stages": 0}),
            "data": params.data.model_copy(update={"detection": detection}),
        }
    )


# Report


def markdown(results: dict[str, Any]) -> str:
    """The results as tables."""
    lines = [f"# {results['device']}", "", results["versions"], ""]
    for part in ("tests", "demo"):
        if part in results:
            shown = ", ".join(f"{key} {value}" for key, value in results[part].items())
            lines += [f"{part}: {shown}", ""]
    rows, price = results.get("speed", {}), results["price_per_hour"]
    if rows:
        lines += [
            "| preset | network | bare, images/s | ours | share | MFU | loader, images/s a core | "
            "cores to keep busy | hours | price |",
            "|---|---|---:|---:|---:|---:|---:|---:|---:|---:|",
        ]
    for name, row in rows.items():
        if isinstance(row, str):
            lines.append(f"| {name} | {row} | | | | | | | | |")
            continue
        spent = row.get("hours")
        cost = f"{spent * price:.2f}" if spent is not None and price is not None else ""
        lines.append(
            f"| {name} | {row['network']}, {row['precision']} | {row['bare']:.0f} | "
            f"{row['ours']:.0f} | {row['share']:.1%} | {row['mfu']:.1%} | "
            f"{row['loader_per_core']:.0f} | {row['cores_to_keep_busy']} | "
            f"{'' if spent is None else f'{spent:.1f}'} | {cost} |"
        )
    for name, row in rows.items():
        if not isinstance(row, str):
            lines += ["", f"{name}, the bare loop in other ways, images/s:", ""]
            for way, rate in row["ways"].items():
                lines.append(f"- {way}: {rate if isinstance(rate, str) else f'{rate:.0f}'}")
    return "\n".join(lines) + "\n"


def run(
    parts: list[str], presets: list[str], price: float | None, options: Options
) -> dict[str, Any]:
    """All results, by part."""
    device = options.device
    results: dict[str, Any] = {
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else str(device),
        "versions": f"Python {platform.python_version()}, torch {torch.__version__}, "
        f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}",
        "price_per_hour": price,
        "small": options.small,
    }
    if "tests" in parts:
        results["tests"] = run_tests(options)
    if "speed" in parts:
        with tempfile.TemporaryDirectory() as folder:
            archive = Path(folder) / "drawn.tar"
            drawn(archive)
            rows = results["speed"] = {}
            for name in presets:
                if options.left <= 0:
                    rows[name] = "not run: the time was up"
                    continue
                try:
                    rows[name] = measure(name, archive, Path(folder) / name, options)
                except torch.OutOfMemoryError:
                    rows[name] = "not run: too little memory for its batch"
                    torch.cuda.empty_cache()
                print(name, rows[name], file=sys.stderr, flush=True)
    if "demo" in parts:
        is_late = options.left <= 0
        results["demo"] = {"status": "the time was up"} if is_late else run_demo(options)
    return results


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="What a GPU makes of this project.")
    parser.add_argument("--minutes", type=float, default=8.0)
    parser.add_argument("--price", type=float, default=runtime.from_environment().price_per_hour)
    parser.add_argument("--parts", nargs="+", default=["tests", "speed", "demo"])
    parser.add_argument("--presets", nargs="+", default=list(PRESETS), choices=PRESETS)
    parser.add_argument("--out", type=Path, default=ROOT / "build")
    parser.add_argument("--small", action="store_true")
    asked = parser.parse_args(arguments)
    device = pick_device("auto")
    if device.type == "cpu" and not asked.small:
        parser.error("there is no GPU here; --small shows on a CPU that everything runs")
    deadline = time.monotonic() + 60 * asked.minutes
    options = Options(device, asked.small, deadline)
    results = run(asked.parts, asked.presets, asked.price, options)
    asked.out.mkdir(parents=True, exist_ok=True)
    (asked.out / "gpu.json").write_text(json.dumps(results, indent=2) + "\n")
    (asked.out / "gpu.md").write_text(markdown(results))
    print(markdown(results))


if __name__ == "__main__":
    main()
