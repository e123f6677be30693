"""What a training costs above the network itself, and what it reaches of the machine.

    .venv/bin/python -m benchmarks.training [--data ARCHIVE] [--preset NAME ...] [--width W]
                                            [--batch N] [--steps 4] [--rounds 6]

- Our step, the real loop from encoded images to the changed weights (decoding, augmentation,
  targets, loss, finite checks, logging), against a bare loop of forward, backward and optimiser on
  the same network and batch, with synthetic tensors that are there already and the mean square of
  the output as loss. Both run in this process in turns of `--steps` updates, `--rounds` times; the
  table has the medians. Time spent in saving states, at the default pace, is shown apart.
- Operations per second, those of the network's forward and twice as many backward, against the
  fastest matrix product of this machine in the same precision: on a GPU that is the MFU.
- The bare loop in other ways: another memory format, optimiser, or compiled.
- Targets and loss alone, forward and backward, against the usual form in a tutorial, Python loops
  over images and cells, on the same boxes; both must give the same loss.

`ARCHIVE` holds a detection set in VOC's layout; without it, images of 500 x 375 are drawn. A
preset runs as it is, but for `voc2012` on a CPU: at width 0.25 and batch 16.
Settings are those of a training: `YOLO_DEVICE`, `YOLO_THREADS`, `YOLO_WORKERS`.
"""

import argparse
import copy
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ruamel.yaml import YAML
from torch import Tensor, nn

from stages.project.preset import compose
from yolo.data.archives.reader import Archives
from yolo.data.download.tar_writer import write_tar
from yolo.data.formats import voc_xml
from yolo.data.formats.index import Limits
from yolo.data.formats.layouts import read_index
from yolo.data.loading.loader import BatchSampler
from yolo.data.store.clean_set import DETECTION_SCHEMA, CleanSet, write_classes, write_split
from yolo.data.store.images import decode, encode_jpeg, shrink
from yolo.data.synthetic.generate import detection_members
from yolo.data.synthetic.recipes import DetectionCounts, DetectionRecipe
from yolo.detection.boxes import iou
from yolo.detection.layout import outputs, split
from yolo.inspection.layer_table import layer_table
from yolo.model.classifier.classifier import ClassifierSpec
from yolo.model.detector.detector import Detector, DetectorSpec, build_detector
from yolo.model.network.layers import set_batch_norm_images
from yolo.params.base import parse
from yolo.params.detect_train import Loss
from yolo.params.root import Params
from yolo.runtime import settings as runtime
from yolo.training.detect_train.task import Detection, loss_on
from yolo.training.monitoring.tracking import Tracker
from yolo.training.trainer.checkpoint import StateFolder
from yolo.training.trainer.optimiser import set_rate, sgd
from yolo.training.trainer.trainer import Trainer

ON_A_CPU = {"voc2012": {"width": 0.25, "batch": 16}}
PICTURES = 64
RATE = 1e-6


def now(device: torch.device) -> float:
    """Seconds, when the device has done all that it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


# Data


def drawn(path: Path) -> None:
    """Write a set of images of VOC's usual size and of as many objects, 2.5 an image."""
    recipe = DetectionRecipe(
        seed=0,
        classes=["circle", "cross", "heart", "star"],
        images=DetectionCounts(train=PICTURES, val=4, test=1),
        min_side=375,
        max_side=500,
        min_scale=0.2,
        max_scale=0.6,
        max_objects=4,
    )
    write_tar(path, detection_members(recipe))


def clean_set(archive: Path, folder: Path, shorter_side: int | None) -> CleanSet:
    """The first images of an archive as a clean set, reduced as the preset says."""
    records, classes = [], set()
    with Archives(archive) as files:
        for entry in read_index(files, Limits()).records.values():
            if entry.image is None or entry.annotation is None or len(records) == PICTURES:
                continue
            data = files.read(entry.image)
            picture = decode(data, entry.name)
            objects = [o for o in voc_xml.parse(files.read(entry.annotation)).objects if o.box]
            if shorter_side is not None:
                data = encode_jpeg(shrink(picture, shorter_side))
            classes |= {o.name for o in objects}
            records.append((entry.name, data, picture.shape[1], picture.shape[0], objects))
    names = tuple(sorted(classes))
    rows = [
        {
            "name": name,
            "image": data,
            "width": width,
            "height": height,
            "boxes": [o.box for o in objects],
            "labels": [names.index(o.name) for o in objects],
            "difficult": [o.difficult == "1" for o in objects],
            "truncated": [o.truncated == "1" for o in objects],
        }
        for name, data, width, height, objects in records
    ]
    folder.mkdir()
    write_classes(folder, names)
    for part, own in (("train", rows), ("val", rows[:4])):
        write_split(folder, part, DETECTION_SCHEMA, len(own), own)
    return CleanSet(folder)


# Our step and the bare one


class Bare:
    """Forward, backward and optimiser, and nothing else."""

    def __init__(
        self,
        network: nn.Module,
        spec: DetectorSpec | ClassifierSpec,
        batch: int,
        autocast: Callable[[], AbstractContextManager[Any]],
        *,
        memory_format: torch.memory_format = torch.channels_last,
        optimiser: Callable[[nn.Module], torch.optim.Optimizer] | None = None,
        compiled: bool = False,
    ) -> None:
        device = next(network.parameters()).device
        network = copy.deepcopy(network).to(memory_format=memory_format).train()
        self._optimiser = (
            optimiser(network) if optimiser else sgd(network, momentum=0.9, decay=0.0005)
        )
        set_rate(self._optimiser, RATE)
        self._network = torch.compile(network) if compiled else network
        images = torch.rand(batch, 3, spec.input_size, spec.input_size, device=device)
        self._images = images.contiguous(memory_format=memory_format)
        self._autocast = autocast

    def step(self) -> None:
        with self._autocast():
            loss = self._network(self._images).float().square().mean()
        loss.backward()
        self._optimiser.step()
        self._optimiser.zero_grad(set_to_none=True)


class Saves(StateFolder):
    """A state folder with a clock."""

    seconds: list[float]
    size = 0
    """Bytes of the last state."""

    def save(self, state: dict[str, Any]) -> None:
        begun = time.perf_counter()
        super().save(state)
        self.seconds.append(time.perf_counter() - begun)
        self.size = (self.path / "state.pt").stat().st_size


class Turns:
    """Our training and the bare loop, a few updates each; a `Task` of the trainer."""

    def __init__(self, task: Detection, bare: Bare, folder: Saves, steps: int, skip: int) -> None:
        self._task, self._bare, self._folder = task, bare, folder
        self._steps, self._skip = steps, skip
        self.ours: list[float] = []
        self.bare: list[float] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._task, name)

    def batches(self, sampler: BatchSampler, workers: int, device: torch.device) -> Iterator[Any]:
        """Our batches; what passes between a turn's first and the end of its last is ours."""
        loaded = iter(self._task.batches(sampler, workers, device))
        while True:
            for _ in range(self._skip):
                yield next(loaded)
            saves = len(self._folder.seconds)
            begun = now(device)
            for _ in range(self._steps):
                yield next(loaded)
            spent = now(device) - begun - sum(self._folder.seconds[saves:])
            self.ours.append(spent / self._steps)
            self._bare.step()
            begun = now(device)
            for _ in range(self._steps):
                self._bare.step()
            self.bare.append((now(device) - begun) / self._steps)

    def validate(self, model: nn.Module) -> dict[str, float]:
        return {self._task.metric: 0.0}

    def examples(self) -> tuple[()]:
        return ()


def take_turns(
    params: Params, task: Detection, bare: Bare, settings: runtime.Runtime, steps: int, rounds: int
) -> tuple[Turns, Saves, float]:
    """Train `rounds` turns after one that warms up; also the seconds of all of it."""
    # what workers have loaded during the bare turn must be used up before ours is timed
    skip = 1 + 4 * settings.workers
    batches = (rounds + 1) * (steps + skip)
    block = params.detect_train
    with tempfile.TemporaryDirectory() as folder:
        saves = Saves(Path(folder), "benchmark")
        saves.seconds = []
        turns: Any = Turns(task, bare, saves, steps, skip)
        tracker = Tracker(saves.path, "disabled", "benchmark", {})
        schedule = block.optimisation.schedule.model_copy(update={"learning_rate": RATE})
        optimisation = block.optimisation.model_copy(
            update={"batches": batches, "schedule": schedule}
        )
        begun = time.perf_counter()
        Trainer(
            turns,
            optimisation,
            seed=block.seed,
            validate_every=batches,
            folder=saves,
            runtime=settings,
            tracker=tracker,
        ).run("last")
        tracker.close()
        return turns, saves, time.perf_counter() - begun


# The machine


def matrix_peak(device: torch.device, kind: torch.dtype) -> float:
    """Operations per second of the fastest matrix product found."""
    best = 0.0
    for side in (512, 1024, 2048, 4096) if device.type == "cpu" else (4096, 8192, 16384):
        left, right = (torch.randn(side, side, device=device, dtype=kind) for _ in range(2))
        for _ in range(4):
            begun = now(device)
            torch.mm(left, right)
            best = max(best, 2 * side**3 / (now(device) - begun))
    return best


def ways(
    network: nn.Module, spec: DetectorSpec, batch: int, autocast: Any, steps: int, rounds: int
) -> dict[str, list[float]]:
    """Seconds of a bare step done in other ways, in turns."""

    def plain(**options: Any) -> Callable[[nn.Module], torch.optim.Optimizer]:
        return lambda model: torch.optim.SGD(
            model.parameters(), lr=RATE, momentum=0.9, weight_decay=0.0005, **options
        )

    device = next(network.parameters()).device
    contenders = {
        "channels last, fused optimiser (ours)": Bare(network, spec, batch, autocast),
        "contiguous": Bare(network, spec, batch, autocast, memory_format=torch.contiguous_format),
        "optimiser as a loop over tensors": Bare(
            network, spec, batch, autocast, optimiser=plain(foreach=False)
        ),
        "optimiser over lists of tensors": Bare(
            network, spec, batch, autocast, optimiser=plain(foreach=True)
        ),
        "torch.compile": Bare(network, spec, batch, autocast, compiled=True),
    }
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    for number in range(rounds + 1):
        for name, contender in contenders.items():
            begun = now(device)
            for _ in range(steps):
                contender.step()
            if number:  # the first round warms up and compiles
                seconds[name].append((now(device) - begun) / steps)
    return seconds


# Targets and loss


def tutorial_loss(prediction: Tensor, rows: Tensor, spec: DetectorSpec, scales: Loss) -> Tensor:
    """Targets and loss as tutorials write them: loops over boxes, images and cells."""
    grid, images, classes = spec.grid, len(prediction), len(spec.classes)
    truth = torch.zeros(images, grid, grid, 5 + classes, device=prediction.device)
    for number, label, cx, cy, w, h in rows.tolist():
        column, row = min(int(cx * grid), grid - 1), min(int(cy * grid), grid - 1)
        cell = truth[int(number), row, column]
        if cell[0] == 0:
            cell[0] = 1
            cell[1 + int(label)] = 1
            cell[-4:] = torch.tensor([cx * grid - column, cy * grid - row, w, h])
    scores, confidence, coordinates = split(
        prediction, grid=grid, boxes=spec.boxes, classes=classes
    )
    loss = prediction.new_zeros(())
    for image in range(images):
        for place in range(grid * grid):
            cell = truth[image, place // grid, place % grid]
            sure, boxes = confidence[image, place], coordinates[image, place]
            if cell[0] == 0:
                loss = loss + scales.noobject_scale * sure.square().sum()
                continue
            overlaps = []
            for box in boxes.detach():
                predicted = torch.cat((box[:2] / grid, box[2:].square()))
                true = torch.cat((cell[-4:-2] / grid, cell[-2:]))
                overlaps.append(iou(predicted, true))
            best = int(torch.stack(overlaps).argmax())
            for number in range(spec.boxes):
                if number != best:
                    loss = loss + scales.noobject_scale * sure[number].square()
            error = boxes[best] - torch.cat((cell[-4:-2], cell[-2:].sqrt()))
            loss = loss + scales.coord_scale * error.square().sum()
            loss = loss + scales.object_scale * (sure[best] - overlaps[best]).square()
            class_error = scores[image, place] - cell[1 : 1 + classes]
            loss = loss + scales.class_scale * class_error.square().sum()
    return loss / 2 / images


def time_losses(spec: DetectorSpec, scales: Loss, batch: int, device: torch.device) -> list[float]:
    """Seconds of ours and the tutorial's, the median of seven each."""
    rng = np.random.default_rng(0)
    objects = 3 * batch
    rows = np.column_stack(
        [
            np.repeat(np.arange(batch), 3),
            rng.integers(0, len(spec.classes), objects),
            rng.random((objects, 2)),
            rng.uniform(0.3, 0.9, (objects, 2)),
        ]
    )
    boxes = torch.tensor(rows, dtype=torch.float32, device=device)
    # 0.6 to 1 of everything: roots of sides so large that every box meets its cell's object, for
    # the tutorial has no rule for those that do not
    count = outputs(grid=spec.grid, boxes=spec.boxes, classes=len(spec.classes))
    prediction = torch.rand(batch, count, device=device) * 0.4 + 0.6
    prediction.requires_grad_()
    results, medians = [], []
    for loss in (lambda *on: loss_on(*on).total, tutorial_loss):
        seconds, values = [], []
        for _ in range(8):
            prediction.grad = None
            begun = now(device)
            value = loss(prediction, boxes, spec, scales)
            value.backward()
            seconds.append(now(device) - begun)
            values.append(value.detach())
        results.append((values[-1], prediction.grad))
        medians.append(statistics.median(seconds[1:]))
    torch.testing.assert_close(*results, rtol=1e-4, atol=1e-6)
    return medians


# Report


def measure(name: str, archive: Path, options: argparse.Namespace, folder: Path) -> None:
    """Print the tables of one preset."""
    params = parse(Params, YAML(typ="safe", pure=True).load(compose(name)), name)
    settings = runtime.from_environment()
    on_cpu = settings.device == "cpu" or not torch.cuda.is_available()
    asked = {"width": options.width, "batch": options.batch}
    changed = (ON_A_CPU.get(name, {}) if on_cpu else {}) | {k: v for k, v in asked.items() if v}
    model, block = params.model, params.detect_train
    batch = int(changed.get("batch", block.optimisation.batch))
    optimisation = block.optimisation.model_copy(update={"batch": batch})
    block = block.model_copy(update={"optimisation": optimisation})
    params = params.model_copy(update={"detect_train": block})
    clean = clean_set(archive, folder, params.data.detection.shorter_side)
    spec = DetectorSpec(
        model.network,
        changed.get("width", model.width),
        model.input_size,
        model.grid,
        model.boxes,
        clean.classes,
    )
    detector = build_detector(spec, 0, model.head)
    set_batch_norm_images(detector, optimisation.batch_norm_images)
    torch.set_num_threads(settings.threads)
    device = torch.device("cpu" if on_cpu else "cuda")
    detector.to(device)
    kind = torch.bfloat16 if optimisation.precision == "bf16" else torch.float32

    def autocast() -> AbstractContextManager[Any]:
        return torch.autocast(device.type, torch.bfloat16, enabled=kind == torch.bfloat16)

    title = f"{name}: {spec.network}, width {spec.width:g}, {spec.input_size} px, batch {batch}"
    print(f"\n## {title}, {optimisation.precision} on {device.type}\n", flush=True)
    task, bare = Detection(detector, clean, block), Bare(detector, spec, batch, autocast)
    turns, saves, whole = take_turns(params, task, bare, settings, options.steps, options.rounds)
    peak = matrix_peak(device, kind)
    flops = 3 * batch * operations(detector, spec)
    _print_steps(turns, batch, flops, peak)
    spent = sum(saves.seconds)
    print(
        f"\n{len(saves.seconds)} states of {saves.size / 2**20:.0f} MiB saved in {whole:.0f} s of "
        f"training: {spent:.2f} s, {spent / whole:.1%} of the time",
        flush=True,
    )
    ours, tutorial = time_losses(spec, block.loss, batch, device)
    print(
        f"\nTargets and loss, forward and backward: {ours * 1000:.2f} ms; as loops over images and "
        f"cells {tutorial * 1000:.1f} ms, {tutorial / ours:.0f} times as long",
        flush=True,
    )
    if options.ways:
        found = ways(detector, spec, batch, autocast, options.steps, options.rounds)
        base = statistics.median(next(iter(found.values())))
        print("\n| bare loop | ms a step | of ours |\n|---|---:|---:|")
        for way, seconds in found.items():
            median = statistics.median(seconds)
            print(f"| {way} | {median * 1000:.1f} | {median / base:.3f} |")


def operations(detector: Detector, spec: DetectorSpec) -> int:
    return sum(row.flops for row in layer_table(detector, spec.input_size))


def _print_steps(turns: Turns, batch: int, flops: float, peak: float) -> None:
    """The table of both loops; the first round, which warms up, left out."""
    pairs = list(zip(turns.bare, turns.ours, strict=False))[1:]
    share = statistics.median(bare / ours for bare, ours in pairs)
    print(f"| {len(pairs)} turns | images/s | of the bare loop | GFLOP/s | of the peak |")
    print("|---|---:|---:|---:|---:|")
    for name, seconds, part in (
        ("bare loop", [pair[0] for pair in pairs], 1.0),
        ("our training", [pair[1] for pair in pairs], share),
    ):
        step = statistics.median(seconds)
        print(
            f"| {name} | {batch / step:.1f} | {part:.1%} | {flops / step / 1e9:.0f} | "
            f"{flops / step / peak:.1%} |"
        )
    print(f"| matrix product | | | {peak / 1e9:.0f} | 100% |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("--data", type=Path)
    parser.add_argument("--preset", nargs="+", default=["voc2012", "custom"])
    parser.add_argument("--width", type=float)
    parser.add_argument("--batch", type=int)
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--ways", action="store_true", help="time other ways, too")
    options = parser.parse_args()
    settings = runtime.from_environment()
    versions = ", ".join(f"{name} {version(name)}" for name in ("torch", "accelerate", "numpy"))
    load = ", ".join(f"{number:.1f}" for number in os.getloadavg())
    print(f"Python {platform.python_version()}, {versions}; load of the machine {load}")
    print(f"{settings.threads} threads, {settings.workers} workers", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        archive = options.data or Path(folder) / "drawn.tar"
        if options.data is None:
            drawn(archive)
        for name in options.preset:
            measure(name, archive, options, Path(folder) / name)


if __name__ == "__main__":
    main()
