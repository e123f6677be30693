"""Which images make up the training, validation and test split."""

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from yolo.errors import UserError


@dataclass(frozen=True)
class Plan:
    """Splits as far as they are known before the shares are drawn."""

    lists: dict[str, list[str]]
    """Names of images per split, in order; repeats within a published list stay."""
    drawn: tuple[str, ...]
    """Splits that are still to be drawn from `train`."""
    origin: dict[str, str]
    """How each split came about, for people."""
    used: frozenset[str] = frozenset()
    """Names of the published splits that are in `lists`."""


def plan(
    published: Mapping[str, Sequence[str]],
    everything: Sequence[str],
    wanted: Mapping[str, Sequence[str] | None],
) -> Plan:
    """Choose the images of each split.

    - Names given: the union of these published splits.
    - None: the published split of that name, unless another split uses some of its images; else it
      will be drawn from `train`.
    - `train` is None: the published `train`, else `trainval`, else every image; the latter two
      without what the other splits hold.

    Args:
        published: The set's own splits.
        everything: All images of the set that may be used.
        wanted: Names of published splits, or None, by split.

    Raises:
        UserError: A named split does not exist, or nothing is left for `train`.
    """
    lists: dict[str, list[str]] = {}
    origin: dict[str, str] = {}
    used: set[str] = set()
    for split, names in wanted.items():
        if names is not None:
            lists[split] = [image for name in names for image in _published(published, split, name)]
            origin[split] = " + ".join(names)
            used.update(names)
    asked_for = {image for images in lists.values() for image in images}
    drawn = []
    for split in wanted:
        if split in lists or split == "train":
            continue
        own = list(published.get(split, ()))
        if split in published and asked_for.isdisjoint(own):
            lists[split] = own
            origin[split] = split
            used.add(split)
        else:
            drawn.append(split)
            origin[split] = "drawn from train"
    if "train" in wanted and "train" not in lists:
        lists["train"], origin["train"] = _training(published, everything, lists)
        used.add(origin["train"].partition(" ")[0])
    if lists.get("train") == [] and wanted["train"] is None:
        raise UserError(
            "no image is left for the split train; "
            f"the set has the splits {_known(published)}: name those to use in data.<set>.splits"
        )
    return Plan(
        {split: lists[split] for split in wanted if split in lists},
        tuple(drawn),
        origin,
        frozenset(used),
    )


def draw(
    planned: Plan,
    shares: Mapping[str, float],
    seed: int,
    content: Callable[[str], str],
    group: Callable[[str], str | None],
) -> dict[str, list[str]]:
    """Draw the missing splits from `train`: of each group the same share, at least one in all.

    The rank of an image depends on the seed and its content only, so that identical images stay
    together and an image that is added moves few others.

    Args:
        planned: From `plan`.
        shares: Share of the published training images for each split to draw.
        seed: Another seed draws other images.
        content: Hash of an image's bytes.
        group: Images are drawn from each group (class) alike.

    Returns:
        Names of images per split, in the order of `train`.

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
    for image in planned.lists["train"]:
        lists[placed.get(image, "train")].append(image)
    for split in ("train", *planned.drawn):
        if not lists[split]:
            raise UserError(
                f"{len(planned.lists['train'])} images are too few to draw the split {split} "
                f"(share {shares.get(split)}) from them; add images, raise the share, "
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
    taken = {image for images in others.values() for image in images}
    origin = "trainval" if "trainval" in published else "all images"
    rest = published["trainval"] if origin == "trainval" else everything
    return [image for image in rest if image not in taken], f"{origin} without the others"


def _place(
    images: Iterable[str],
    splits: Sequence[str],
    shares: Mapping[str, float],
    seed: int,
    content: Callable[[str], str],
    group: Callable[[str], str | None],
) -> dict[str, str]:
    """Split of each drawn image."""
    groups: dict[str, dict[str, list[str]]] = {}
    for image in images:
        alike = groups.setdefault(group(image) or "", {})
        alike.setdefault(content(image), []).append(image)
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
