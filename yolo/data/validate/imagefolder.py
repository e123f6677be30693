"""The ImageFolder layout: a folder per class, in a folder per split or without one."""

from collections.abc import Sequence
from pathlib import PurePosixPath

from yolo.data.validate.index import PICTURES, Entry, Files, Listing, visible
from yolo.errors import UserError

_SPLITS = {"train": "train", "val": "val", "validation": "val", "valid": "val", "test": "test"}


def listing(files: Files) -> Listing:
    """Find `SPLIT/CLASS/…` at any depth, else `CLASS/…`; a picture is called by its member's name.

    A picture in a split's folder but in no class's has no label.

    Raises:
        UserError: No picture was found.
    """
    everything = visible(files.names())
    names = [name for name in everything if PurePosixPath(name).suffix.lower() in PICTURES]
    ignored = sorted(set(everything) - set(names))
    if not names:
        raise UserError(
            f"{files.path} holds no pictures ({', '.join(sorted(PICTURES))}); "
            "a classification set needs train/CLASS/PICTURE and val/CLASS/PICTURE, "
            "or CLASS/PICTURE"
        )
    parts = {name: PurePosixPath(name).parts for name in names}
    places = {name: _split_place(parts[name]) for name in names}
    if not any(
        place is not None and len(parts[name]) - place > 2 for name, place in places.items()
    ):
        return Listing(_by_class(names), {}, ignored)
    entries: dict[str, Entry] = {}
    published: dict[str, list[str]] = {}
    for name, place in places.items():
        if place is None:
            # beside the splits: in none of them
            entries[name] = Entry(name, name)
            continue
        label = parts[name][place + 1] if len(parts[name]) - place > 2 else None
        entries[name] = Entry(name, name, label=label)
        folder = "/".join(parts[name][: place + 1])
        for split in {_SPLITS[parts[name][place].lower()], folder}:
            published.setdefault(split, []).append(name)
    return Listing(entries, published, ignored)


def _split_place(parts: Sequence[str]) -> int | None:
    """Index of the outermost folder that is called as a split."""
    return next((i for i, part in enumerate(parts[:-1]) if part.lower() in _SPLITS), None)


def _by_class(names: Sequence[str]) -> dict[str, Entry]:
    """Classes are the first folders that differ below what all pictures share."""
    folders = [PurePosixPath(name).parent.parts for name in names]
    shared = zip(min(folders), max(folders), strict=False)
    depth = next((i for i, (a, b) in enumerate(shared) if a != b), len(min(folders)))
    if all(len(folder) == depth for folder in folders):
        # all pictures lie in one folder: it is the class
        depth -= 1
    return {
        name: Entry(name, name, label=folder[depth] if len(folder) > max(depth, 0) else None)
        for name, folder in zip(names, folders, strict=True)
    }
