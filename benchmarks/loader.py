"""Images per second of loading, beside what users would pick instead.

    make bench-setup && .venv/bin/python -m benchmarks.loader --data FOLDER [--cores 1]

`FOLDER` holds `voc-mini.tar` and `imagenet-mini.tar` (or other archives of these names in the VOC
and ImageFolder layouts); without it, images of 500 x 375 are made. Three kinds of work:

- decode: encoded bytes to 8-bit RGB pixels;
- resize: the same, and bilinear to the input size;
- sample: a float batch (N, 3, S, S) ready for the network. Detection (448): a crop whose sides move
  by up to a fifth, in or out, resize, flip, hue 0.1, saturation, exposure 1.5, boxes moved along.
  Classification (224): a random square crop, flip, the same colours. torchvision has no crop that
  reaches out of the image; there it is `RandomResizedCrop`, which leaves out the border's work.
  `decode only` is what our loader does where there is a GPU, which crops, resizes, flips and
  recolours: 8-bit pixels of any size in one tensor, and the boxes. It is no float batch yet.

All contenders run in this process and its workers, which may use `--cores` cores and no more (one
core: no workers, else a worker per core), one after the other in every round; the table has the
median of the rounds, and the least processor time of all processes per image, which other load on
the machine changes less. `memory copy` of decoded pixels is the limit of any loader. The process
keeps freed memory, for all contenders, as a training does (`yolo/runtime/malloc.py`).
"""

import argparse
import os
import platform
import resource
import statistics
import tarfile
import tempfile
import time
import warnings
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"
os.environ["HF_HUB_OFFLINE"] = "1"

import albumentations as A
import cv2
import datasets
import numpy as np
import simplejpeg
import torch
import webdataset as wds
from albumentations.pytorch import ToTensorV2
from PIL import Image
from torch.utils.data import DataLoader, Dataset
from torchvision.datasets import ImageFolder, VOCDetection
from torchvision.io import ImageReadMode, decode_jpeg
from torchvision.transforms import v2

from yolo.data.loading import augment
from yolo.data.loading.loader import SampleKey, load
from yolo.data.store import images
from yolo.data.store.clean_set import CLASSIFICATION_SCHEMA, DETECTION_SCHEMA, Split, Writer
from yolo.params.detect_train import DetectorAugmentation
from yolo.params.pretrain import ClassifierAugmentation
from yolo.runtime.malloc import keep_freed
from yolo.training.detect_train import samples as detection
from yolo.training.pretrain import samples as classification

HUE, SATURATION, EXPOSURE = 0.1, 1.5, 1.5
BATCH = 16
BASELINE = "PIL + albumentations"
Work = Callable[[], Iterable[int]]
"""Starts a pass over the images, which yields the number of images as they are done."""


class Pictures:
    """One set in every contender's own form, below a temporary folder."""

    def __init__(self, folder: Path, encoded: list[bytes], boxes: list[np.ndarray] | None) -> None:
        self.folder, self.encoded, self.boxes = folder, encoded, boxes
        self.pixels = [images.decode(data, "picture") for data in encoded]
        self.files = self._write_files()
        self.split = self._write_store()
        self.hugging_face = self._write_hugging_face()
        self.shard = self._write_shard()

    def __len__(self) -> int:
        return len(self.encoded)

    def labels(self, index: int) -> np.ndarray:
        return np.zeros(len(self.boxes[index]) if self.boxes else 0, np.int32)

    def _write_files(self) -> list[Path]:
        year = self.folder / "VOCdevkit/VOC2007"
        place = year / "JPEGImages" if self.boxes is not None else self.folder / "train/a"
        for made in (place, year / "Annotations", year / "ImageSets/Main"):
            made.mkdir(parents=True)
        files = [place / f"{number:06}.jpg" for number in range(len(self))]
        for file, data in zip(files, self.encoded, strict=True):
            file.write_bytes(data)
        for file, rows in zip(files, self.boxes or [], strict=False):
            objects = "".join(
                f"<object><name>a</name><bndbox><xmin>{a}</xmin><ymin>{b}</ymin>"
                f"<xmax>{c}</xmax><ymax>{d}</ymax></bndbox></object>"
                for a, b, c, d in rows.tolist()
            )
            xml = f"<annotation>{objects}</annotation>"
            (year / f"Annotations/{file.stem}.xml").write_text(xml)
        (year / "ImageSets/Main/train.txt").write_text("\n".join(file.stem for file in files))
        return files

    def _write_store(self) -> Split:
        path = self.folder / "train.arrow"
        schema = CLASSIFICATION_SCHEMA if self.boxes is None else DETECTION_SCHEMA
        with Writer(path, schema) as writer:
            for number, (data, image) in enumerate(zip(self.encoded, self.pixels, strict=True)):
                height, width = image.shape[:2]
                record = {"name": str(number), "image": data, "width": width, "height": height}
                if self.boxes is None:
                    record["label"] = 0
                else:
                    flags = [False] * len(self.boxes[number])
                    record |= {"boxes": self.boxes[number], "labels": self.labels(number).tolist()}
                    record |= {"difficult": flags, "truncated": flags}
                writer.append(record)
        return Split(path)

    def _write_hugging_face(self) -> datasets.Dataset:
        columns: dict[str, Any] = {
            "image": [{"bytes": data, "path": None} for data in self.encoded]
        }
        if self.boxes is not None:
            columns["boxes"] = [rows.tolist() for rows in self.boxes]
        made = datasets.Dataset.from_dict(columns).cast_column("image", datasets.Image())
        made.save_to_disk(self.folder / "hugging_face")
        return datasets.load_from_disk(self.folder / "hugging_face")

    def _write_shard(self) -> str:
        path = str(self.folder / "shard.tar")
        with wds.TarWriter(path) as writer:
            for number, data in enumerate(self.encoded):
                boxes = self.boxes[number].tolist() if self.boxes is not None else []
                writer.write({"__key__": f"{number:06}", "jpg": data, "boxes.json": boxes})
        return path


class RawSamples(Dataset[Any]):
    """Our samples from decoded pixels, copied once as reading them from a map would."""

    def __init__(self, samples: Any, pixels: list[np.ndarray]) -> None:
        self.samples, self.pixels = samples, pixels

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, key: SampleKey) -> Any:
        pixels = self.pixels[key[1]].copy()
        before, images.decode = images.decode, lambda *_: pixels
        try:
            return self.samples[key]
        finally:
            images.decode = before


class Mapped(Dataset[Any]):
    """A function of the number of an image: the data set that a tutorial writes by hand."""

    def __init__(self, count: int, read: Callable[[int], Any]) -> None:
        self.count, self.read = count, read

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Any:
        return self.read(index)


# Transforms


def albumented(size: int, *, boxes: bool) -> A.Compose:
    crop = (
        [
            A.CropAndPad(
                percent=(-0.2, 0.2),
                sample_independently=True,
                keep_size=False,
                border_mode=cv2.BORDER_REPLICATE,
                p=1,
            ),
            A.Resize(size, size),
        ]
        if boxes
        else [A.RandomResizedCrop((size, size), scale=(0.3, 0.7), ratio=(1, 1))]
    )
    factors = (1 / SATURATION, SATURATION)
    colour = A.ColorJitter((1 / EXPOSURE, EXPOSURE), (1, 1), factors, (-HUE, HUE), p=1)
    return A.Compose(
        [*crop, A.HorizontalFlip(p=0.5), colour, A.ToFloat(255), ToTensorV2()],
        bbox_params=A.BboxParams("pascal_voc", label_fields=["labels"], clip=True)
        if boxes
        else None,
    )


def torchvision_steps(size: int, *, boxes: bool) -> v2.Compose:
    crop = (
        v2.RandomResizedCrop((size, size), scale=(0.36, 1.0))
        if boxes
        else v2.RandomResizedCrop((size, size), scale=(0.3, 0.7), ratio=(1, 1))
    )
    factors = (1 / SATURATION, SATURATION)
    colour = v2.ColorJitter((1 / EXPOSURE, EXPOSURE), 0, factors, HUE)
    last = v2.ToDtype(torch.float32, scale=True)
    return v2.Compose([v2.ToImage(), crop, v2.RandomHorizontalFlip(), colour, last])


# Work


def each(count: int, do: Callable[[int], Any]) -> Iterator[int]:
    for index in range(count):
        do(index)
        yield 1


def open_rgb(source: Any) -> np.ndarray:
    return np.array(Image.open(source).convert("RGB"))


def decoders(pictures: Pictures) -> dict[str, Callable[[int], Any]]:
    encoded, files, split = pictures.encoded, pictures.files, pictures.split
    stored = pictures.hugging_face
    return {
        "ours": lambda k: images.decode(split.image(k), split.name(k)),
        BASELINE: lambda k: open_rgb(files[k]),
        "Hugging Face datasets": lambda k: np.array(stored[k]["image"].convert("RGB")),
        "torchvision decode_jpeg": lambda k: decode_jpeg(
            torch.frombuffer(bytearray(encoded[k]), dtype=torch.uint8), ImageReadMode.RGB
        ),
        "simplejpeg": lambda k: simplejpeg.decode_jpeg(encoded[k], "RGB"),
        "(memory copy)": lambda k: pictures.pixels[k].copy(),
    }


def resized(pictures: Pictures, size: int) -> dict[str, Callable[[int], Any]]:
    decode, shrink = decoders(pictures), A.Resize(size, size)
    resize = v2.Resize((size, size))

    def ours(index: int) -> np.ndarray:
        image = decode["ours"](index)
        height, width = image.shape[:2]
        return augment.warp(image, augment.Crop(0, 0, width, height), size, flip=False)

    return {
        "ours": ours,
        BASELINE: lambda k: shrink(image=decode[BASELINE](k)),
        "Hugging Face datasets": lambda k: shrink(image=decode["Hugging Face datasets"](k)),
        "torchvision": lambda k: resize(v2.functional.to_image(Image.open(pictures.files[k]))),
        "(memory copy)": decode["(memory copy)"],
    }


def sampled(pictures: Pictures, size: int, workers: int) -> dict[str, Work]:
    count, boxed = len(pictures), pictures.boxes is not None
    change, steps = albumented(size, boxes=boxed), torchvision_steps(size, boxes=boxed)
    stored = pictures.hugging_face

    def changed(image: np.ndarray, boxes: Callable[[], Any]) -> Any:
        if not boxed:
            return change(image=image)["image"], 0
        rows = np.asarray(boxes(), np.float32).reshape(-1, 4)
        done = change(image=image, bboxes=rows, labels=np.zeros(len(rows)))
        return done["image"], done["bboxes"]

    def from_file(index: int) -> Any:
        file = pictures.files[index]
        annotation = file.parent.parent / f"Annotations/{file.stem}.xml"
        return changed(open_rgb(file), lambda: read_boxes(annotation))

    def from_hugging_face(index: int) -> Any:
        row = stored[index]
        return changed(np.array(row["image"].convert("RGB")), lambda: row["boxes"])

    def from_shard(row: tuple[Any, Any]) -> Any:
        return changed(row[0], lambda: row[1])

    if boxed:
        folder = str(pictures.folder)
        standard: Dataset[Any] = VOCDetection(
            folder, "2007", "train", transform=steps, target_transform=lambda _: 0
        )
    else:
        standard = ImageFolder(str(pictures.folder / "train"), transform=steps)

    shards = wds.WebDataset(pictures.shard, shardshuffle=False, empty_check=False)
    pipeline = shards.decode("rgb8").to_tuple("jpg", "boxes.json").map(from_shard)

    def batched(data: Any) -> Iterator[int]:
        is_stream = isinstance(data, torch.utils.data.IterableDataset)
        loader = DataLoader(
            data, BATCH, shuffle=not is_stream, num_workers=workers, collate_fn=stack
        )
        for batch in loader:
            yield len(batch[0])

    return {
        "ours": lambda: ours(pictures, size, workers),
        "ours, from decoded pixels": lambda: ours(pictures, size, workers, decoded=True),
        "ours, decode only": lambda: ours(pictures, size, workers, for_gpu=True),
        "ours, decode only, from decoded pixels": lambda: ours(
            pictures, size, workers, decoded=True, for_gpu=True
        ),
        BASELINE: lambda: batched(Mapped(count, from_file)),
        "Hugging Face datasets + albumentations": lambda: batched(Mapped(count, from_hugging_face)),
        # One shard is one worker's: with more workers this contender would gain nothing.
        **({} if workers else {"WebDataset + albumentations": lambda: batched(pipeline)}),
        "torchvision VOCDetection/ImageFolder + v2": lambda: batched(standard),
        "(memory copy)": lambda: each(count, lambda k: pictures.pixels[k].copy()),
    }


def ours(
    pictures: Pictures, size: int, workers: int, decoded: bool = False, for_gpu: bool = False
) -> Iterator[int]:
    colours = {"flip": True, "hue": HUE, "saturation": SATURATION, "exposure": EXPOSURE}
    split = pictures.split
    if pictures.boxes is not None:
        wanted = DetectorAugmentation(jitter=0.2, vertical_flip=False, **colours)
        samples: Any = detection.TrainingSamples(split, size, wanted, 0)
        collate: Any = detection.collate
    else:
        crops = {"min_crop": round(size * 1.15), "max_crop": round(size * 1.8)}
        samples = classification.TrainingSamples(
            split, size, ClassifierAugmentation(**crops, **colours), 0
        )
        collate = classification.collate
    if for_gpu:
        samples = samples.for_device(torch.device("cuda"))
    if decoded:
        samples = RawSamples(samples, pictures.pixels)
    order = np.random.default_rng(0).permutation(len(pictures)).tolist()
    places = [[(0, k) for k in order[n : n + BATCH]] for n in range(0, len(order), BATCH)]
    for batch in load(samples, places, collate, workers):
        yield len(batch.names if for_gpu else batch.inputs())


def stack(rows: list[Any]) -> Any:
    """What a tutorial's collate function does: images stacked, boxes in a list."""
    return torch.stack([row[0] for row in rows]), [row[1] for row in rows]


# Data


def read_boxes(annotation: Path) -> list[list[float]]:
    return _boxes(ElementTree.parse(annotation))


def _boxes(tree: Any) -> list[list[float]]:
    sides = ("xmin", "ymin", "xmax", "ymax")
    return [[float(b.findtext(side)) for side in sides] for b in tree.iter("bndbox")]


def read_archive(path: Path, count: int) -> tuple[list[bytes], list[np.ndarray] | None]:
    """Encoded images and, from a VOC archive, their boxes that an evaluator would keep."""
    encoded, boxes = [], []
    with tarfile.open(path) as tar:
        members = {member.name: member for member in tar.getmembers()}
        names = sorted(n for n in members if n.lower().endswith((".jpg", ".jpeg")))
        for name in names[:: max(1, len(names) // count)][:count]:
            encoded.append(tar.extractfile(members[name]).read())  # type: ignore[union-attr]
            xml = name.replace("JPEGImages", "Annotations").rsplit(".", 1)[0] + ".xml"
            if xml in members:
                tree = ElementTree.parse(tar.extractfile(members[xml]))  # type: ignore[arg-type]
                rows = np.array(_boxes(tree), np.float32).reshape(-1, 4)
                boxes.append(rows[(rows[:, 2:] - rows[:, :2] > 1).all(axis=1)])
    return encoded, boxes or None


def made_up(count: int, *, boxes: bool) -> tuple[list[bytes], list[np.ndarray] | None]:
    """Images of 500 x 375 with the detail of photographs: noise at several scales."""
    rng, encoded = np.random.default_rng(0), []
    for _ in range(count):
        layers = [rng.normal(0, 20, (375 // n + 1, 500 // n + 1, 3)) for n in (1, 8, 64)]
        scaled = [cv2.resize(layer, (500, 375)) for layer in layers]
        image = 0.4 * scaled[0] + scaled[1] + 2 * scaled[2]
        encoded.append(images.encode_jpeg(np.clip(image + 128, 0, 255).astype(np.uint8), 90))
    box = np.float32([[50, 60, 200, 300], [220, 30, 480, 250]])
    return encoded, [box] * count if boxes else None


# Measuring


def processor_seconds() -> float:
    return sum(
        usage.ru_utime + usage.ru_stime
        for usage in map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    )


def compare(title: str, contenders: dict[str, Work], rounds: int) -> None:
    """Run all contenders in turns and print a table."""
    rates: dict[str, list[float]] = {name: [] for name in contenders}
    processor: dict[str, list[float]] = {name: [] for name in contenders}
    for number in range(rounds + 1):
        for name, start in contenders.items():
            began, used = time.perf_counter(), processor_seconds()
            done = sum(start())
            if number:  # the first round warms up
                rates[name].append(done / (time.perf_counter() - began))
                processor[name].append((processor_seconds() - used) / done * 1000)
    base = statistics.median(rates[BASELINE]), min(processor[BASELINE])
    print(f"\n### {title}\n")
    print(f"| | images/s | against {BASELINE} | CPU ms per image | against {BASELINE} |")
    print("|---|---:|---:|---:|---:|")
    for name, own in rates.items():
        rate, spent = statistics.median(own), min(processor[name])
        ratios = f"{rate / base[0]:.2f}", f"{base[1] / max(spent, 1e-9):.2f}"
        print(f"| {name} | {rate:.0f} | {ratios[0]} | {spent:.2f} | {ratios[1]} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("--data", type=Path, default=os.environ.get("YOLO_REAL_DATA"))
    parser.add_argument("--images", type=int, default=320)
    parser.add_argument("--cores", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    warnings.filterwarnings("ignore")
    datasets.disable_progress_bars()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: options.cores])
    torch.set_num_threads(1)
    cv2.setNumThreads(0)
    keep_freed()
    workers = options.cores if options.cores > 1 else 0

    names = "albumentations datasets opencv-python-headless pillow simplejpeg torch torchvision"
    versions = ", ".join(f"{name} {version(name)}" for name in [*names.split(), "webdataset"])
    print(f"Python {platform.python_version()}, {versions}")
    load_average = ", ".join(f"{number:.1f}" for number in os.getloadavg())
    print(f"{options.cores} core(s), {workers} workers, load of the machine {load_average}")

    with tempfile.TemporaryDirectory() as folder:
        for kind, archive, size in (
            ("detection", "voc-mini.tar", 448),
            ("classification", "imagenet-mini.tar", 224),
        ):
            path = Path(options.data or "") / archive
            is_real = options.data is not None and path.is_file()
            read = partial(read_archive, path) if is_real else partial(made_up, boxes=size == 448)
            pictures = Pictures(Path(folder) / kind, *read(options.images))
            mean = statistics.fmean(p.shape[0] * p.shape[1] for p in pictures.pixels) ** 0.5
            source = archive if is_real else "made up"
            count = len(pictures)
            title = f"{kind}, {size} px: {count} images ({source}, {mean:.0f}² pixels on average)"
            print(f"\n## {title}")
            for what, ways in (("decode", decoders(pictures)), ("resize", resized(pictures, size))):
                works = {name: partial(each, count, do) for name, do in ways.items()}
                compare(f"{what} (one process)", works, options.rounds)
            compare("sample", sampled(pictures, size, workers), options.rounds)


if __name__ == "__main__":
    main()
