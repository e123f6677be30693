"""From a set's archives to a verdict: what is admitted, what is not and why."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from yolo.class_names import problem_with
from yolo.data.validate import imagefolder, rules, splits, voc
from yolo.data.validate.filtering import Admission, admit
from yolo.data.validate.index import Entry, Files
from yolo.data.validate.probe import Facts, Limits, survey
from yolo.data.validate.rules import Rule, Table
from yolo.data.validate.tables import (
    Columns,
    classes_found,
    image_table,
    mark_collisions,
    object_table,
)
from yolo.errors import UserError
from yolo.runtime.progress import progress
from yolo.runtime.workers import Workers

Broken = list[tuple[Rule, list[int]]]
Engine = Callable[[str, Sequence[Rule], Mapping[str, Table], Mapping[str, str]], Broken]
"""Finds the rows that break rules; called with a title, rules, tables and policies by rule."""

# Rules without a choice.
_ALWAYS = {"min_images": "fail", "max_rejected": "fail"}


@dataclass(frozen=True)
class Contract:
    """What is asked of a set."""

    detection: bool
    """Boxes (VOC's layout), or one class per picture (ImageFolder)."""
    classes: Sequence[str] | None
    """In the order of their numbers; None: all that are found, sorted."""
    splits: Mapping[str, Sequence[str] | None] | None
    """See `splits.plan`; None: all that the set has."""
    shares: Mapping[str, float]
    seed: int
    min_images: int
    max_rejected: float
    policies: Mapping[str, str]
    """Action by rule."""
    near_duplicate_bits: int
    """Pictures look alike when no more bits of their perceptual hashes differ."""
    limits: Limits
    grid: int
    """Side of the detector's grid, for detection."""


@dataclass(frozen=True)
class Assessment:
    """The verdict and all that is needed to write the clean data."""

    classes: tuple[str, ...]
    origin: Mapping[str, str]
    """How each split came about, for people."""
    entries: Mapping[str, Entry]
    listed: int
    """Pictures that the splits list."""
    unlisted: list[Entry]
    """In none of the splits."""
    ignored: Sequence[str]
    """Files that are no pictures by their names."""
    published: Mapping[str, Columns]
    """All pictures and objects as they came."""
    meanings: Mapping[str, str]
    """What must hold, by rule."""
    images: Columns
    """Admitted pictures; `image_row` numbers them among all."""
    objects: Columns | None
    """Admitted objects, boxes as clipped, by the `image_row` of their picture; None for
    classification."""
    admission: Admission
    examples: Columns
    """A row per class: its name and, for each split, the admitted examples."""
    failures: list[tuple[Rule, list[str]]]
    """Rules because of which the set is refused, with what broke them."""
    warnings: list[tuple[Rule, list[str]]]
    """Rules about the set as a whole that it breaks without being refused."""


def assess(
    files: Files, contract: Contract, engine: Engine, label: str, workers: Workers
) -> Assessment:
    """Read everything once and judge it.

    Args:
        files: The set's archives.
        contract: What is asked.
        engine: Evaluates the rules.
        label: What the progress line is called.
        workers: Examine the pictures.

    Raises:
        UserError: The set has no known layout, not the splits asked for, or an archive is damaged.
    """
    found = (voc if contract.detection else imagefolder).listing(files)
    wanted = _present(found.published) if contract.splits is None else contract.splits
    planned = splits.plan(found.published, list(found.entries), wanted)
    needed = dict.fromkeys(name for names in planned.lists.values() for name in names)
    facts: dict[str, Facts] = dict.fromkeys(needed, Facts())
    asked = [found.entries[name] for name in needed if _is_asked_for(found.entries[name], contract)]
    facts.update(progress(survey(files, asked, contract.limits, workers), label, len(asked)))
    lists = splits.draw(
        planned,
        contract.shares,
        contract.seed,
        content=lambda name: facts[name].picture.content or name,
        group=lambda name: found.entries[name].label,
    )
    images = image_table(
        lists,
        found.entries,
        facts,
        detection=contract.detection,
        near_duplicate_bits=contract.near_duplicate_bits,
    )
    tables = {"images": images}
    if contract.detection:
        tables["objects"] = object_table(images, found.entries, facts)
    labelled = tables.get("objects", images)
    classes = tuple(contract.classes or classes_found(labelled))
    if problem := problem_with(classes):
        raise UserError(
            f"{problem}; rename it in the data, or name the classes to use (data.<set>.classes)"
        )
    if contract.detection:
        mark_collisions(images, tables["objects"], classes, contract.grid)
    row_rules = (rules.detection_rules if contract.detection else rules.image_rules)(classes)
    policies = {**contract.policies, **_ALWAYS}
    broken = engine("published", row_rules, tables, policies)
    admission = admit(tables, broken, policies)
    admitted = {name: admission.admitted(name, table) for name, table in tables.items()}
    examples = _examples(classes, lists, admitted)
    # What remains must keep every rule that dropped or changed something.
    kept_rules = [rule for rule in row_rules if policies[rule.name] not in ("warn", "fail")]
    set_rules = rules.set_rules(list(lists), contract.min_images, contract.max_rejected)
    set_tables = {
        "splits": _split_sizes(lists, admitted["images"]),
        "classes": examples,
        "losses": admission.losses(),
    }
    gate = engine("admitted", [*kept_rules, *set_rules], {**admitted, **set_tables}, policies)
    judged = [
        (rule, [_line(rule, {**tables, **set_tables}, row) for row in rows])
        for rule, rows in [*(pair for pair in broken if policies[pair[0].name] == "fail"), *gate]
        if rows
    ]
    return Assessment(
        classes=classes,
        origin=planned.origin,
        entries=found.entries,
        listed=len(needed),
        unlisted=[entry for name, entry in found.entries.items() if name not in needed],
        ignored=found.ignored,
        published=tables,
        meanings={rule.name: rule.meaning for rule in (*row_rules, *set_rules)},
        images=admitted["images"],
        objects=admitted.get("objects"),
        admission=admission,
        examples=examples,
        failures=[pair for pair in judged if policies[pair[0].name] != "warn"],
        warnings=[pair for pair in judged if policies[pair[0].name] == "warn"],
    )


def _is_asked_for(entry: Entry, contract: Contract) -> bool:
    """Pictures of classes that nobody asked for need not be read."""
    return contract.detection or not contract.classes or entry.label in contract.classes


def _present(published: Mapping[str, Sequence[str]]) -> dict[str, Sequence[str] | None]:
    """The set's own train, val and test; all pictures as train without any.

    Of each part of a set (VOC's years) trainval stands in for both train and val, and `all` for a
    part without splits.
    """
    present: dict[str, list[str]] = {
        split: [split] for split in ("train", "val", "test") if split in published
    }
    parts = dict.fromkeys(name.rpartition("/")[0] for name in published if "/" in name) or [""]
    for part in parts:
        start = f"{part}/" if part else ""
        own = {f"{start}{split}" for split in ("train", "val")} & published.keys()
        names = [f"{start}all"] if own else [f"{start}trainval", f"{start}all"]
        found = [name for name in names if name in published]
        if found:
            present.setdefault("train", []).extend(found)
    return {split: present[split] for split in ("train", "val", "test") if split in present} or {
        "train": None
    }


def _split_sizes(lists: Mapping[str, Sequence[str]], images: Columns) -> Columns:
    sizes = Counter(images["split"])
    return {"split": list(lists), "images": [sizes[split] for split in lists]}


def _examples(
    classes: Sequence[str], lists: Mapping[str, Sequence[str]], admitted: Mapping[str, Columns]
) -> Columns:
    labelled = admitted.get("objects", admitted["images"])
    counts = Counter(zip(labelled["split"], labelled["class"], strict=True))
    columns = {split: [counts[split, name] for name in classes] for split in lists}
    return {"class": list(classes), **columns}


def _line(rule: Rule, tables: Mapping[str, Table], row: int) -> str:
    table = tables[rule.table]
    text = rules.shown(rule, table, row)
    if "file" not in table:
        return text
    number = f" object {table['object'][row]}" if "object" in table else ""
    return f"{table['file'][row]}{number}: {text}"
