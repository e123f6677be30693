"""How long scoring takes, beside the evaluators that people use.

    make bench-setup && .venv/bin/python -m benchmarks.scoring [--images 4952] [--seconds 60]

As many images as VOC 2007's test has, 98 boxes each (YOLO's), 20 classes; once every box with its
best class, once with its scores for all classes. Every contender starts from the same arrays, runs
alone in a process of its own, one after the other, at IoU 0.5 only, all sizes, no detection cut
off. `from arrays` is all that a user waits for; `counting` leaves out what the contender needs to
bring arrays into its own form (dictionaries, tensors, an index), the part nearest to our scorer.

A contender that would need longer than `--seconds` is timed on the largest share of the images
that fits (measured on a small share first); its times are then scaled up by the number of images,
and the share is printed. The protocols differ in detail (pycocotools counts no `+ 1` pixels and
takes the best free object), so that only times are compared; the mAPs printed show that all
contenders judged the same boxes.
"""

import argparse
import multiprocessing
import os
import platform
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from importlib.metadata import version

import numpy as np

from yolo.metrics.voc_ap import Detections, Truth

BOXES = 98
CLASSES = 20
SIDE = 500
SMALL_SHARE = 100


@dataclass(frozen=True)
class Timing:
    counting: float
    """Seconds."""
    from_arrays: float
    memory: int
    """Bytes at the peak above those of the arrays."""
    map50: float


def scene(images: int, *, all_scores: bool) -> tuple[Detections, Truth]:
    """Objects as frequent as VOC's; a third of the boxes near one, the others anywhere."""
    rng = np.random.default_rng(0)
    objects = rng.poisson(1.45, images) + 1
    image = np.repeat(np.arange(images), objects)
    truth = Truth(
        image,
        rng.integers(0, CLASSES, len(image)),
        np.round(_boxes(rng, len(image))),
        rng.random(len(image)) < 0.15,
    )
    of_image = np.repeat(np.arange(images), BOXES)
    count = len(of_image)
    first = np.cumsum(objects) - objects
    object_ = first[of_image] + (rng.random(count) * objects[of_image]).astype(int)
    near = rng.random(count) < 1 / 3
    noise = rng.normal(0, 15, (count, 4))
    box = np.where(near[:, None], truth.box[object_] + noise, _boxes(rng, count))
    box[:, 2:] = np.maximum(box[:, 2:], box[:, :2])
    score = rng.random((count, CLASSES), np.float32) ** 3
    right = np.where(near, truth.label[object_], rng.integers(0, CLASSES, count))
    score[np.arange(count), right] = rng.random(count, np.float32)
    if all_scores:
        return (
            Detections(
                np.repeat(of_image, CLASSES),
                np.tile(np.arange(CLASSES), count),
                score.ravel(),
                np.repeat(box, CLASSES, axis=0),
            ),
            truth,
        )
    return Detections(of_image, right, score[np.arange(count), right], box), truth


def ours(detections: Detections, truth: Truth, images: int) -> tuple[float, float, float]:
    """Seconds of counting, of all, and the mAP; so do the other contenders."""
    from yolo.metrics.voc_ap import score

    start = time.perf_counter()
    result = score(detections, truth, CLASSES)
    took = time.perf_counter() - start
    return took, took, result.voc_map


def pycocotools(detections: Detections, truth: Truth, images: int) -> tuple[float, float, float]:
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    def known(dataset: dict) -> COCO:
        coco = COCO()
        coco.dataset = dataset
        coco.createIndex()
        return coco

    return _coco(known, COCOeval, detections, truth, images)


def faster_coco_eval(
    detections: Detections, truth: Truth, images: int
) -> tuple[float, float, float]:
    from faster_coco_eval import COCO, COCOeval_faster

    return _coco(COCO, COCOeval_faster, detections, truth, images)


def torchmetrics(detections: Detections, truth: Truth, images: int) -> tuple[float, float, float]:
    import torch
    from torchmetrics.detection import MeanAveragePrecision

    start = time.perf_counter()
    metric = MeanAveragePrecision(
        iou_thresholds=[0.5],
        max_detection_thresholds=[1, 10, BOXES],
        backend="faster_coco_eval",
    )
    metric.warn_on_many_detections = False
    found = _per_image(images, detections.image, detections.box, detections.label, detections.score)
    objects = _per_image(images, truth.image, truth.box, truth.label, truth.difficult)
    metric.update(
        [
            {"boxes": boxes, "labels": labels, "scores": scores}
            for boxes, labels, scores in (map(torch.from_numpy, own) for own in found)
        ],
        [
            {"boxes": boxes, "labels": labels, "iscrowd": crowd.long()}
            for boxes, labels, crowd in (map(torch.from_numpy, own) for own in objects)
        ],
    )
    ready = time.perf_counter()
    value = float(metric.compute()["map"])
    end = time.perf_counter()
    return end - ready, end - start, value


CONTENDERS: dict[str, Callable[[Detections, Truth, int], tuple[float, float, float]]] = {
    "ours": ours,
    "faster-coco-eval": faster_coco_eval,
    "torchmetrics": torchmetrics,
    "pycocotools": pycocotools,
}


def measure(name: str, images: int, all_scores: bool, repeats: int) -> Timing:
    """The fastest of `repeats` runs, in a fresh process."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        return pool.submit(_measure, name, images, all_scores, repeats).result()


def _measure(name: str, images: int, all_scores: bool, repeats: int) -> Timing:
    detections, truth = scene(images, all_scores=all_scores)
    contender = CONTENDERS[name]
    # libraries are loaded and warm, then the peak starts anew where the arrays are
    contender(*scene(2, all_scores=False), 2)
    before = _reset_peak()
    runs = [contender(detections, truth, images) for _ in range(repeats)]
    counting, from_arrays, map50 = min(runs, key=lambda run: run[1])
    return Timing(counting, from_arrays, _peak() - before, map50)


def _coco(
    known: Callable,
    evaluation: Callable,
    detections: Detections,
    truth: Truth,
    images: int,
) -> tuple[float, float, float]:
    import contextlib
    import io

    # pycocotools prints
    with contextlib.redirect_stdout(io.StringIO()):
        start = time.perf_counter()
        box = _corner_and_size(truth.box)
        dataset = {
            "info": {},
            "images": [{"id": image} for image in range(images)],
            "categories": [{"id": label} for label in range(CLASSES)],
            "annotations": [
                {
                    "id": number + 1,
                    "image_id": int(truth.image[number]),
                    "category_id": int(truth.label[number]),
                    "bbox": box[number].tolist(),
                    "area": float(box[number, 2] * box[number, 3]),
                    "iscrowd": int(truth.difficult[number]),
                }
                for number in range(len(box))
            ],
        }
        coco = known(dataset)
        columns = (
            detections.image,
            _corner_and_size(detections.box),
            detections.score,
            detections.label,
        )
        # the form that both libraries take from memory: image, x, y, width, height, score, class
        found = coco.loadRes(np.column_stack(columns).astype(np.float64))
        ready = time.perf_counter()
        run = evaluation(coco, found, "bbox")
        run.params.iouThrs = np.array([0.5])
        run.params.maxDets = [BOXES]
        run.params.areaRng, run.params.areaRngLbl = [[0, 1e10]], ["all"]
        run.evaluate()
        run.accumulate()
        end = time.perf_counter()
    precision = np.asarray(run.eval["precision"])
    return end - ready, end - start, float(precision[precision > -1].mean())


def _per_image(images: int, image: np.ndarray, *columns: np.ndarray) -> list[list[np.ndarray]]:
    ends = np.cumsum(np.bincount(image, minlength=images))[:-1]
    return [list(own) for own in zip(*(np.split(column, ends) for column in columns), strict=True)]


def _boxes(rng: np.random.Generator, count: int) -> np.ndarray:
    corner = rng.uniform(1, SIDE - 20, (count, 2))
    size = rng.uniform(15, SIDE / 2, (count, 2))
    return np.concatenate([corner, np.minimum(corner + size, SIDE)], axis=1)


def _corner_and_size(box: np.ndarray) -> np.ndarray:
    return np.concatenate([box[:, :2] - 1, box[:, 2:] - box[:, :2] + 1], axis=1)


def _reset_peak() -> int:
    """Start the peak of resident memory anew (Linux); returns the bytes resident now."""
    with open("/proc/self/clear_refs", "w") as file:  # noqa: PTH123
        file.write("5")
    return _peak()


def _peak() -> int:
    with open("/proc/self/status") as file:  # noqa: PTH123
        line = next(line for line in file if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024


def timed_within(name: str, images: int, all_scores: bool, seconds: float) -> tuple[Timing, int]:
    """The timing on the largest share of the images that fits into `seconds`, and that share."""
    small = min(SMALL_SHARE, images)
    per_image = measure(name, small, all_scores, 1).from_arrays / small
    fitting = min(images, max(small, int(seconds / per_image)))
    repeats = 3 if 4 * fitting * per_image < seconds else 1
    return measure(name, fitting, all_scores, repeats), fitting


def table(images: int, all_scores: bool, seconds: float) -> None:
    rows = images * BOXES * (CLASSES if all_scores else 1)
    print(f"\n{rows:,} detections of {images:,} images, {CLASSES} classes\n")
    print("| scorer | from arrays | counting | ours is faster by | peak memory | mAP | timed on |")
    print("|---|---|---|---|---|---|---|")
    reference = 0.0
    for name in CONTENDERS:
        timing, share = timed_within(name, images, all_scores, seconds)
        factor = images / share
        whole, counting = timing.from_arrays * factor, timing.counting * factor
        reference = reference or whole
        print(
            f"| {name} | {whole:.2f} s | {counting:.2f} s "
            f"| {whole / reference:.1f} x, counting {counting / reference:.1f} x "
            f"| {timing.memory / 2**20:,.0f} MiB | {timing.map50:.4f} "
            f"| {'all images' if share == images else f'{share:,} images, scaled up'} |",
            flush=True,
        )


def growth(images: int) -> None:
    print("\nOurs, with the number of images (best class of every box)\n")
    print("| images | detections | seconds | microseconds per detection | peak memory |")
    print("|---|---|---|---|---|")
    for count in (images, 3 * images, 10 * images):
        timing = measure("ours", count, False, 3)
        rows = count * BOXES
        print(
            f"| {count:,} | {rows:,} | {timing.from_arrays:.2f} "
            f"| {1e6 * timing.from_arrays / rows:.2f} | {timing.memory / 2**20:,.0f} MiB |",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description="Time scoring beside other evaluators.")
    parser.add_argument("--images", type=int, default=4952)
    parser.add_argument("--seconds", type=float, default=60, help="most for one contender")
    wanted = parser.parse_args()
    libraries = ", ".join(f"{name} {version(name)}" for name in ("numpy", *list(CONTENDERS)[1:]))
    print(f"{os.cpu_count()} CPUs, Python {platform.python_version()}, {libraries}")
    for all_scores in (False, True):
        table(wanted.images, all_scores, wanted.seconds)
    growth(wanted.images)


if __name__ == "__main__":
    main()
