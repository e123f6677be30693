"""Which pictures make up the training, validation and test split."""

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from yolo.errors import UserError


@dataclass(frozen=True)
class Plan:
    """Splits as far as they are known before the shares are drawn."""

    lists: dict[str, list[str]]
    """Names of pictures per split, in order; repeats within a published list stay."""
    drawn: tuple[str, ...]
    """Splits that are still to be drawn from `train`."""
    origin: dict[str, str]
    """How each split came about, for people."""


def plan(
    published: Mapping[str, Sequence[str]],
    everything: Sequence[str],
    wanted: Mapping[str, Sequence[str] | None],
) -> Plan:
    """Choose the pictures of each split.

    A split whose names are given joins these published splits. One that is None is the published
    split of its name, provided that no other split asked for any of its pictures; else it will be
    drawn from `train`. `train` without a name is the published `train`, else `trainval`, else every
    picture; the latter two without what the other splits hold.

    Args:
        published: The set's own splits.
        everything: All pictures of the set.
        wanted: Names of published splits, or None, by split.

    Raises:
        UserError: A named split does not exist, or nothing is left for `train`.
    """
    lists: dict[str, list[str]] = {}
    origin: dict[str, str] = {}
    for split, names in wanted.items():
        if names is not None:
            lists[split] = [
                picture for name in names for picture in _published(published, split, name)
            ]
            origin[split] = " + ".join(names)
    asked_for = {picture for pictures in lists.values() for picture in pictures}
    drawn = []
    for split in wanted:
        if split in lists or split == "train":
            continue
        own = list(published.get(split, ()))
        if split in published and asked_for.isdisjoint(own):
            lists[split] = own
            origin[split] = split
        else:
            drawn.append(split)
            origin[split] = "share of train"
    if "train" in wanted and "train" not in lists:
        lists["train"], origin["train"] = _training(published, everything, lists)
    if lists.get("train") == [] and wanted["train"] is None:
        raise UserError(
            "no picture is left for the split train; "
            f"the set has the splits {_known(published)}: name those to use in data.<set>.splits"
        )
    return Plan({split: lists[split] for split in wanted if split in lists}, tuple(drawn), origin)


def draw(
    planned: Plan,
    shares: Mapping[str, float],
    seed: int,
    content: Callable[[str], str],
    group: Callable[[str], str | None],
) -> dict[str, list[str]]:
    """Draw the missing splits from `train`: of each group the same share, at least one in all.

    The rank of a picture depends on the seed and its content only, so that identical pictures
    stay together and a picture that is added moves few others.

    Args:
        planned: From `plan`.
        shares: Share of the published training pictures for each split to draw.
        seed: Another seed draws other pictures.
        content: Hash of a picture's bytes.
        group: Pictures are drawn from each group (class) alike.

    Returns:
        Names of pictures per split, in the order of `train`.

    Raises:
        UserError: `train` is too small for the shares.
    """
    if not planned.drawn:
        return dict(planned.lists)
    placed = _place(
        dict.fromkeys(planned.lists["train"]), planned.drawn, shares, seed, content, group
    )
    lists = {**planned.lists, **{split: [] for split in planned.drawn}}
    lists["train"] = []
    for picture in planned.lists["train"]:
        lists[placed.get(picture, "train")].append(picture)
    for split in ("train", *planned.drawn):
        if not lists[split]:
            raise UserError(
                f"{len(planned.lists['train'])} pictures are too few to draw the split {split} "
                f"(share {shares.get(split)}) from them; add pictures, raise the share, "
                "or name a split of the set in data.<set>.splits"
            )
    return lists


def _training(
    published: Mapping[str, Sequence[str]],
    everything: Sequence[str],
    others: Mapping[str, Sequence[str]],
) -> tuple[list[str], str]:
    if "train" in published:
        return list(published["train"]), "train"
    taken = {picture for pictures in others.values() for picture in pictures}
    origin = "trainval" if "trainval" in published else "all pictures"
    rest = published["trainval"] if origin == "trainval" else everything
    return [picture for picture in rest if picture not in taken], f"{origin} without the others"


def _place(
    pictures: Iterable[str],
    splits: Sequence[str],
    shares: Mapping[str, float],
    seed: int,
    content: Callable[[str], str],
    group: Callable[[str], str | None],
) -> dict[str, str]:
    """Split of each drawn picture."""
    groups: dict[str, dict[str, list[str]]] = {}
    for picture in pictures:
        alike = groups.setdefault(group(picture) or "", {})
        alike.setdefault(content(picture), []).append(picture)
    placed: dict[str, str] = {}
    seen = 0
    drawn = dict.fromkeys(splits, 0)
    for _, alike in sorted(groups.items()):
        ranked = sorted(alike, key=lambda key: hashlib.sha256(f"{seed}:{key}".encode()).digest())
        seen += sum(map(len, alike.values()))
        for split in splits:
            # Counted over the groups so far, so that small groups do not all round to nothing.
            while drawn[split] < max(1, round(shares[split] * seen)) and len(ranked) > 1:
                same = alike[ranked.pop(0)]
                placed.update(dict.fromkeys(same, split))
                drawn[split] += len(same)
    return placed


def _published(published: Mapping[str, Sequence[str]], split: str, name: str) -> Sequence[str]:
    if name not in published:
        raise UserError(
            f"data.<set>.splits.{split} names {name!r}, which the set does not have; "
            f"it has {_known(published)}"
        )
    return published[name]


def _known(published: Mapping[str, Sequence[str]]) -> str:
    return ", ".join(sorted(published)) or "no splits of its own"
