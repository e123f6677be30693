"""The ImageFolder layout: a folder per class, in a folder per split or without one."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import PurePosixPath

from yolo.data.formats import published_splits
from yolo.data.formats.index import IMAGES, Files, Index, Record, extension, visible
from yolo.data.formats.path_lookup import Absences
from yolo.data.formats.split_names import split_called, split_of_folder

_LAYOUT = "folders of classes"


def read(files: Files) -> Index | None:
    """Find `SPLIT/CLASS/…` at any depth, else `CLASS/…`; an image is called by its member's name.

    A split may lie in several folders (Kaggle's `train.X1`, `train.X2`), and in a folder of the
    same name (`training_set/training_set/CLASS/…`). An image in a split's
    folder but in no class's has no label. None when there is no image.
    """
    everything = visible(files.names())
    names = [name for name in everything if extension(name) in IMAGES]
    ignored = sorted(set(everything) - set(names))
    if not names:
        return None
    parts = {name: PurePosixPath(name).parts for name in names}
    places = {name: _split_place(parts[name]) for name in names}
    if not any(
        place is not None and len(parts[name]) - place > 2 for name, place in places.items()
    ):
        return _listed(files, everything, _by_class(names), ignored)
    doubled = _doubled(parts, places)
    records: dict[str, Record] = {}
    published: dict[str, list[str]] = {}
    for name, place in places.items():
        if place is None:
            # beside the splits: in none of them
            records[name] = Record(name, name)
            continue
        folder = "/".join(parts[name][: place + 1])
        below = parts[name][place + (2 if folder in doubled else 1) :]
        label = below[0] if len(below) > 1 else None
        records[name] = Record(name, name, label=label)
        for split in {split_of_folder(parts[name][place]) or folder, folder}:
            published.setdefault(split, []).append(name)
    return Index("classification", _LAYOUT, records, published, ignored=ignored)


def _listed(
    files: Files, everything: Sequence[str], records: dict[str, Record], ignored: Sequence[str]
) -> Index:
    """The index of folders of classes without folders of splits: lists may be its splits."""
    found = published_splits.find_beside(files, everything, records, Absences(everything))
    published = {
        split: [name for name in names if name in records]
        for split, names in found.published.items()
    }
    missing = len(found.records) - len(records)
    notes = [f"lists name {missing} images that are not there"] if missing else []
    taken = {one.file for one in found.lists}
    ignored = [name for name in ignored if name not in taken]
    lists = [
        replace(one, images=tuple(name for name in one.images if name in records), lines=())
        for one in found.lists
    ]
    return Index("classification", _LAYOUT, records, published, lists, ignored=ignored, notes=notes)


def _split_place(parts: Sequence[str]) -> int | None:
    """Index of the outermost folder that is called as a split.

    A plain name above a folder counts more than one that says more: `train_data/val/CLASS`.
    """
    folders = parts[:-1]
    plain = [i for i, part in enumerate(folders[:-1]) if split_called(part)]
    named = [i for i, part in enumerate(folders) if split_of_folder(part)]
    return next(iter(plain or named), None)


def _doubled(
    parts: Mapping[str, Sequence[str]], places: Mapping[str, int | None]
) -> frozenset[str]:
    """Folders of splits whose images all lie deep in a folder of the same name."""
    found: dict[str, bool] = {}
    for name, place in places.items():
        if place is not None:
            folder = "/".join(parts[name][: place + 1])
            below = parts[name][place + 1 :]
            same = len(below) > 2 and below[0] == parts[name][place]
            found[folder] = found.get(folder, True) and same
    return frozenset(folder for folder, same in found.items() if same)


def _by_class(names: Sequence[str]) -> dict[str, Record]:
    """Classes are the first folders that differ below what all images share."""
    folders = [PurePosixPath(name).parent.parts for name in names]
    shared = zip(min(folders), max(folders), strict=False)
    depth = next((i for i, (a, b) in enumerate(shared) if a != b), len(min(folders)))
    if all(len(folder) == depth for folder in folders):
        # all images lie in one folder: it is the class
        depth -= 1
    return {
        name: Record(name, name, label=folder[depth] if len(folder) > max(depth, 0) else None)
        for name, folder in zip(names, folders, strict=True)
    }
