"""The files of the Pascal VOC development kit: annotations in, detections in and out.

`comp4_det_<split>_<class>.txt` has a line `image score xmin ymin xmax ymax` for each detection of
the class, in 1-based inclusive pixels.
"""

import math
import re
from array import array
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from yolo.errors import UserError
from yolo.files import replacing
from yolo.metrics.voc_ap import Detections, Truth

DECIMALS = 6
"""Decimals of scores and corners, as in the original (yolo.c: print_yolo_detections)."""


@dataclass(frozen=True)
class Annotations:
    """The annotated objects of a split; `truth` holds indices into `images` and `classes`."""

    images: tuple[str, ...]
    classes: tuple[str, ...]
    truth: Truth


def rounded(detections: Detections) -> Detections:
    """Round scores and corners as a detection file does."""
    return Detections(
        detections.image,
        detections.label,
        np.round(detections.score.astype(np.float64), DECIMALS),
        np.round(detections.box.astype(np.float64), DECIMALS),
    )


def write_detections(
    folder: Path,
    detections: Detections,
    images: Sequence[str],
    classes: Sequence[str],
    split: str,
) -> None:
    """Write one file per class into `folder`, an empty one for a class without detections.

    Reading them back gives `rounded(detections)`; the rows of each class keep their order.
    """
    columns = [
        detections.image.tolist(),
        detections.score.tolist(),
        *detections.box.T.tolist(),
    ]
    lines: list[list[str]] = [[] for _ in classes]
    for label, image, *numbers in zip(detections.label.tolist(), *columns, strict=True):
        values = " ".join(f"{number:.{DECIMALS}f}" for number in numbers)
        lines[label].append(f"{images[image]} {values}\n")
    for name, rows in zip(classes, lines, strict=True):
        with replacing(folder / f"comp4_det_{split}_{name}.txt") as temporary:
            temporary.write_text("".join(rows), encoding="utf-8")


def detection_files(folder: Path, split: str) -> dict[str, Path]:
    """Class name → its `<competition>_det_<split>_<class>.txt`, sorted by name.

    Raises:
        UserError: The folder has no such file, or two for one class.
    """
    if not folder.is_dir():
        raise UserError(f"{folder} is not a folder; it should hold comp4_det_{split}_<class>.txt")
    pattern = re.compile(rf"[^_]+_det_{re.escape(split)}_(?P<name>.+)\.txt")
    files: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if match := pattern.fullmatch(path.name):
            name = match["name"]
            if name in files:
                raise UserError(f"{files[name]} and {path} are both for class {name}; keep one")
            files[name] = path
    if not files:
        raise UserError(f"{folder} has no file named comp4_det_{split}_<class>.txt")
    return files


def read_detections(
    files: Mapping[str, Path], images: Sequence[str], classes: Sequence[str]
) -> Detections:
    """Read detection files, skipping empty lines; indices are those of `images` and `classes`.

    Raises:
        UserError: A class is not in `classes`, a line is malformed, or its image is unknown.
    """
    image_index = _by_name(images)
    class_index = {name: index for index, name in enumerate(classes)}
    # arrays instead of lists: files have millions of lines
    image, label, numbers = array("q"), array("q"), array("d")
    for name, path in files.items():
        if name not in class_index:
            raise UserError(f"{path}: unknown class {name}; known: {', '.join(classes)}")
        for place, line in enumerate(_lines(path), 1):
            if not line.strip():
                continue
            # split from the right: a file name may contain spaces
            fields = line.rsplit(None, 5)
            row = _numbers(fields[1:])
            if len(fields) != 6 or row is None:
                raise UserError(
                    f"{path}:{place}: {line.strip()[:80]!r} should be "
                    "`image score xmin ymin xmax ymax` with finite numbers"
                )
            index = image_index.get(fields[0].strip())
            if index is None:
                raise UserError(
                    f"{path}:{place}: image {fields[0]!r} is not in the split "
                    f"({len(images)} images); are these detections of another split?"
                )
            image.append(index)
            label.append(class_index[name])
            numbers.extend(row)
    table = np.array(numbers).reshape(-1, 5)
    return Detections(np.array(image), np.array(label), table[:, 0], table[:, 1:])


def check_classes(files: Mapping[str, Path], classes: Sequence[str]) -> list[str]:
    """Return a note for each file whose class has no object: its AP is undefined.

    Raises:
        UserError: The name of such a class differs from an object's only in case or spacing.
    """
    plain = {_plain(name): name for name in classes}
    notes = []
    for name, path in files.items():
        if name in classes:
            continue
        if _plain(name) in plain:
            raise UserError(
                f"{path}: unknown class {name!r}; the annotations call it "
                f"{plain[_plain(name)]!r}: rename the file"
            )
        notes.append(f"{path}: no object of the split is a {name!r}; its AP is undefined")
    return notes


def with_classes(annotations: Annotations, names: Sequence[str]) -> Annotations:
    """The same objects, with the union of their classes and `names`, sorted."""
    classes = tuple(sorted({*annotations.classes, *names}))
    new = np.array([classes.index(name) for name in annotations.classes], dtype=np.int64)
    old = annotations.truth
    truth = Truth(old.image, new[old.label], old.box, old.difficult)
    return Annotations(annotations.images, classes, truth)


def _by_name(images: Sequence[str]) -> dict[str, int]:
    """Index of each image by its name, and by the end of it where no other one is called so."""
    ends = Counter(name.rpartition("/")[2] for name in images)
    short = {
        end: index for index, name in enumerate(images) if ends[end := name.rpartition("/")[2]] == 1
    }
    return short | {name: index for index, name in enumerate(images)}


def _plain(name: str) -> str:
    return re.sub(r"[\s_-]+", "", name).casefold()


def _numbers(texts: Sequence[str]) -> list[float] | None:
    # float() accepts 1_000 and digits of other scripts, the devkit's readers do not
    if any("_" in text or not text.isascii() for text in texts):
        return None
    try:
        values = [float(text) for text in texts]
    except ValueError:
        return None
    return values if all(map(math.isfinite, values)) else None


def _lines(path: Path) -> Iterator[str]:
    """Yield lines that end in LF, CRLF or CR, and in no other character."""
    try:
        with path.open(encoding="utf-8-sig") as file:
            yield from file
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is not a readable text file: {error}") from None
