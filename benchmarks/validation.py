"""How fast a VOC-like set of a given size is validated and packed, and in how much memory.

    python -m benchmarks.validation [--images 17000] [--sizes 2000 8000 32000] [--workers 2]
        [--formats voc coco yolo]

The sets are made once, under build/validation/: 500 x 375 photographs in JPEG of VOC's file size,
each another one (a crop and a turn of hue of one of 64 scenes), with 1 to 5 objects. The stage runs
as the pipeline runs it, in a process of its own; measured are its wall time and the largest
resident memory of it and of its worker processes.
"""

import argparse
import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from ruamel.yaml import YAML

ROOT = Path(__file__).resolve().parents[1]
BUILD = ROOT / "build" / "validation"
CLASSES = ("bicycle", "bus", "car", "cat", "chair", "dog", "horse", "person", "sheep", "sofa")
WIDTH, HEIGHT = 500, 375
SPLITS = (("train", 0.6), ("val", 0.2), ("test", 0.2))


def scene(seed: int) -> np.ndarray:
    """(750, 1000, 3) uint8: structure of all sizes, as photographs have."""
    rng = np.random.default_rng(seed)
    image = np.zeros((2 * HEIGHT, 2 * WIDTH, 3), np.float32)
    for side, strength in ((6, 110), (24, 50), (100, 28), (400, 12)):
        coarse = rng.normal(0, strength, (side, side, 3)).astype(np.float32)
        image += cv2.resize(coarse, (2 * WIDTH, 2 * HEIGHT), interpolation=cv2.INTER_CUBIC)
    return np.clip(image + 120, 0, 255).astype(np.uint8)


_scenes: list[np.ndarray] = []


Objects = list[tuple[int, int, int, int, int]]
"""Number of the class, xmin, ymin, xmax, ymax."""


def example(number: int) -> tuple[bytes, Objects]:
    """JPEG and objects of one image."""
    if not _scenes:
        cv2.setNumThreads(1)
        _scenes.extend(scene(seed) for seed in range(64))
    rng = np.random.default_rng(number)
    x, y = rng.integers(0, WIDTH), rng.integers(0, HEIGHT)
    image = _scenes[number % 64][y : y + HEIGHT, x : x + WIDTH, rng.permutation(3)]
    image = image[:, ::-1] if rng.random() < 0.5 else image
    data = cv2.imencode(".jpg", np.ascontiguousarray(image), [cv2.IMWRITE_JPEG_QUALITY, 90])[1]
    objects = []
    for _ in range(rng.integers(1, 6)):
        left, top = rng.integers(1, WIDTH - 60), rng.integers(1, HEIGHT - 60)
        right, bottom = rng.integers(left + 20, WIDTH + 1), rng.integers(top + 20, HEIGHT + 1)
        label = rng.integers(len(CLASSES))
        objects.append(tuple(int(value) for value in (label, left, top, right, bottom)))
    return data.tobytes(), objects


Files = Iterator[tuple[str, bytes]]
Examples = Iterable[tuple[str, str, bytes, Objects]]
"""Name, split, JPEG, objects."""


def voc(examples: Examples) -> Files:
    """VOCdevkit."""
    lists: dict[str, list[str]] = {}
    for name, split, jpeg, objects in examples:
        lists.setdefault(split, []).append(name)
        found = []
        for label, *box in objects:
            corners = zip(("xmin", "ymin", "xmax", "ymax"), box, strict=True)
            found.append(
                f"<object><name>{CLASSES[label]}</name><pose>Left</pose>"
                "<truncated>0</truncated><difficult>0</difficult><bndbox>"
                + "".join(f"<{side}>{value}</{side}>" for side, value in corners)
                + "</bndbox></object>"
            )
        xml = (
            f"<annotation><filename>{name}.jpg</filename><size><width>{WIDTH}</width>"
            f"<height>{HEIGHT}</height><depth>3</depth></size>{''.join(found)}</annotation>"
        )
        yield f"VOCdevkit/VOC2007/JPEGImages/{name}.jpg", jpeg
        yield f"VOCdevkit/VOC2007/Annotations/{name}.xml", xml.encode()
    for split, names in lists.items():
        yield f"VOCdevkit/VOC2007/ImageSets/Main/{split}.txt", "\n".join(names).encode()


def coco(examples: Examples) -> Files:
    """COCO's own layout, each object with an outline of 20 points."""
    documents: dict[str, dict[str, list[Any]]] = {}
    for name, split, jpeg, objects in examples:
        document = documents.setdefault(split, {"images": [], "annotations": []})
        number = len(document["images"])
        size = {"width": WIDTH, "height": HEIGHT}
        document["images"].append({"id": number, "file_name": f"{name}.jpg", **size})
        for label, left, top, right, bottom in objects:
            box = [left - 1, top - 1, right - left + 1, bottom - top + 1]
            document["annotations"].append(
                {
                    "id": len(document["annotations"]),
                    "image_id": number,
                    "category_id": label + 1,
                    "bbox": box,
                    "segmentation": [[left + 0.25, top + 0.5] * 20],
                    "area": box[2] * box[3],
                    "iscrowd": 0,
                }
            )
        yield f"{split}2017/{name}.jpg", jpeg
    categories = [{"id": number, "name": name} for number, name in enumerate(CLASSES, 1)]
    for split, document in documents.items():
        text = json.dumps({**document, "categories": categories})
        yield f"annotations/instances_{split}2017.json", text.encode()


def yolo(examples: Examples) -> Files:
    """Ultralytics' layout."""
    yield (
        "data.yaml",
        f"train: images/train\nval: images/val\ntest: images/test\nnames: {list(CLASSES)}".encode(),
    )
    for name, split, jpeg, objects in examples:
        lines = []
        for label, left, top, right, bottom in objects:
            x, y = (left - 1 + right) / 2 / WIDTH, (top - 1 + bottom) / 2 / HEIGHT
            width, height = (right - left + 1) / WIDTH, (bottom - top + 1) / HEIGHT
            lines.append(f"{label} {x:.6f} {y:.6f} {width:.6f} {height:.6f}")
        yield f"images/{split}/{name}.jpg", jpeg
        yield f"labels/{split}/{name}.txt", "\n".join(lines).encode()


FORMATS: dict[str, Callable[[Examples], Files]] = {"voc": voc, "coco": coco, "yolo": yolo}


def make(images: int, form: str) -> Path:
    """A project with a raw set of this size; made once."""
    project = BUILD / (str(images) if form == "voc" else f"{images}-{form}")
    archive = project / "data" / "raw" / "detection" / "set.tar"
    if archive.exists():
        return project
    archive.parent.mkdir(parents=True, exist_ok=True)
    started = time.monotonic()
    ends = [round(images * (SPLITS[0][1] + second)) for second in (0.0, SPLITS[1][1])]
    temporary = archive.with_suffix(".part")
    with tarfile.open(temporary, "w") as tar, ProcessPoolExecutor() as pool:
        examples = (
            (f"{number:06}", SPLITS[sum(number >= end for end in ends)][0], jpeg, objects)
            for number, (jpeg, objects) in enumerate(pool.map(example, range(images), chunksize=64))
        )
        for name, data in FORMATS[form](examples):
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
            tar.members = []  # type: ignore[attr-defined]
    temporary.rename(archive)
    size = archive.stat().st_size
    seconds = time.monotonic() - started
    print(
        f"made {images} images, {size / images / 1e3:.0f} kB each, in {seconds:.0f} s", flush=True
    )
    return project


STAGE = """
import json, resource, sys, time
from stages import validate
from yolo.data.validate import expectations
spent = {}
def timed(name, function):
    def call(*arguments, **options):
        started = time.perf_counter()
        try:
            return function(*arguments, **options)
        finally:
            spent[name] = spent.get(name, 0.0) + time.perf_counter() - started
    return call
expectations.run = timed("great_expectations", expectations.run)
expectations.write_data_docs = timed("great_expectations", expectations.write_data_docs)
validate.read_index_of = timed("index", validate.read_index_of)
validate.validate = timed("validate", validate.validate)
validate.write_store = timed("pack", validate.write_store)
sys.argv = ["validate", "detection"]
validate.main()
spent["mib"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print("SPENT " + json.dumps(spent))
"""


def measure(images: int, form: str, workers: int) -> dict[str, float]:
    """Run the stage on a set of this size and format."""
    project = make(images, form)
    yaml = YAML()
    document = yaml.load(ROOT / "presets" / "base.yaml")
    # Of tens of thousands of made images a few are the same.
    document["validate"]["detection"]["rules"]["duplicate_image"] = "drop_image"
    yaml.dump(document, project / "params.yaml")
    shutil.rmtree(project / "data" / "clean", ignore_errors=True)
    started = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, "-c", STAGE],
        cwd=project,
        env={**os.environ, "YOLO_WORKERS": str(workers), "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    largest = 0.0
    while process.poll() is None:
        largest = max(largest, memory(process.pid))
        time.sleep(0.2)
    wall = time.monotonic() - started
    assert process.stdout is not None
    lines = [line for line in process.stdout.read().splitlines() if line.startswith("SPENT ")]
    if process.returncode or not lines:
        raise SystemExit(f"the stage failed with status {process.returncode}")
    shutil.rmtree(project / "data" / "clean")
    return {"images": images, "seconds": wall, "all_mib": largest, **json.loads(lines[0][6:])}


def memory(session: int) -> float:
    """MiB of memory that the processes of a session hold, shared pages split between them."""
    total = 0
    for path in Path("/proc").glob("[0-9]*"):
        try:
            if os.getsid(int(path.name)) == session:
                text = (path / "smaps_rollup").read_text()
                total += int(text.partition("\nPss:")[2].split()[0])
        except (OSError, IndexError, ValueError):
            continue
    return total / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--images", type=int, default=17_000)
    parser.add_argument("--sizes", type=int, nargs="*", default=[2_000, 8_000, 32_000])
    parser.add_argument("--workers", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--formats", nargs="*", default=["voc"], choices=list(FORMATS))
    options = parser.parse_args()
    print(f"{options.workers} worker processes, {os.cpu_count()} cores")
    print("| images | format | wall (s) | images/s | index (s) | Great Expectations (s) |", end=" ")
    print("packing (s) | main process (MiB) | all processes (MiB) |")
    print("|---|---|---|---|---|---|---|---|---|")
    runs = [(n, form) for n in (options.images, *options.sizes) for form in options.formats]
    for images, form in runs:
        found = measure(images, form, options.workers)
        wall, gate = found["seconds"], found["great_expectations"]
        print(
            f"| {images} | {form} | {wall:.1f} | {images / wall:.0f} | {found['index']:.1f} "
            f"| {gate:.1f} ({gate / wall:.0%}) | {found['pack']:.1f} | {found['mib']:.0f} "
            f"| {found['all_mib']:.0f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
