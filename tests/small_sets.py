"""Tiny data sets in VOC's and ImageFolder's layout, whole and damaged, made in memory."""

import io
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np

Box = tuple[object, object, object, object]


class MemoryFiles:
    """Files as `yolo.data.archives.reader.Archives` has them, from a mapping."""

    path = Path("memory")

    def __init__(self, files: Mapping[str, bytes]) -> None:
        self._files = files

    def names(self) -> list[str]:
        return sorted(self._files)

    def read(self, name: str) -> bytes:
        return self._files[name]

    def chunks(self, name: str, most_bytes: int) -> Iterator[bytes]:
        yield self.read(name)


def picture(seed: int, width: int = 40, height: int = 30, kind: str = ".jpg") -> bytes:
    """Encoded noise, another for each seed."""
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return cv2.imencode(kind, pixels)[1].tobytes()


def annotation(
    objects: Sequence[tuple[str, Box]] = (("cat", (5, 5, 20, 20)),),
    *,
    filename: str = "",
    size: tuple[object, object] | None = (40, 30),
    flags: str = "<difficult>0</difficult>",
    inside: str = "",
) -> bytes:
    """A VOC annotation."""
    sides = ("xmin", "ymin", "xmax", "ymax")
    text = "".join(
        f"<object><name>{name}</name>{flags}<bndbox>"
        + "".join(f"<{side}>{value}</{side}>" for side, value in zip(sides, box, strict=True))
        + f"</bndbox>{inside}</object>"
        for name, box in objects
    )
    stated = f"<size><width>{size[0]}</width><height>{size[1]}</height></size>" if size else ""
    return f"<annotation><filename>{filename}</filename>{stated}{text}</annotation>".encode()


def voc_set(
    splits: Mapping[str, Sequence[str]], root: str = "set/VOCdevkit/VOC2007", first_seed: int = 0
) -> dict[str, bytes]:
    """Images with a cat each, listed in the given splits."""
    files = {}
    ids = dict.fromkeys(id_ for listed in splits.values() for id_ in listed)
    for seed, id_ in enumerate(ids, first_seed):
        files[f"{root}/JPEGImages/{id_}.jpg"] = picture(seed)
        files[f"{root}/Annotations/{id_}.xml"] = annotation(filename=f"{id_}.jpg")
    for split, listed in splits.items():
        files[f"{root}/ImageSets/Main/{split}.txt"] = "\n".join([*listed, ""]).encode()
    return files


def write_folder(folder: Path, files: Mapping[str, bytes]) -> Path:
    """Write files by their paths in `folder`; return it."""
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return folder


def write_tar(path: Path, files: Mapping[str, bytes]) -> None:
    """Pack the files."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as tar:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
