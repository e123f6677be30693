"""From a set's archives to a verdict: what is admitted, what is not and why."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from yolo.class_names import problem_with
from yolo.data.formats.index import OK, Files, ImageList, Index, Limits, Record
from yolo.data.validate import rules, splits
from yolo.data.validate.filtering import Filtered, filter_rows
from yolo.data.validate.probe import Probe, probe_records
from yolo.data.validate.rules import Outcome, Rule, Table
from yolo.data.validate.tables import (
    Columns,
    class_table,
    classes_found,
    image_table,
    list_table,
    listed,
    mark_collisions,
    object_table,
    set_apart_unusable,
)
from yolo.errors import UserError
from yolo.runtime.progress import progress
from yolo.runtime.workers import Workers

Engine = Callable[[Sequence[Rule], Mapping[str, Table], Mapping[str, str]], Outcome]
"""Finds the rows that break rules; called with rules, tables and policies by rule."""

# Rules without a choice.
_ALWAYS = {"min_images": "fail", "max_rejected": "fail"}


@dataclass(frozen=True)
class Contract:
    """What is asked of a set."""

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
    """Images look alike when no more bits of their perceptual hashes differ."""
    limits: Limits
    grid: int
    """Side of the detector's grid, for detection."""
    rename: Mapping[str, str | None] = field(default_factory=dict)
    """What a class that is found is called instead; None: it is left out."""


@dataclass(frozen=True)
class ValidationResult:
    """The verdict and all that is needed to write the clean data."""

    index: Index
    classes: tuple[str, ...]
    found: tuple[str, ...]
    """Names of the classes that the set has, renamed, sorted."""
    origin: Mapping[str, str]
    """How each split came about, for people."""
    drawn: Sequence[str]
    """Splits that the set does not have and that were drawn from its training images."""
    listed: int
    """Images that the splits list."""
    unlisted: list[Record]
    """In none of the splits."""
    published: Mapping[str, Columns]
    """All images and objects as they came."""
    probes: Mapping[str, Probe]
    """What is known of each image by name; of images that no split lists, nothing."""
    meanings: Mapping[str, str]
    """What must hold, by rule."""
    images: Columns
    """Admitted images; `image_row` numbers them among all."""
    objects: Columns | None
    """Admitted objects, boxes as clipped, by the `image_row` of their image; None for
    classification."""
    filtered: Filtered
    examples: Columns
    """A row per class: its name and, for each split, the admitted examples."""
    failures: list[tuple[Rule, list[str]]]
    """Rules because of which the set is refused, with what broke them."""
    warnings: list[tuple[Rule, list[str]]]
    """Rules about the set as a whole that it breaks without being refused."""
    outcomes: Sequence[tuple[str, Outcome]]
    """What the engine said of the tables as `published` and as `admitted`."""

    @property
    def records(self) -> Mapping[str, Record]:
        """All images of the set by name."""
        return self.index.records


def validate(
    files: Files, index: Index, contract: Contract, engine: Engine, label: str, workers: Workers
) -> ValidationResult:
    """Read each image once and judge the set.

    Args:
        files: The set's archives.
        index: What they hold (`layouts.read_index`).
        contract: What is asked.
        engine: Evaluates the rules.
        label: What the progress line is called.
        workers: Examine the images.

    Raises:
        UserError: The set has not the splits or classes asked for, or an archive is damaged.
    """
    detection = index.kind == "detection"
    if contract.rename and not detection:
        index = _relabelled(index, contract.rename)
    records = index.records
    wanted = _present(index.published) if contract.splits is None else contract.splits
    planned = splits.plan(index.published, _usable(index), wanted)
    needed = dict.fromkeys(name for names in planned.lists.values() for name in names)
    probes: dict[str, Probe] = dict.fromkeys(needed, Probe())
    asked = [
        records[name]
        for name in needed
        # Images of classes that nobody asked for need not be read.
        if detection or not contract.classes or records[name].label in contract.classes
    ]
    found = probe_records(files, asked, index.parse, contract.limits, workers)
    probes.update(progress(found, label, len(asked)))
    lists = splits.draw(
        planned,
        contract.shares,
        contract.seed,
        content=lambda name: probes[name].image.content or name,
        group=lambda name: records[name].label,
    )
    images = image_table(
        lists,
        records,
        probes,
        detection=detection,
        near_duplicate_bits=contract.near_duplicate_bits,
        image_lists=index.lists,
    )
    tables = {"images": images}
    if detection:
        _check_rename(contract.rename, _names(probes.values()))
        tables["objects"] = object_table(images, records, probes, contract.rename)
        if not contract.classes:
            set_apart_unusable(tables["objects"])
    names = classes_found(tables.get("objects", images))
    classes = tuple(contract.classes or names)
    if problem := problem_with(classes):
        raise UserError(
            f"{problem}; rename it in the data, or name the classes to use (data.<set>.classes)"
        )
    if not detection and len(classes) == 1:
        raise UserError(
            f"{files.path} holds images of one class only, {classes[0]!r}, from which a classifier "
            "has nothing to learn; it needs a folder for each of two or more classes"
        )
    if detection:
        mark_collisions(images, tables["objects"], classes, contract.grid)
    row_rules = (rules.detection_rules if detection else rules.image_rules)(classes)
    policies = {**contract.policies, **_ALWAYS}
    published = engine(row_rules, tables, policies)
    filtered = filter_rows(tables, published.broken, policies)
    admitted = {name: filtered.admitted(name, table) for name, table in tables.items()}
    counts = _counts(lists, admitted)
    examples = class_table(classes, names, counts)
    # What remains must keep every rule that dropped or changed something.
    kept_rules = [rule for rule in row_rules if policies[rule.name] not in ("warn", "fail")]
    set_rules = rules.set_rules(list(lists), contract.min_images, contract.max_rejected)
    set_tables = {
        "splits": _split_sizes(lists, admitted["images"]),
        "classes": examples,
        "lists": list_table(_uses(index, planned, wanted, lists)),
        "losses": filtered.losses(),
    }
    gate = engine([*kept_rules, *set_rules], {**admitted, **set_tables}, policies)
    judged = [
        (rule, [_line(rule, {**tables, **set_tables}, row) for row in rows])
        for rule, rows in [
            *(pair for pair in published.broken if policies[pair[0].name] == "fail"),
            *gate.broken,
        ]
        if rows
    ]
    return ValidationResult(
        index=index,
        classes=classes,
        found=names,
        origin=planned.origin,
        drawn=planned.drawn,
        listed=len(needed),
        unlisted=[record for name, record in records.items() if name not in needed],
        published=tables,
        probes=probes,
        meanings={rule.name: rule.meaning for rule in (*row_rules, *set_rules)},
        images=admitted["images"],
        objects=admitted.get("objects"),
        filtered=filtered,
        examples={"class": list(classes), **{split: examples[split] for split in lists}},
        failures=[pair for pair in judged if policies[pair[0].name] != "warn"],
        warnings=[pair for pair in judged if policies[pair[0].name] == "warn"],
        outcomes=(("published", published), ("admitted", gate)),
    )


def _usable(index: Index) -> list[str]:
    """Images from which splits may be made; one without annotation counts only if listed."""
    annotated = [name for name, record in index.records.items() if record.annotated]
    return annotated if index.kind == "detection" and annotated else list(index.records)


def _names(probes: Iterable[Probe]) -> set[str]:
    """What the annotated objects are called."""
    return {one.name for probe in probes if probe.annotation for one in probe.annotation.objects}


def _relabelled(index: Index, rename: Mapping[str, str | None]) -> Index:
    """The index of a classification set with classes renamed, and without those left out."""
    _check_rename(rename, {record.label for record in index.records.values() if record.label})
    records = {
        name: replace(record, label=label)
        for name, record in index.records.items()
        if (label := rename.get(record.label or "", record.label)) or record.label is None
    }
    published = {
        split: [name for name in names if name in records]
        for split, names in index.published.items()
    }
    return replace(index, records=records, published=published)


def _check_rename(rename: Mapping[str, str | None], found: set[str]) -> None:
    if unknown := sorted(rename.keys() - found):
        raise UserError(
            f"data.<set>.rename names {unknown[0]!r}, which nothing is called; "
            f"the set has {listed(sorted(found))}"
        )


def _present(published: Mapping[str, Sequence[str]]) -> dict[str, Sequence[str] | None]:
    """The set's own train, val and test; all images as train without any.

    Of each part of a set (VOC's years) trainval stands in for both train and val, and `all` for a
    part without splits.
    """
    present: dict[str, list[str]] = {
        split: [split] for split in ("train", "val", "test") if split in published
    }
    # A list outside of the set's folder for them is called by its path.
    names = [name for name in published if "/" in name and not name.lower().endswith(".txt")]
    parts = dict.fromkeys(name.rpartition("/")[0] for name in names) or [""]
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


def _uses(
    index: Index,
    planned: splits.Plan,
    wanted: Mapping[str, Sequence[str] | None],
    lists: Mapping[str, Sequence[str]],
) -> list[tuple[ImageList, str]]:
    """The set's own lists and whether the splits use them: `ok`, or how to use one."""
    if all(names is not None for names in wanted.values()) and planned.used == {
        name for names in wanted.values() for name in names or ()
    }:
        # Each split was named: that the other lists are not used is meant so.
        return [(one, OK) for one in index.lists]
    used = [set(index.published[name]) for name in planned.used if name in index.published]
    parts = [set(names) for names in lists.values()]
    found = []
    for one in index.lists:
        own = set(one.images)
        # A list that is the union of splits (trainval) says nothing that they do not.
        inside = [part for part in parts if part & own]
        is_union = own == set().union(*inside) if inside else not own
        if one.split.rpartition("/")[2] == "trainval" and planned.used >= {"train", "val"}:
            # That of one year: the splits join those of several.
            is_union = own <= set().union(*inside)
        is_part = any(own <= names for names in used if one.split in planned.used)
        use = (
            OK
            if is_union or is_part
            else f"{one.file} lists {len(own)} images and is not used; "
            f"to use it, name {one.split!r} in data.detection.splits"
        )
        found.append((one, use))
    return found


def _split_sizes(lists: Mapping[str, Sequence[str]], images: Columns) -> Columns:
    sizes = Counter(images["split"])
    return {"split": list(lists), "images": [sizes[split] for split in lists]}


def _counts(
    lists: Mapping[str, Sequence[str]], admitted: Mapping[str, Columns]
) -> dict[str, dict[str, int]]:
    """Admitted examples by split and class."""
    labelled = admitted.get("objects", admitted["images"])
    counts: dict[str, dict[str, int]] = {split: {} for split in lists}
    pairs = Counter(zip(labelled["split"], labelled["class"], strict=True))
    for (split, name), count in pairs.items():
        counts[split][name] = count
    return counts


def _line(rule: Rule, tables: Mapping[str, Table], row: int) -> str:
    table = tables[rule.table]
    text = rules.shown(rule, table, row)
    if "file" not in table or rule.table == "lists":
        return text
    number = f" object {table['object'][row]}" if "object" in table else ""
    return f"{table['file'][row]}{number}: {text}"
