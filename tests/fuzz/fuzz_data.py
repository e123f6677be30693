"""The readers of data sets, archives, images and settings, with valid files to damage."""

import gzip
import io
import json
import tarfile
import zipfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import format_sets
import judged_sets
import numpy as np
from PIL import Image
from small_sets import MemoryFiles, annotation, picture

from yolo.data.archives.reader import Archives
from yolo.data.archives.reader import Limits as ArchiveLimits
from yolo.data.download.descriptor import read_descriptor
from yolo.data.formats import imagenet, voc_xml
from yolo.data.validate import probe
from yolo.errors import UserError
from yolo.evaluation.analysis import devkit
from yolo.inference.image_input import decode_upright
from yolo.params.base import parse, read_document
from yolo.params.root import Params

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Reader:
    """Valid files, and what reads a damaged copy of the one with that number."""

    seeds: list[bytes]
    read: Callable[[int, bytes], object]


def xml() -> Reader:
    box = ("cat", (5, 5, 20, 20))
    seeds = [
        annotation([box, ("dog", (1, 2, 3.5, 9))], filename="1.jpg"),
        b'<?xml version="1.0" encoding="gbk"?>' + annotation([box]),
        annotation([box], inside="<part><name>head</name></part>").decode().encode("utf-16"),
    ]
    return Reader(seeds, lambda _, data: voc_xml.parse(data))


def _sets(*names: str, ending: tuple[str, ...]) -> Reader:
    """Sets of which one file that describes them is damaged; they are validated as a whole."""
    small = {
        split: {name: replace(one, image=picture(number, 16, 16, ".png"), width=16, height=16)}
        for number, (split, own) in enumerate(format_sets.examples().items())
        for name, one in list(own.items())[:1]
    }
    places: list[tuple[dict[str, bytes], str]] = []
    for name in names:
        files = format_sets.FORMATS[name](small)
        places += [(files, file) for file in files if file.lower().endswith(ending)]

    def read(number: int, data: bytes) -> None:
        files, file = places[number]
        judged_sets.judge({**files, file: data})

    return Reader([files[file] for files, file in places], read)


def coco() -> Reader:
    return _sets("coco", "coco_per_split", ending=(".json",))


def yolo_yaml() -> Reader:
    return _sets("yolo", "yolo_per_split", ending=(".yaml",))


def txt() -> Reader:
    return _sets("yolo", "darknet", "voc", ending=(".txt", ".names", ".data"))


def csv() -> Reader:
    return _sets("csv_table", ending=(".csv",))


def imagenet_kit() -> Reader:
    from scipy.io import savemat

    table = np.zeros(2, dtype=[("ILSVRC2012_ID", "O"), ("WNID", "O")])
    table["ILSVRC2012_ID"], table["WNID"] = [1, 2], ["n02085620", "n02123045"]
    meta = io.BytesIO()
    savemat(meta, {"synsets": table})
    images = {f"ILSVRC2012_val_0000000{number}.JPEG": b"" for number in (1, 2)}
    truth = "data/ILSVRC2012_validation_ground_truth.txt"
    kit = {"data/meta.mat": meta.getvalue(), truth: b"1\n2"}
    rows = b"ImageId,PredictionString\nILSVRC2012_val_00000001,n02123045 1 2 3 4"
    places = [
        ({**images, **files}, file)
        for files in (kit, {"LOC_val_solution.csv": rows})
        for file in files
    ]

    def read(number: int, data: bytes) -> None:
        files, file = places[number]
        imagenet.read(MemoryFiles({**files, file: data}))

    return Reader([files[file] for files, file in places], read)


def detections() -> Reader:
    line = b"a1 0.9 1 2 30.5 40\na2 0.25 3 4 5 6\n"

    def read(_: int, data: bytes) -> None:
        Path("comp4_det_test_cat.txt").write_bytes(data)
        devkit.read_detections({"cat": Path("comp4_det_test_cat.txt")}, ["a1", "a2"], ["cat"])

    return Reader([line], read)


def _archive(*seeds: tuple[str, bytes]) -> Reader:
    def read(number: int, data: bytes) -> None:
        path = Path(seeds[number][0])
        path.write_bytes(data)
        limits = ArchiveLimits(member_bytes=1 << 24, total_bytes=1 << 26)
        with Archives(path, limits) as files:
            for name in files.names():
                with suppress(UserError):
                    files.read(name)
                for _ in files.chunks(name, 1 << 20):
                    pass

    return Reader([data for _, data in seeds], read)


def _members() -> dict[str, bytes]:
    return {"set/train/a.jpg": picture(0, 16, 16), "set/ü.txt": b"text " * 40, "set/empty": b""}


def _tar(format: int = tarfile.PAX_FORMAT) -> bytes:
    inner, file = io.BytesIO(), io.BytesIO()
    with tarfile.open(fileobj=inner, mode="w") as tar:
        _add(tar, {"b.jpg": b"x" * 600})
    with tarfile.open(fileobj=file, mode="w", format=format) as tar:
        _add(tar, {**_members(), "n01440764.tar": inner.getvalue(), "l" * 150: b"long"})
    return file.getvalue()


def _add(tar: tarfile.TarFile, files: dict[str, bytes]) -> None:
    for name, data in files.items():
        member = tarfile.TarInfo(name)
        member.size = len(data)
        tar.addfile(member, io.BytesIO(data))


def tar() -> Reader:
    return _archive(("a.tar", _tar()), ("b.tar", _tar(tarfile.GNU_FORMAT)))


def tar_gz() -> Reader:
    return _archive(("a.tar.gz", gzip.compress(_tar(), mtime=0)))


def zip() -> Reader:
    seeds = []
    for kind in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w", kind) as archive:
            for name, data in _members().items():
                archive.writestr(zipfile.ZipInfo(name), data, kind)
        seeds.append(("a.zip", file.getvalue()))
    return _archive(*seeds)


def parquet() -> Reader:
    import pyarrow as pa
    import pyarrow.parquet as pq

    small = format_sets.examples()
    objects = format_sets.parquet({"train": {"a1": small["train"]["a1"]}})
    rows = [{"image": {"bytes": picture(0, 16, 16), "path": None}, "label": 1}]
    features = {"label": {"names": ["cat", "dog"], "_type": "ClassLabel"}}
    table = pa.Table.from_pylist(rows).replace_schema_metadata(
        {"huggingface": json.dumps({"info": {"features": features}})}
    )
    buffer = io.BytesIO()
    pq.write_table(table, buffer)
    return _archive(
        ("train-00000-of-00001.parquet", buffer.getvalue()),
        *[(name, data) for name, data in objects.items()],
    )


def image() -> Reader:
    pixels = np.random.default_rng(0).integers(0, 256, (24, 17, 3), np.uint8)
    seeds = []
    exif = Image.Exif()
    exif[0x0112] = 6
    for kind, mode, options in (
        ("JPEG", "RGB", {"exif": exif}),
        ("JPEG", "CMYK", {}),
        ("JPEG", "L", {"progressive": True}),
        ("PNG", "RGB", {}),
        ("PNG", "RGBA", {"exif": exif}),
        ("PNG", "P", {}),
        ("WEBP", "RGB", {}),
        ("BMP", "RGB", {}),
        ("TIFF", "RGB", {"compression": "tiff_lzw"}),
        ("GIF", "P", {}),
    ):
        file = io.BytesIO()
        Image.fromarray(pixels).convert(mode).save(file, kind, **options)
        seeds.append(file.getvalue())

    def read(_: int, data: bytes) -> None:
        probe.examine_image(data, 1 << 20)
        probe.examine_header(data)
        if _is_small(data):
            decode_upright(data, "it")

    return Reader(seeds, read)


def _is_small(data: bytes) -> bool:
    """Whether the header claims no more pixels than the caller of `decode_upright` lets pass."""
    try:
        with Image.open(io.BytesIO(data)) as header:
            return header.width * header.height <= 1 << 20
    except Exception:
        return False


def params() -> Reader:
    def read(_: int, data: bytes) -> None:
        Path("params.yaml").write_bytes(data)
        parse(Params, read_document(Path("params.yaml")))

    return Reader([(ROOT / "params.yaml").read_bytes()], read)


def descriptor() -> Reader:
    seeds = [path.read_bytes() for path in sorted((ROOT / "sources").glob("*.yaml"))]

    def read(_: int, data: bytes) -> None:
        Path("source.yaml").write_bytes(data)
        read_descriptor(Path("source.yaml"))

    return Reader(seeds, read)
