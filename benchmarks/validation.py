"""How fast a VOC-like set of a given size is validated and packed, and in how much memory.

    python -m benchmarks.validation [--images 17000] [--sizes 2000 8000 32000] [--workers 2]

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
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

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


def picture(number: int) -> tuple[bytes, bytes]:
    """JPEG and annotation of one image."""
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
        corners = zip(("xmin", "ymin", "xmax", "ymax"), (left, top, right, bottom), strict=True)
        objects.append(
            f"<object><name>{CLASSES[rng.integers(len(CLASSES))]}</name><pose>Left</pose>"
            "<truncated>0</truncated><difficult>0</difficult><bndbox>"
            + "".join(f"<{side}>{value}</{side}>" for side, value in corners)
            + "</bndbox></object>"
        )
    xml = (
        f"<annotation><filename>{number:06}.jpg</filename><size><width>{WIDTH}</width>"
        f"<height>{HEIGHT}</height><depth>3</depth></size>{''.join(objects)}</annotation>"
    )
    return data.tobytes(), xml.encode()


def make(images: int) -> Path:
    """A project with a raw set of this size; made once."""
    project = BUILD / str(images)
    archive = project / "data" / "raw" / "detection" / "set.tar"
    if archive.exists():
        return project
    archive.parent.mkdir(parents=True, exist_ok=True)
    started = time.monotonic()
    names = [f"{number:06}" for number in range(images)]
    temporary = archive.with_suffix(".part")
    with tarfile.open(temporary, "w") as tar, ProcessPoolExecutor() as pool:

        def add(name: str, data: bytes) -> None:
            info = tarfile.TarInfo(f"VOCdevkit/VOC2007/{name}")
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
            tar.members = []  # type: ignore[attr-defined]

        for name, (jpeg, xml) in zip(
            names, pool.map(picture, range(images), chunksize=64), strict=True
        ):
            add(f"JPEGImages/{name}.jpg", jpeg)
            add(f"Annotations/{name}.xml", xml)
        first = 0
        for split, share in SPLITS:
            last = first + round(share * images)
            add(f"ImageSets/Main/{split}.txt", "\n".join(names[first:last]).encode())
            first = last
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
from yolo.data import expectations
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
validate.assess = timed("assess", validate.assess)
validate.write_store = timed("pack", validate.write_store)
sys.argv = ["validate", "detection"]
validate.main()
spent["mib"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print("SPENT " + json.dumps(spent))
"""


def measure(images: int, workers: int) -> dict[str, float]:
    """Run the stage on a set of this size."""
    project = make(images)
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
    options = parser.parse_args()
    print(f"{options.workers} worker processes, {os.cpu_count()} cores")
    print("| images | wall (s) | images/s | Great Expectations (s) | packing (s) |", end=" ")
    print("main process (MiB) | all processes (MiB) |")
    print("|---|---|---|---|---|---|---|")
    for images in (options.images, *options.sizes):
        found = measure(images, options.workers)
        wall, gate = found["seconds"], found["great_expectations"]
        print(
            f"| {images} | {wall:.1f} | {images / wall:.0f} | {gate:.1f} ({gate / wall:.0%}) "
            f"| {found['pack']:.1f} | {found['mib']:.0f} | {found['all_mib']:.0f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
