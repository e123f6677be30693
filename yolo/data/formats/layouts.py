"""Tell the layout of a set by its content, and read its index."""

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
from yolo.data.formats.index import IMAGES, Files, Index, Kind, Limits
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
        raise UserError(f"{files.path} {_NO_IMAGES}; {_KNOWN}; {_FOLDERS}")
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
        raise UserError(f"{files.path} {_NO_IMAGES}; {known}")
    if index.kind == kind:
        return index
    if kind == "classification":
        raise UserError(
            f"{files.path} looks like {index.layout} ({_evidence(index)}): it has boxes, so it is "
            "a detection set, for data.detection.source"
        )
    raise UserError(f"{files.path} has no boxes, it looks like {index.layout}; {_KNOWN}")


_NO_IMAGES = f"holds no images ({', '.join(sorted(IMAGES))}) in a layout that is known"
_KNOWN = (
    "a detection set holds images and Pascal VOC XML (Annotations/ID.xml, JPEGImages/ID.jpg), "
    "COCO JSON, YOLO labels, a CSV table of boxes, or is a Hugging Face parquet with objects"
)
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
        return with_boxes
    unread_formats.refuse(files, limits)
    return voc.read_images_alone(files) or imagefolder.read(files)


def _evidence(index: Index) -> str:
    """A file that holds boxes."""
    return next(
        (record.annotation for record in index.records.values() if record.annotation),
        "no annotation is left",
    )
