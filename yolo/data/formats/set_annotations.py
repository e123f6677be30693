"""Sets whose annotations lie in files that describe many images: what such formats share."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

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


def index_of(
    layout: str,
    images: Images,
    described: Sequence[tuple[str, Sequence[Described]]],
    ignored: Sequence[str] = (),
    notes: Sequence[str] = (),
) -> Index:
    """Join images and what each annotation file says of them.

    The split of a file is the one that its name or else its folder says; a file that names none is
    called by its name. Where one file describes all images, folders may make splits.
    """
    records: dict[str, Record] = {}
    lists = []
    for file, entries in described:
        listed = []
        for entry in entries:
            record = _record(file, entry, images)
            first = records.setdefault(record.name, record)
            if first.boxes != record.boxes:
                also = f"also annotated otherwise in {file}"
                records[record.name] = replace(first, listing=also)
            listed.append(record.name)
        lists.append(ImageList(file, _split(file), tuple(listed)))
    for member in images.members:
        name = images.name(member)
        records.setdefault(name, Record(name, member))
    records = dict(sorted(records.items()))
    published = _published(lists, records)
    return Index("detection", layout, records, published, lists, ignored=ignored, notes=notes)


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
