"""What sets call their splits, and our names for them."""

import re
from collections.abc import Mapping, Sequence

_NAMES = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "validate": "val",
    "dev": "val",
    "test": "test",
    "testing": "test",
    "trainval": "trainval",
}
USUAL = ("train", "val", "trainval", "test")
_WORDS = re.compile(r"[a-z]+")
_PART = re.compile(r"[._ -](?:x|part|split)?[._ -]?\d*$")
"""What numbers the parts of a split: Kaggle's `train.X1`, `train_part2`; `val.X`."""

_BESIDE = re.compile(
    r"^(?:seg|autosplit)[_ -](?=[a-z])"
    r"|[_ -]?(?:set|data|dataset|images?|imgs?|list|lst|files?|ids?)$"
)
"""What stands beside a split's name in a folder's or a list's: `training_set`, `seg_train`,
`test_images`, `train_list`, `autosplit_val`."""
_LABELS = re.compile(r"[_ -]?(?:labels?|annotations?)$")


def split_called(name: str) -> str | None:
    """Our name for a split that is called so, whatever the case: `Validation` → `val`.

    A year, a number or the part's number behind it is no part of the name (`train2017`,
    `train.X1`); None: not a split's name.
    """
    lower = _PART.sub("", name.lower().strip())
    bare = lower.rstrip("0123456789") or lower
    return _NAMES.get(bare.rstrip("_- ").replace("_", "").replace("-", ""))


def split_of_folder(name: str) -> str | None:
    """As `split_called`, for the name of a folder, which may say more: `training_set` → `train`."""
    return split_called(name) or split_called(_BESIDE.sub("", name.lower().strip()))


def split_of_list(name: str) -> str | None:
    """As `split_of_folder`, for the name of a list without ending: `train_labels` → `train`."""
    return split_of_folder(_LABELS.sub("", name.lower().strip()))


def split_in(name: str) -> str | None:
    """Our name for the split that a file's name mentions: `instances_val2017` → `val`.

    None when it mentions none, or several.
    """
    found = {_NAMES[word] for word in _WORDS.findall(name.lower()) if word in _NAMES}
    if found == {"train", "val"}:
        return "trainval"
    return found.pop() if len(found) == 1 else None


def by_folder(paths: Mapping[str, str]) -> dict[str, list[str]]:
    """Splits that folders make: the outermost folder that is called as a split.

    Args:
        paths: Path of each image by its name.

    Returns:
        Names by split, in their order; empty when no folder makes a difference: there is none, or
        all images lie in one that is not for training.
    """
    found: dict[str, list[str]] = {}
    for name, path in paths.items():
        split = next((s for part in path.split("/")[:-1] if (s := split_called(part))), None)
        if split is not None:
            found.setdefault(split, []).append(name)
    whole = len(found) == 1 and len(next(iter(found.values()))) == len(paths)
    return {} if whole and "train" not in found else found


def in_our_order(splits: Mapping[str, Sequence[str]]) -> list[str]:
    """Names of splits: ours first, then the others."""
    return [*(name for name in USUAL if name in splits), *sorted(set(splits) - set(USUAL))]
