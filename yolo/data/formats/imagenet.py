"""ImageNet-1k as it is published: ILSVRC's archives, Kaggle's copy, and flat names.

The training images lie in folders of their class, or carry it in their names
(`n01440764_10026.JPEG`). The validation images lie in one folder; their classes are in
`LOC_val_solution.csv` (Kaggle), in the development kit, or in their names (Hugging Face:
`ILSVRC2012_val_00000001_n01751141.JPEG`). The test images have no published classes.
"""

import csv
import io
import re
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath

from yolo.data.formats.index import IMAGES, Files, Index, Record, extension, visible
from yolo.data.formats.matlab import read_table
from yolo.data.formats.split_names import split_called
from yolo.errors import UserError

_SYNSET = re.compile(r"n\d{8}")
_IN_NAME = re.compile(r"(?:(n\d{8})_\d+(?:_n\d{8})?|ILSVRC2012_\w+?_\d{8}_(n\d{8}))")
_WITHOUT_CLASS = re.compile(r"ILSVRC2012_(val|test)_\d{8}")
_LOCALISATION = "Data/CLS-LOC/"
_SOLUTION = "LOC_val_solution.csv"
_TRUTH, _META = "ILSVRC2012_validation_ground_truth.txt", "meta.mat"


def read(files: Files) -> Index | None:
    """The images with their classes; None for a set that has none of ImageNet's own arrangements.

    Raises:
        UserError: A file of the validation images' classes is damaged.
    """
    everything = visible(files.names())
    names = [name for name in everything if extension(name) in IMAGES]
    if not any(_is_arranged_so(name) for name in names):
        return None
    flat = sorted(PurePosixPath(name).stem for name in names if _folder_class(name) is None)
    classes, notes = _validation_classes(
        files, everything, [stem for stem in flat if stem.startswith("ILSVRC2012_val_")]
    )
    records: dict[str, Record] = {}
    published: dict[str, list[str]] = {}
    for name in names:
        stem = PurePosixPath(name).stem
        label = _folder_class(name) or _class_in(stem) or classes.get(stem)
        records[name] = Record(name, name, label=label)
        if label is not None:
            published.setdefault(_split_of(name), []).append(name)
    tests = sum(_WITHOUT_CLASS.fullmatch(stem) is not None and "_test_" in stem for stem in flat)
    if tests:
        notes.append(f"{tests} test images are left out: ImageNet does not publish their classes")
    ignored = sorted(set(everything) - set(names))
    return Index("classification", "ImageNet-1k", records, published, ignored=ignored, notes=notes)


def _is_arranged_so(name: str) -> bool:
    if _LOCALISATION in name:
        return True
    stem = PurePosixPath(name).stem
    return _folder_class(name) is None and (
        _WITHOUT_CLASS.fullmatch(stem) is not None or _class_in(stem) is not None
    )


def _folder_class(name: str) -> str | None:
    """The class whose folder holds the image."""
    folder = PurePosixPath(name).parent.name
    return folder if _SYNSET.fullmatch(folder) else None


def _class_in(stem: str) -> str | None:
    """The class that an image's name carries."""
    found = _IN_NAME.fullmatch(stem)
    return (found[1] or found[2]) if found else None


def _split_of(name: str) -> str:
    path = PurePosixPath(name)
    if path.stem.startswith("ILSVRC2012_val_"):
        return "val"
    folders = (split_called(part) for part in path.parts[:-1])
    return next((split for split in folders if split is not None), "train")


def _validation_classes(
    files: Files, names: Sequence[str], stems: Sequence[str]
) -> tuple[Mapping[str, str], list[str]]:
    """Class of each validation image by its name without extension, and what to tell people."""
    unknown = [stem for stem in stems if _class_in(stem) is None]
    if not unknown:
        return {}, []
    by_name = {PurePosixPath(name).name: name for name in names}
    if _SOLUTION in by_name:
        return _from_solution(files, by_name[_SOLUTION]), []
    if _TRUTH in by_name and _META in by_name:
        truth, meta = by_name[_TRUTH], by_name[_META]
        return _from_development_kit(files, truth, meta, unknown), []
    missing = f" ({_META} is missing beside {by_name[_TRUTH]})" if _TRUTH in by_name else ""
    return {}, [
        f"{len(unknown)} validation images are left out, for nothing says their classes{missing}: "
        f"put {_SOLUTION} or ILSVRC2012_devkit_t12.tar.gz beside them"
    ]


def _from_solution(files: Files, name: str) -> dict[str, str]:
    """Rows `ILSVRC2012_val_00048981,n03995372 85 1 499 272`: the first word is the class."""
    try:
        rows = list(csv.DictReader(io.StringIO(files.read(name).decode("utf-8-sig"))))
        return {row["ImageId"].strip(): row["PredictionString"].split()[0] for row in rows}
    except (UnicodeError, csv.Error, KeyError, IndexError, AttributeError, TypeError) as error:
        raise UserError(
            f"{files.path}: {name} is no table of ImageId and PredictionString ({error!r}); "
            "get it again"
        ) from None


def _from_development_kit(
    files: Files, truth: str, meta: str, stems: Sequence[str]
) -> dict[str, str]:
    """A number per line in the images' order; `meta.mat` says which class a number is."""
    synsets = _synsets(files, meta)
    try:
        numbers = [int(line) for line in files.read(truth).decode("ascii").split()]
    except (UnicodeError, ValueError):
        raise UserError(
            f"{files.path}: {truth} does not hold one number per line; get it again"
        ) from None
    found = {}
    for stem in stems:
        place = int(stem.rpartition("_")[2])
        if not 1 <= place <= len(numbers) or numbers[place - 1] not in synsets:
            raise UserError(
                f"{files.path}: {truth} has no class for {stem}; the file and the images do not "
                "belong together"
            )
        found[stem] = synsets[numbers[place - 1]]
    return found


def _synsets(files: Files, meta: str) -> dict[int, str]:
    """WordNet identifier by ILSVRC2012_ID."""
    try:
        table = read_table(files.read(meta), "synsets")
        return {int(row["ILSVRC2012_ID"] or 0): str(row["WNID"]) for row in table}
    except (ValueError, KeyError, OverflowError) as error:
        raise UserError(
            f"{files.path}: {meta} is not the development kit's table of classes ({error}); "
            "get it again"
        ) from None
