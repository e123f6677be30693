"""What the runs of a project changed and gained: `yolov1 runs`, `yolov1 compare`."""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean, stdev
from textwrap import wrap
from typing import TYPE_CHECKING, Any

from stages.registry import revisions
from stages.registry.revisions import CLEAN, DETECTIONS, SPLIT, Cache, Revision
from yolo.commands.console import percent
from yolo.commands.score import read_clean, read_devkit
from yolo.errors import UserError

if TYPE_CHECKING:
    from yolo.evaluation.analysis.comparison import Difference
    from yolo.evaluation.analysis.devkit import Annotations
    from yolo.metrics.voc_ap import Detections

_NO_KEY = "no such key"
_LINE = "{:<36}  {:<22}  {:<24}  {:>8}  {:>8}"
_WIDTH = 118
_MOST = 60


@dataclass(frozen=True)
class Row:
    """One run, or the runs that differ in seeds alone. Scores are shares, 0 to 1."""

    names: tuple[str, ...]
    commits: tuple[str, ...]
    changes: dict[str, tuple[Any, Any]]
    """Parameter → value in the baseline and here."""
    score: float | None
    """`voc07_map`; of several runs their mean."""
    interval: tuple[float, float] | None
    """95 % interval over the test images; None for several runs."""
    deviation: float | None
    """Standard deviation over several runs; None for one."""
    difference: float | None
    """To the baseline on the same images; of several runs the mean."""
    difference_interval: tuple[float, float] | None
    """95 % interval of the paired difference; None for several runs."""
    seconds: float | None
    price: float | None
    note: str
    """Why there is no difference; else empty."""


def rows(baseline: str = "HEAD", root: Path = Path()) -> list[Row]:
    """The baseline first, then every experiment, branch `runs/*` and tag, the oldest first.

    Raises:
        UserError: The project is no repository, or there is no such baseline.
    """
    named: dict[str, list[str]] = {}
    start = revisions.commit_of(baseline, root)
    for name, commit in revisions.listed(root).items():
        named.setdefault(commit, []).append(name)
    others = named.pop(start, [])
    names = (baseline, *(name for name in others if name != baseline))
    base = revisions.read(names, start, root)
    runs = [revisions.read(tuple(own), commit, root) for commit, own in named.items()]
    # a tag of another kind, say, of a commit without the pipeline
    runs = [run for run in runs if run.params]
    kept = Cache(root)
    groups: dict[str, list[Revision]] = {}
    for run in runs:
        groups.setdefault(_without_seeds(run), []).append(run)
    found = [_row(base, base, kept)]
    for key, members in groups.items():
        own = [_row(base, run, kept) for run in members]
        compared = [base, *members] if key == _without_seeds(base) else members
        if len(compared) > 1 and _differ(compared):
            scores = [run.score for run in compared if run.score is not None]
            found.append(_fold(own, scores))
        else:
            found += own
    return found


def detections_of(
    names: Sequence[str], annotations: Path | None, split: str, root: Path = Path()
) -> "tuple[Annotations, list[Detections]]":
    """Objects of the split, and the detections of each folder of files or revision.

    Objects are those of `annotations`; else of the clean test split that the revisions were scored
    on, or of the present one when all names are folders.

    Raises:
        UserError: A name is neither, an out is not in the cache, or the revisions were scored on
            different test splits.
    """
    with ExitStack() as stack:
        runs: list[Revision] = []
        folders = []
        kept = None
        for name in names:
            if Path(name).is_dir():
                folders.append(Path(name))
                continue
            kept = kept or Cache(root)
            run = revisions.read((name,), revisions.commit_of(name, root), root)
            runs.append(run)
            folders.append(stack.enter_context(kept.folder(DETECTIONS, run)))
        if annotations is not None:
            return read_devkit(annotations, split, folders)
        if kept is None:
            return read_clean(Path(CLEAN), split, folders)
        _refuse_other_test_split(runs, kept)
        return read_clean(stack.enter_context(kept.folder(CLEAN, runs[0])), split, folders)


def _refuse_other_test_split(runs: Sequence[Revision], kept: Cache) -> None:
    first = runs[0]
    for run in runs[1:]:
        same = first.hashes.get(CLEAN) == run.hashes.get(CLEAN)
        if not same and kept.test_files(first) != kept.test_files(run):
            raise UserError(
                f"{first.names[0]} and {run.names[0]} were scored on different test splits: no "
                "paired comparison is possible"
            )


def _fold(own: list[Row], scores: list[float]) -> Row:
    """One row for runs that differ in seeds alone; `scores` may have the baseline's, too."""
    differences = [row.difference for row in own if row.difference is not None]
    seconds = [row.seconds for row in own if row.seconds is not None]
    prices = [row.price for row in own if row.price is not None]
    before = {key: old for row in own for key, (old, _) in row.changes.items()}
    changes = {
        key: (old, _values([row.changes.get(key, (old, old))[1] for row in own]))
        for key, old in before.items()
    }
    return replace(
        own[0],
        names=tuple(name for row in own for name in row.names),
        commits=tuple(commit for row in own for commit in row.commits),
        changes=changes,
        score=fmean(scores) if scores else None,
        interval=None,
        deviation=stdev(scores) if len(scores) > 1 else None,
        difference=fmean(differences) if differences else None,
        difference_interval=None,
        seconds=sum(seconds) if seconds else None,
        price=sum(prices) if prices else None,
        note="; ".join(dict.fromkeys(row.note for row in own if row.note)),
    )


def _values(values: list[Any]) -> Any:
    """The value that all have, else all of them."""
    return values[0] if all(value == values[0] for value in values) else values


def _row(base: Revision, run: Revision, kept: Cache) -> Row:
    note, difference = "", None
    if run is not base:
        try:
            difference = _difference(base, run, kept)
        except UserError as error:
            note = str(error)
    keys = dict.fromkeys([*base.params, *run.params])
    pairs = {key: (base.params.get(key, _NO_KEY), run.params.get(key, _NO_KEY)) for key in keys}
    return Row(
        names=run.names,
        commits=(run.commit,),
        changes={key: pair for key, pair in pairs.items() if pair[0] != pair[1]},
        score=run.score,
        interval=run.interval,
        deviation=None,
        difference=difference.difference if difference else None,
        difference_interval=difference.interval if difference else None,
        seconds=run.seconds,
        price=run.price,
        note=note,
    )


def _difference(base: Revision, run: Revision, kept: Cache) -> "Difference":
    """Paired difference of `voc07_map` on the test images of both."""
    from yolo.evaluation.analysis.comparison import compare

    _refuse_other_test_split([base, run], kept)
    with (
        kept.folder(CLEAN, base) as clean,
        kept.folder(DETECTIONS, base) as before,
        kept.folder(DETECTIONS, run) as now,
    ):
        known, (a, b) = read_clean(clean, SPLIT, [before, now])
        return compare(a, b, known.truth, len(known.images), known.classes).voc07_map


def _without_seeds(run: Revision) -> str:
    """What two runs share that differ in seeds alone."""
    params = {key: own for key, own in run.params.items() if key.rpartition(".")[2] != "seed"}
    return repr((sorted(params.items()), sorted(run.code.items()), run.hashes.get(CLEAN)))


def _differ(runs: Sequence[Revision]) -> bool:
    """Whether no two runs have the same parameters."""
    return len({repr(sorted(run.params.items())) for run in runs}) == len(runs)


def table(found: Sequence[Row]) -> str:
    """A line per row, below it its other names and what it changed; scores in percent."""
    lines = [_LINE.format("run", "mAP, 95 % interval", "to the baseline", "s", "price").rstrip()]
    for place, row in enumerate(found):
        is_one = len(row.commits) == 1
        name = row.names[0] if is_one else f"{len(row.commits)} seeds"
        against = "baseline" if place == 0 else _against(row)
        costs = [
            f"{row.seconds:.0f}" if row.seconds is not None else "",
            f"{row.price:.2f}" if row.price is not None else "",
        ]
        lines.append(_LINE.format(name, _score(row), against, *costs).rstrip())
        notes = [", ".join(row.names[1:] if is_one else row.names)]
        notes += [
            f"{key}: {_short(old)} → {_short(new)}" for key, (old, new) in row.changes.items()
        ]
        notes.append(row.note and f"no difference: {row.note}")
        for note in filter(None, notes):
            lines += wrap(note, _WIDTH, initial_indent="  ", subsequent_indent="    ")
    return "\n".join(lines)


def _score(row: Row) -> str:
    if row.score is None:
        return "not evaluated"
    if row.deviation is not None:
        return f"{percent(row.score)} ± {percent(row.deviation)}"
    return percent(row.score) + _bounds(row.interval)


def _against(row: Row) -> str:
    if row.difference is None:
        return ""
    return percent(row.difference, sign=True) + _bounds(row.difference_interval, sign=True)


def _bounds(interval: tuple[float, float] | None, *, sign: bool = False) -> str:
    if interval is None:
        return ""
    low, high = (percent(bound, sign=sign) for bound in interval)
    return f" [{low}, {high}]"


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= _MOST else f"{text[: _MOST - 1]}…"
