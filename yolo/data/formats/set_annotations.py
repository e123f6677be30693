"""Sets whose annotations lie in files that describe many images: what such formats share."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from yolo.data.formats.annotations import Annotation
from yolo.data.formats.image_names import Images
from yolo.data.formats.index import ImageList, Index, Record
from yolo.data.formats.split_names import by_folder, split_called, split_in


@dataclass(frozen=True, slots=True)
class Described:
    """An image as an annotation file describes it."""

    text: str
    """What the file calls it; empty when it does not say."""
    annotation: Annotation
    name: str = ""
    """What it is called when the file does not say."""
    split: str = ""
    """Our name of the split that the file gives it; empty when the file gives none."""


def index_of(
    layout: str,
    images: Images,
    described: Sequence[tuple[str, Sequence[Described]]],
    ignored: Sequence[str] = (),
    notes: Sequence[str] = (),
) -> Index:
    """Join images and what each annotation file says of them.

    The split of an image is the one that the file gives it, else the one that the file's name or
    folder says; a file that names none is called by its name. Where one file describes all images,
    folders may make splits.
    """
    records: dict[str, Record] = {}
    lists = []
    for file, entries in described:
        listed: dict[str, list[str]] = {} if entries else {_split(file): []}
        for entry in entries:
            record = _record(file, entry, images)
            first = records.setdefault(record.name, record)
            if first is not record and _content(first) != _content(record):
                also = f"also annotated otherwise in {file}"
                records[record.name] = replace(first, listing=also)
            listed.setdefault(entry.split or _split(file), []).append(record.name)
        lists += [ImageList(file, split, tuple(names)) for split, names in listed.items()]
    for member in images.members:
        name = images.name(member)
        records.setdefault(name, Record(name, member))
    records = dict(sorted(records.items()))
    published = _published(lists, records)
    return Index("detection", layout, records, published, lists, ignored=ignored, notes=notes)


def _content(record: Record) -> Any:
    """What the annotation says, without where it stands in the file."""
    if record.boxes is None:
        return None
    objects = [replace(one, number=0, box_text="") for one in record.boxes.objects]
    return replace(record.boxes, objects=()), sorted(objects, key=repr)


def _record(file: str, entry: Described, images: Images) -> Record:
    member = images.find(entry.text, file) if entry.text else None
    if member is not None:
        return Record(images.name(member), member, file, entry.annotation)
    name = entry.text or entry.name
    absent = images.explain(entry.text) if entry.text else f"{file} does not say which file it is"
    return Record(name, None, file, entry.annotation, absent=absent or f"{file} names it")


def _split(file: str) -> str:
    *folders, base = file.split("/")
    stem = base.rpartition(".")[0]
    for found in (split_in(stem), *(split_called(folder) for folder in reversed(folders))):
        if found:
            return found
    return stem


def _published(lists: Sequence[ImageList], records: dict[str, Record]) -> dict[str, list[str]]:
    published: dict[str, list[str]] = {}
    for one in lists:
        published.setdefault(one.split, []).extend(one.images)
    if len(lists) == 1 and split_called(lists[0].split) is None:
        published |= by_folder({name: records[name].image or "" for name in lists[0].images})
    return published
