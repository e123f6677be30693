"""Tell the layout of a set by its content, and read its index."""

import re
from dataclasses import replace

from yolo.data.formats import (
    coco,
    csv_boxes,
    hf_objects,
    imagefolder,
    imagenet,
    unread_formats,
    voc,
    yolo_txt,
)
from yolo.data.formats.index import (
    IMAGES,
    UNREAD_IMAGES,
    Files,
    Index,
    Kind,
    Limits,
    extension,
    visible,
)
from yolo.data.formats.pairing import IMAGE_FOLDERS
from yolo.data.formats.split_names import split_in
from yolo.errors import UserError


def read_index(files: Files, limits: Limits) -> Index:
    """The index of a set in whatever layout it has.

    A set in which anything holds boxes is one for detection; only one that has none is taken for
    folders of classes. More special layouts come before more general ones.

    Raises:
        UserError: The set holds no images, or a file that describes it is damaged.
    """
    index = imagenet.read(files) or _find(files, limits)
    if index is None:
        raise UserError(f"{files.path} {_no_images(files)}; {_KNOWN}; {_FOLDERS}")
    return index


def read_index_of(kind: Kind, files: Files, limits: Limits) -> Index:
    """As `read_index`, for a set that is to be of this kind.

    Raises:
        UserError: As `read_index`; or the set is of the other kind.
    """
    # ImageNet publishes boxes beside its classes.
    index = imagenet.read(files) if kind == "classification" else None
    index = index or _find(files, limits)
    if index is None:
        known = _KNOWN if kind == "detection" else _FOLDERS
        raise UserError(f"{files.path} {_no_images(files)}; {known}")
    if index.kind == kind:
        return index
    if kind == "classification":
        raise UserError(
            f"{files.path} looks like {index.layout} ({_evidence(index)}): it has boxes, so it is "
            "a detection set, for data.detection.source"
        )
    raise UserError(f"{files.path} has no boxes, it looks like {index.layout}; {_KNOWN}")


_KNOWN = (
    "a detection set holds images and Pascal VOC XML (Annotations/ID.xml, JPEGImages/ID.jpg), "
    "COCO JSON, YOLO labels, a CSV table of boxes, or is a Hugging Face parquet with objects"
)
_SPLITS = re.compile(r"(splits?|train|val|test)[^/]*\.(json|ya?ml)|splits?\.csv")
_PACKED = (".zip", ".gz", ".tgz", ".bz2", ".xz", ".7z", ".rar")
_TABLES = (".csv", ".tsv", ".json", ".jsonl", ".xlsx", ".parquet", ".mat", ".pkl", ".npz", ".npy")
_ANY_IMAGES = IMAGE_FOLDERS | {"default", "all"}
_FOLDERS = "a classification set needs train/CLASS/IMAGE and val/CLASS/IMAGE, or CLASS/IMAGE"


def _find(files: Files, limits: Limits) -> Index | None:
    with_boxes = (
        hf_objects.read(files)
        or voc.read(files)
        or coco.read(files, limits)
        or csv_boxes.read(files, limits)
        or yolo_txt.read(files, limits)
    )
    if with_boxes is not None:
        return replace(
            with_boxes, notes=[*with_boxes.notes, *_other_labels(files, with_boxes, limits)]
        )
    unread_formats.refuse(files, limits)
    return voc.read_images_alone(files) or _with_classes(files, imagefolder.read(files))


def _other_labels(files: Files, index: Index, limits: Limits) -> list[str]:
    """What people should know of files that hold labels or splits in another format too."""
    names = visible(files.names())
    used = {one.file for one in index.lists}
    others = []
    if index.layout != "COCO JSON":
        others += coco.documents(files, names, limits)
    if index.layout != "CSV table":
        others += csv_boxes.tables(files, names, limits)
    if index.layout in ("Pascal VOC XML", "CSV table"):
        others += [name for name in names if _SPLITS.fullmatch(name.rpartition("/")[2].lower())]
    return [
        f"{name} was not read: the set was read as {index.layout}"
        for name in dict.fromkeys(others)
        if name not in used
    ]


def _with_classes(files: Files, index: Index | None) -> Index | None:
    """The index of folders of classes.

    Raises:
        UserError: The folders are none of classes: they are called as splits, or as what holds all
            images.
    """
    if index is None:
        return None
    folders = sorted({record.label for record in index.records.values() if record.label})
    if any(split_in(one) is None and one.lower() not in _ANY_IMAGES for one in folders):
        return index
    where = f" in {', '.join(folders[:4])}" if folders else ""
    raise UserError(
        f"{files.path} holds {len(index.records)} images{where}, but neither labels in a format "
        f"that is read nor folders of classes{_not_read(files)}; {_KNOWN}; {_FOLDERS}"
    )


def _no_images(files: Files) -> str:
    unread = [name for name in visible(files.names()) if extension(name) in UNREAD_IMAGES]
    if unread:
        kind = extension(unread[0])[1:].upper()
        return f"holds images in {kind} ({unread[0]}), which is not read: convert them to JPEG"
    known = ", ".join(sorted(IMAGES))
    return f"holds no images ({known}) in a layout that is known{_not_read(files)}"


def _not_read(files: Files) -> str:
    """Files that may hold the labels or the images."""
    names = visible(files.names())
    packed = [name for name in names if extension(name) in _PACKED]
    tables = [name for name in names if extension(name) in _TABLES]
    found = ""
    if packed:
        found = f"; {', '.join(packed[:3])} inside is not read: unpack it"
    if tables:
        found += f"; {', '.join(tables[:3])} is in no format that is read"
    return found


def _evidence(index: Index) -> str:
    """A file that holds boxes."""
    return next(
        (record.annotation for record in index.records.values() if record.annotation),
        "no annotation is left",
    )
