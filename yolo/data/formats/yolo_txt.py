"""Sets annotated for YOLO: a text file per image, and one that names classes and splits.

Ultralytics' programs write `data.yaml`, darknet `obj.data` and `obj.names`, labelImg `classes.txt`.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from yolo.data.formats import published_splits, yolo_labels
from yolo.data.formats.annotations import Annotation
from yolo.data.formats.image_lists import read_list
from yolo.data.formats.index import (
    IMAGES,
    OK,
    RARE_IMAGES,
    Files,
    ImageList,
    Index,
    Limits,
    Record,
    extension,
    visible,
)
from yolo.data.formats.pairing import label_roots, last, pair
from yolo.data.formats.path_lookup import Absences, PathLookup
from yolo.data.formats.split_names import split_called
from yolo.errors import UserError

_LABEL_FOLDERS = frozenset(("labels", "label", "annotations", "txt", "yolo", "yolo_labels"))
_NO_LABELS = frozenset(("classes", "labels", "names", "readme", "labelmap", "license"))
_SAMPLES = 40
_KEY = re.compile(rb"(?m)^(train|val|names|nc)[ \t]*:")
_KEYS = ("train", "val", "valid", "test")


@dataclass(frozen=True)
class _Config:
    """What `data.yaml` says."""

    file: str
    classes: tuple[str, ...] | None
    splits: Mapping[str, Sequence[str]]
    """Paths of folders, images or lists by our name of the split."""
    base: str
    keypoints: bool


def read(files: Files, limits: Limits) -> Index | None:
    """Find images and labels and join them; None when there are no labels of this kind.

    An image without a label file that a split names is one without objects, as for YOLO.

    Raises:
        UserError: There is a `data.yaml`, but no label file; or files disagree about the classes.
    """
    names = visible(files.names())
    images = [name for name in names if extension(name) in IMAGES | RARE_IMAGES]
    try:
        config = _config(files, names, limits)
    except UserError:
        if not _candidates(names, images, None):
            # Without a label, the file may be anything's.
            return None
        raise
    groups = pair(_candidates(names, images, config), images, _LABEL_FOLDERS)
    joined = [group for group in groups if group[2] and group[3]]
    step = max(1, len(joined) // _SAMPLES)
    samples = [files.read(group[2][0]) for group in joined[::step]]
    if not any(data.strip() and yolo_labels.looks_like(data) for data in samples):
        if config is None or not config.splits or any(data.strip() for data in samples):
            return None
        raise UserError(
            f"{files.path} looks like a YOLO set ({config.file}), but no image has a label file: "
            "they are looked for beside the images and in labels/ in place of images/"
        )
    groups = [group for group in groups if group[3]]
    lost = _without_image(files, names, images, [label for group in joined for label in group[2]])
    roots = label_roots({root for root, _, _, _ in groups})
    records: dict[str, Record] = {}
    for root, rest, labels, found in groups:
        name = f"{roots[root]}/{rest}" if len(roots) > 1 else rest
        more = [*found[1:], *labels[1:]]
        records[name] = Record(
            name,
            found[0],
            labels[0] if labels else None,
            listing=f"also {', '.join(more)}" if more else OK,
        )
    absences = Absences(names)
    records |= {label: Record(label, None, label, absent=absences.explain(label)) for label in lost}
    records = dict(sorted(records.items()))
    classes, notes = _classes(files, names, config)
    if config is not None and config.splits:
        published, lists, missing = _configured(files, names, config, records, absences)
        notes += missing
    else:
        splits = published_splits.find(files, names, records, roots, absences)
        records, published, lists = splits.records, splits.published, splits.lists
    listed = {name for split in published.values() for name in split}
    without = [
        name
        for name in listed
        if records[name].image is not None and records[name].annotation is None
    ]
    records |= {name: replace(records[name], boxes=Annotation()) for name in without}
    if without:
        notes.append(f"{len(without)} images have no label file: they count as without objects")
    return Index(
        "detection",
        "YOLO labels",
        records,
        published,
        lists,
        parse=yolo_labels.Labels(classes, keypoints=config is not None and config.keypoints),
        notes=notes,
    )


def _without_image(
    files: Files, names: Sequence[str], images: Sequence[str], labels: Sequence[str]
) -> list[str]:
    """Label files beside those of images, called as no image."""
    folders = {label.rpartition("/")[0] for label in labels}
    stems = {last(image) for image in images}
    return [
        name
        for name in names
        if extension(name) == ".txt"
        and name.rpartition("/")[0] in folders
        and last(name) not in stems
        and (data := files.read(name)).strip()
        and yolo_labels.looks_like(data)
    ]


def _candidates(names: Sequence[str], images: Sequence[str], config: _Config | None) -> list[str]:
    """Text files that are called as an image; others may be anything."""
    stems = {last(image) for image in images}
    lists = {path for paths in (config.splits if config else {}).values() for path in paths}
    return [
        name
        for name in names
        if extension(name) == ".txt"
        and name.rpartition("/")[2][:-4].lower() not in _NO_LABELS
        and name not in lists
        and last(name) in stems
    ]


def _config(files: Files, names: Sequence[str], limits: Limits) -> _Config | None:
    """The file that names classes and splits; the one that names most, then the outermost."""
    found = []
    for name in names:
        if extension(name) in (".yaml", ".yml"):
            config = _read_yaml(name, b"".join(files.chunks(name, limits.annotation_bytes)))
            if config is not None:
                found.append(config)
    rank = lambda one: (-len(one.splits), one.classes is None, one.file.count("/"), one.file)  # noqa: E731
    best = min(found, key=rank, default=None)
    for other in found:
        if best and best.classes and other.classes and best.classes != other.classes:
            raise UserError(
                f"{files.path}: {best.file} and {other.file} name different classes; take the "
                "folder of one of them"
            )
    return best


def _read_yaml(file: str, data: bytes) -> _Config | None:
    try:
        document = YAML(typ="safe", pure=True).load(data)
    except (YAMLError, UnicodeDecodeError, RecursionError, ValueError) as error:
        if not _KEY.search(data):
            return None
        mark = getattr(error, "problem_mark", None)
        where = f"line {mark.line + 1}: {getattr(error, 'problem', '')}" if mark else str(error)
        where = " ".join(where.split())
        raise UserError(f"{file} is no YAML in UTF-8 ({where}); mend it") from None
    if not isinstance(document, dict) or not document.keys() & {"names", "train", "val"}:
        return None
    splits = {}
    for key in _KEYS:
        value = document.get(key)
        paths = [value] if isinstance(value, str) else value
        if isinstance(paths, list) and paths and all(isinstance(path, str) for path in paths):
            splits.setdefault(split_called(key), paths)
    classes = _names(file, document.get("names"))
    if classes is None and not splits:
        return None
    base = document.get("path")
    return _Config(
        file, classes, splits, base if isinstance(base, str) else "", "kpt_shape" in document
    )


def _names(file: str, names: Any) -> tuple[str, ...] | None:
    """Names of the classes by number, from a list or a mapping."""
    if isinstance(names, list):
        return tuple(_text(name) for name in names)
    if not isinstance(names, dict) or not names:
        return None
    try:
        numbered = {int(number): _text(name) for number, name in names.items()}
    except (TypeError, ValueError):
        raise UserError(f"{file}: names should be a list, or a mapping from numbers") from None
    if min(numbered) < 0 or max(numbered) > 100_000:
        raise UserError(f"{file}: names has the class number {max(numbered)}")
    return tuple(numbered.get(number, "") for number in range(max(numbered) + 1))


def _text(name: Any) -> str:
    """YAML makes `yes`, `no`, `on` and numbers into something else than text."""
    return "" if name is None else str(name).strip()


def _classes(
    files: Files, names: Sequence[str], config: _Config | None
) -> tuple[tuple[str, ...] | None, list[str]]:
    """Names of the classes by number, and what is to be said of them."""
    if config is not None and config.classes is not None:
        return config.classes, []
    found = {}
    for name in names:
        base = name.rpartition("/")[2].lower()
        if base.endswith((".names", ".labels")) or base in (
            "classes.txt",
            "labels.txt",
            "names.txt",
        ):
            lines = files.read(name).decode("utf-8-sig", "replace").splitlines()
            own = tuple(line.strip() for line in lines)
            while own and not own[-1]:
                own = own[:-1]
            if own:
                found[name] = own
    if len(set(found.values())) > 1:
        raise UserError(
            f"{files.path}: {' and '.join(found)} name different classes; remove all but one"
        )
    if found:
        return next(iter(found.values())), []
    return None, [
        "no file names the classes, which are called by their numbers: add data.yaml with `names:`"
    ]


def _configured(
    files: Files,
    names: Sequence[str],
    config: _Config,
    records: dict[str, Record],
    absences: Absences,
) -> tuple[dict[str, list[str]], list[ImageList], list[str]]:
    """Splits that `data.yaml` names, and what it names that is not there.

    Images that its lists name and that are not there are added to `records`.
    """
    by_image = {record.image: name for name, record in records.items() if record.image}
    lookup = PathLookup(by_image)

    def find(text: str) -> str | None:
        image = text if text in by_image else lookup.find(text, config.file)
        return None if image is None else by_image[image]

    texts = PathLookup(name for name in names if extension(name) == ".txt")
    folders = _folders(by_image)
    published: dict[str, list[str]] = {}
    lists = []
    notes = []
    for split, paths in config.splits.items():
        for path in paths:
            if extension(path) == ".txt":
                member = texts.find(path, config.file)
                lines = [] if member is None else read_list(files.read(member), find)
                own = []
                for line in lines:
                    name = line.image or line.text
                    if name not in records:
                        absent = absences.explain(line.text)
                        records[name] = Record(name, None, boxes=Annotation(), absent=absent)
                    own.append(name)
                if member is not None:
                    numbers = tuple(line.number for line in lines)
                    lists.append(ImageList(member, split, tuple(own), numbers))
            else:
                folder = _folder(path, config, folders)
                member = folder
                own = sorted(folders[folder]) if folder is not None else []
                own = [by_image[image] for image in own]
            if member is None:
                notes.append(f"{config.file} names {path} for {split}, which is not there")
            if own or split not in published:
                published.setdefault(split, []).extend(own)
    published = {split: own for split, own in published.items() if own}
    for split, own in list(published.items()):
        first = next(one for one, names in published.items() if set(names) == set(own))
        if first != split:
            # As programs write it where there is no such split.
            del published[split]
            notes.append(f"{config.file} names the images of {first} for {split} too: not used")
    return published, lists, notes


def _folders(images: Mapping[str, str]) -> dict[str, list[str]]:
    """Images below each folder, by its path in small letters."""
    found: dict[str, list[str]] = {}
    for image in images:
        parts = image.lower().split("/")[:-1]
        for count in range(len(parts) + 1):
            found.setdefault("/".join(parts[:count]), []).append(image)
    return found


def _folder(path: str, config: _Config, folders: Mapping[str, Any]) -> str | None:
    """The folder that is meant: relative to `path:` or the file, else with folders left out.

    Paths come from other machines; those folders at their beginnings are left out that are not in
    the set.
    """
    around = config.file.split("/")[:-1]
    texts = [f"{config.base}/{path}", path]
    for above in range(len(around), -1, -1):
        start = around[:above]
        for text in texts:
            parts = [part for part in re.split(r"[\\/]+", text.lower()) if part not in ("", ".")]
            parts = [part for part in parts if part != ".."]
            if not parts and "/".join(start).lower() in folders:
                return "/".join(start).lower()
            for first in range(len(parts)):
                candidate = "/".join([*(part.lower() for part in start), *parts[first:]])
                if candidate in folders:
                    return candidate
    return None
