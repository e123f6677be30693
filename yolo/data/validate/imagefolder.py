"""The ImageFolder layout: a folder per class, in a folder per split or without one."""

from collections.abc import Sequence
from pathlib import PurePosixPath

from yolo.data.validate.index import IMAGES, Files, Index, Record, extension, visible
from yolo.data.validate.split_names import split_called

_LAYOUT = "folders of classes"


def read(files: Files) -> Index | None:
    """Find `SPLIT/CLASS/…` at any depth, else `CLASS/…`; an image is called by its member's name.

    A split may lie in several folders (Kaggle's `train.X1`, `train.X2`). An image in a split's
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
        return Index("classification", _LAYOUT, _by_class(names), {}, ignored=ignored)
    records: dict[str, Record] = {}
    published: dict[str, list[str]] = {}
    for name, place in places.items():
        if place is None:
            # beside the splits: in none of them
            records[name] = Record(name, name)
            continue
        label = parts[name][place + 1] if len(parts[name]) - place > 2 else None
        records[name] = Record(name, name, label=label)
        folder = "/".join(parts[name][: place + 1])
        for split in {split_called(parts[name][place]) or folder, folder}:
            published.setdefault(split, []).append(name)
    return Index("classification", _LAYOUT, records, published, ignored=ignored)


def _split_place(parts: Sequence[str]) -> int | None:
    """Index of the outermost folder that is called as a split."""
    return next((i for i, part in enumerate(parts[:-1]) if split_called(part)), None)


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
