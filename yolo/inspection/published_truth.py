"""The annotated objects of a published set for scoring, read as validation reads them."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from yolo.data.archives.reader import Archives
from yolo.data.formats.index import OK, Files, Index, Limits, Record
from yolo.data.formats.layouts import read_index_of
from yolo.data.validate import orientation
from yolo.data.validate.probe import ImageProbe, Probe, examine_header
from yolo.errors import UserError
from yolo.evaluation.analysis.devkit import Annotations
from yolo.metrics.voc_ap import Truth

_Row = tuple[int, str, tuple[float, ...], bool]


def read_annotations(path: Path, split: str) -> Annotations:
    """Read one published split of a detection set of any layout.

    Of images only the headers are read, where there are any: boxes count upright pixels, as
    predictions do. Classes are those of the objects, sorted.

    Args:
        path: Folder or archive; of several years, the one that has the split or the one above.
        split: As the set or this project calls it.

    Raises:
        UserError: The set has no such split, or an annotation is missing or cannot be read.
    """
    limits = Limits()
    with Archives(path) as files:
        index = read_index_of("detection", files, limits)
        if split not in index.published:
            known = ", ".join(sorted(index.published)) or "none"
            raise UserError(f"{path} has no split {split!r}; splits there: {known}")
        names = tuple(index.published[split])
        if len(set(names)) != len(names):
            double = next(name for name in names if names.count(name) > 1)
            raise UserError(f"{_list(index, split)}: image {double} is listed more than once")
        rows = [
            row
            for number, name in enumerate(names)
            for row in _objects(number, files, index, index.records[name], path)
        ]
    classes = tuple(sorted({name for _, name, _, _ in rows}))
    numbers = {name: number for number, name in enumerate(classes)}
    return Annotations(
        names,
        classes,
        Truth(
            image=np.array([row[0] for row in rows], dtype=np.int64),
            label=np.array([numbers[row[1]] for row in rows], dtype=np.int64),
            box=np.array([row[2] for row in rows], dtype=np.float64).reshape(-1, 4),
            difficult=np.array([row[3] for row in rows], dtype=bool),
        ),
    )


def _objects(number: int, files: Files, index: Index, record: Record, path: Path) -> Sequence[_Row]:
    if not record.annotated:
        raise UserError(f"{path}: image {record.name} has no annotation, but is in the split")
    if record.listing != OK:
        raise UserError(f"{path}: image {record.name}: {record.listing}; keep one")
    annotation = record.boxes
    if annotation is None:
        assert record.annotation is not None and index.parse is not None
        try:
            annotation = index.parse(files.read(record.annotation))
        except UserError as error:
            raise UserError(
                f"{path / record.annotation} is no readable annotation: it {error}"
            ) from None
    image = examine_header(files.read(record.image)) if record.image else ImageProbe()
    rows = []
    boxes = orientation.boxes(Probe(image, annotation))
    for found, box in zip(annotation.objects, boxes, strict=True):
        if found.box is not None and box is None:
            raise UserError(f"{path}: the size of image {record.name} is not known: it is needed")
        if box is None or not found.name:
            wrong = f"its box is {found.box_text}" if box is None else found.unnamed
            raise UserError(
                f"{path / record.place}: object {found.number} needs a name and a box of four "
                f"numbers: {wrong}"
            )
        rows.append((number, found.name, box, found.difficult == "1"))
    return rows


def _list(index: Index, split: str) -> str:
    return next((one.file for one in index.lists if one.split == split), split)
