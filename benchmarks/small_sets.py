"""The project's detector beside YOLOv8n from scratch, on one small set, in the same minutes.

    make bench-setup
    .venv/bin/dvc repro extract_backbone                # the clean set and the backbone
    .venv/bin/python -m benchmarks.small_sets [--seeds 0 1 2] [--minutes M]

Run it in a project whose `params.yaml` names the set. Ours is the training of stage `detect_train`
with these parameters, from `models/backbone.safetensors`; its seconds, validation included, are
what YOLOv8n gets, or `--minutes` is. YOLOv8n (ultralytics, AGPL-3.0: in the extra `bench` only,
never a dependency) starts from random weights, with its own augmentation and defaults, at the
nearest input size of its own. Both train on the training split, choose their best weights on the
validation split, and are scored by `yolo.metrics.voc_ap` on the test split. Both read the images
that the clean set holds.

Settings are those of a training: `YOLO_DEVICE`, `YOLO_THREADS`, `YOLO_WORKERS`.
"""

import argparse
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
import yaml

from stages.detect_train import BACKBONE, CLEAN, Inputs
from yolo.data.store import images
from yolo.data.store.clean_set import CleanSet, Split
from yolo.metrics.inputs import read_truth, to_columns
from yolo.metrics.voc_ap import score
from yolo.model.detector.detector import DetectorSpec, build_detector
from yolo.model.detector.predict import Detected, detect
from yolo.model.detector.warm_start import load_backbone
from yolo.model.network.layers import set_batch_norm_images
from yolo.params.base import parse, read_document
from yolo.runtime import settings as runtime
from yolo.training.detect_train.augment_boxes import from_voc
from yolo.training.detect_train.task import Detection
from yolo.training.monitoring.tracking import Tracker
from yolo.training.trainer.checkpoint import StateFolder
from yolo.training.trainer.trainer import Trainer

SCORE_THRESHOLD = 0.001
YOLOV8_STRIDE = 32


def ours(clean: CleanSet, inputs: Inputs, seed: int, nms_iou: float) -> tuple[float, float]:
    """Test mAP (VOC 2007) of our training with this seed, and its seconds."""
    params = inputs.detect_train
    spec = DetectorSpec(
        inputs.network, inputs.width, inputs.input_size, inputs.grid, inputs.boxes, clean.classes
    )
    detector = build_detector(spec, seed, inputs.head)
    load_backbone(detector, BACKBONE)
    detector.freeze(params.frozen_stages)
    set_batch_norm_images(detector, params.optimisation.batch_norm_images)
    task = Detection(detector, clean, params.model_copy(update={"seed": seed}))
    begun = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        tracker = Tracker(Path(folder), "disabled", "benchmark", {})
        result = Trainer(
            task,
            params.optimisation,
            seed=seed,
            validate_every=params.validation.every,
            folder=StateFolder(Path(folder) / "runs", "benchmark"),
            runtime=runtime.from_environment(),
            tracker=tracker,
        ).run(params.keep)
        tracker.close()
    seconds = time.perf_counter() - begun
    detector.load_state_dict(result.weights, strict=False)
    test = clean.split("test")
    found = detect(
        detector,
        (images.decode(test.image(index), test.name(index)) for index in range(len(test))),
        score_threshold=SCORE_THRESHOLD,
        nms_iou=nms_iou,
        sizes=[test.size(index) for index in range(len(test))],
    )
    return test_map(found, test, len(clean.classes)), seconds


def test_map(found: Sequence[Detected], test: Split, classes: int) -> float:
    """VOC 2007 mAP."""
    return score(to_columns(found), read_truth(test), classes).voc07_map


def export(clean: CleanSet, folder: Path) -> Path:
    """Write the clean set as ultralytics reads it; return its description."""
    for name in ("train", "val", "test"):
        split = clean.split(name)
        for kind in ("images", "labels"):
            (folder / kind / name).mkdir(parents=True)
        for index in range(len(split)):
            data = bytes(split.image(index))
            suffix = ".png" if data.startswith(b"\x89PNG") else ".jpg"
            (folder / "images" / name / f"{index:06}{suffix}").write_bytes(data)
            rows = from_voc(split.boxes(index), split.labels(index), *split.size(index))
            rows = rows[~split.difficult(index)]
            lines = [f"{int(label)} {' '.join(f'{v:.6f}' for v in box)}" for label, *box in rows]
            label = folder / "labels" / name / f"{index:06}.txt"
            label.write_text("".join(f"{line}\n" for line in lines))
    description = folder / "set.yaml"
    content = {
        "path": str(folder),
        **{name: f"images/{name}" for name in ("train", "val", "test")},
        "names": dict(enumerate(clean.classes)),
    }
    description.write_text(yaml.safe_dump(content))
    return description


def yolov8(clean: CleanSet, size: int, seed: int, seconds: float) -> tuple[float, float]:
    """Test mAP (VOC 2007) of YOLOv8n trained from scratch for so long, and its seconds."""
    size = round(size / YOLOV8_STRIDE) * YOLOV8_STRIDE
    threads = str(runtime.from_environment().threads)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        description = export(clean, folder / "set")
        environment = {key: value for key, value in os.environ.items() if key[:5] != "YOLO_"}
        environment |= {
            "YOLO_CONFIG_DIR": name,
            "YOLO_OFFLINE": "true",
            "YOLO_AUTOINSTALL": "false",
            "WANDB_MODE": "disabled",
            "PYTHONPATH": str(Path(__file__).resolve().parent.parent),
            "OMP_NUM_THREADS": threads,
        }
        own = [sys.executable, "-m", __spec__.name, "--yolov8", str(description)]
        begun = time.perf_counter()
        subprocess.run(
            [*own, str(size), str(seed), str(seconds), str(folder / "found.npz")],
            env=environment,
            cwd=folder,
            check=True,
            stdout=sys.stderr,
        )
        spent = time.perf_counter() - begun
        test = clean.split("test")
        with np.load(folder / "found.npz") as file:
            found = []
            for index in range(len(test)):
                width, height = test.size(index)
                # relative corners to 1-based pixels of the published image, as ours
                corners = file[f"boxes_{index}"].reshape(-1, 4) * ([width, height] * 2) + 1
                boxes = np.clip(corners, 1, [width, height] * 2).astype(np.float32)
                labels = file[f"labels_{index}"].astype(np.int64)
                found.append(Detected(boxes, file[f"scores_{index}"], labels))
        return test_map(found, test, len(clean.classes)), spent


def train_yolov8(description: str, size: str, seed: str, seconds: str, out: str) -> None:
    """In a process of its own: train, then detect in the test images."""
    from ultralytics import YOLO  # pyright: ignore[reportMissingImports]

    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    model = YOLO("yolov8n.yaml")
    device = "0" if torch.cuda.is_available() else "cpu"
    model.train(
        data=description,
        imgsz=int(size),
        time=float(seconds) / 3600,
        seed=int(seed),
        device=device,
        pretrained=False,
        workers=0,
        plots=False,
        project=str(Path(out).parent),
        name="run",
        verbose=False,
    )
    best = YOLO(str(Path(out).parent / "run" / "weights" / "best.pt"))
    arrays = {}
    files = sorted((Path(description).parent / "images" / "test").iterdir())
    for index, file in enumerate(files):
        (result,) = best.predict(
            str(file), imgsz=int(size), conf=SCORE_THRESHOLD, device=device, verbose=False
        )
        arrays[f"boxes_{index}"] = result.boxes.xyxyn.cpu().numpy()
        arrays[f"scores_{index}"] = result.boxes.conf.cpu().numpy()
        arrays[f"labels_{index}"] = result.boxes.cls.cpu().numpy()
    np.savez(out, **arrays)


def main() -> None:
    if sys.argv[1:2] == ["--yolov8"]:
        train_yolov8(*sys.argv[2:])
        return
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--minutes", type=float, help="for YOLOv8n; by default what ours took")
    options = parser.parse_args()
    document = read_document()
    inputs, clean = parse(Inputs, document), CleanSet(CLEAN)
    settings = runtime.from_environment()
    versions = ", ".join(f"{name} {version(name)}" for name in ("torch", "ultralytics"))
    load = ", ".join(f"{number:.1f}" for number in os.getloadavg())
    sizes = ", ".join(f"{name} {len(clean.split(name))}" for name in ("train", "val", "test"))
    print(f"Python {platform.python_version()}, {versions}; load of the machine {load}")
    print(f"{settings.threads} threads; {len(clean.classes)} classes; images: {sizes}\n")
    print("| seed | ours | seconds | YOLOv8n from scratch | seconds |\n|---|---:|---:|---:|---:|")
    rows = []
    for seed in options.seeds:
        mean, spent = ours(clean, inputs, seed, document["evaluate"]["nms_iou"])
        budget = 60 * options.minutes if options.minutes else spent
        other, other_spent = yolov8(clean, inputs.input_size, seed, budget)
        rows.append((mean, other))
        print(
            f"| {seed} | {mean:.1%} | {spent:.0f} | {other:.1%} | {other_spent:.0f} |", flush=True
        )
    means = [statistics.mean(column) for column in zip(*rows, strict=True)]
    print(f"| mean | {means[0]:.1%} | | {means[1]:.1%} | |")


if __name__ == "__main__":
    main()
