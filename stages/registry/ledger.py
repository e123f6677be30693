"""The ledger: what each stage of a recorded run cost, one row each in `ledger.csv` in Git.

It is no out of a stage, so times and prices change no hash. Rows are only ever added. The commit of
a run holds its rows. When branches are merged, Git keeps the rows of both (`.gitattributes`).
"""

import csv
import io
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path

from stages.repro.git import git, read_at
from yolo.errors import UserError

FILE = "ledger.csv"
RAN, RESTORED, UP_TO_DATE, INTERRUPTED = "Ran", "Restored", "UpToDate", "Interrupted"
"""Outcomes, as the flow names them; the others are of runs that had no result."""
_RUN_BRANCHES = ("refs/heads/runs/*", "refs/remotes/*/runs/*")
_LOOKED_AT = 20


@dataclass(frozen=True)
class Row:
    """One stage of one run."""

    commit: str
    """The commit from which the run started: the code that ran."""
    stage: str
    fingerprint: str
    """Of a training, as in `runs/<stage>/<fingerprint>`; else empty."""
    device: str
    """What a training ran on; else empty."""
    seconds: str
    """Time of the stage in this run, all attempts together."""
    price: str
    """In the currency of `YOLO_PRICE_PER_HOUR`; empty without it."""
    outcome: str
    """How the stage ended in this run: `Ran`, `Restored`, `UpToDate`, `Failed`, `BudgetSpent` or
    `Interrupted`."""


COLUMNS = tuple(field.name for field in fields(Row))


def extended(text: str | None, rows: Iterable[Row]) -> str:
    """The text of the ledger with rows added; None: there is no ledger yet."""
    added = io.StringIO()
    writer = csv.DictWriter(added, COLUMNS, lineterminator="\n")
    if not text:
        writer.writeheader()
    writer.writerows(asdict(row) for row in rows)
    return (text or "") + added.getvalue()


def parse(text: str) -> list[Row]:
    """The rows of a ledger. Git may have joined two files, so headers are skipped anywhere."""
    rows = csv.DictReader(io.StringIO(text), COLUMNS)
    found = [Row(**{name: row[name] or "" for name in COLUMNS}) for row in rows]
    return [row for row in found if row.commit != "commit" and row.stage]


def last_of_stages(root: Path = Path()) -> dict[str, Row]:
    """Stage → its newest row that has a result, with the time of what led to it.

    Looks into the branches of the last runs, then into the current commit. Without a repository
    there is none.
    """
    rows = newest_first(root)
    newest: dict[str, Row] = {}
    for row in rows:
        if row.outcome == RAN:
            newest.setdefault(row.stage, row)
    return {stage: whole(row, rows) for stage, row in newest.items()}


def whole(row: Row, rows: Iterable[Row]) -> Row:
    """The row of a stage with a result. Of a training, seconds and price then include the runs
    among `rows` in which it was stopped.
    """
    finished = (RAN, RESTORED, UP_TO_DATE)
    parts = [row] + [
        other
        for other in rows
        if row.fingerprint
        and (other.stage, other.fingerprint) == (row.stage, row.fingerprint)
        and other.outcome not in finished
    ]
    seconds = sum(float(part.seconds) for part in parts)
    prices = [float(part.price) for part in parts if part.price]
    price = f"{sum(prices):.4f}" if prices else ""
    return replace(row, seconds=f"{seconds:.1f}", price=price)


def words(row: Row) -> str:
    """What a row cost, for people: `3661 s on NVIDIA H100, 2.70`."""
    device = f" on {row.device}" if row.device else ""
    price = f", {float(row.price):.2f}" if row.price else ""
    return f"{float(row.seconds):.0f} s{device}{price}"


def newest_first(root: Path) -> list[Row]:
    """The rows of the last runs' branches and of the current commit, each once."""
    return list(dict.fromkeys(row for text in _texts(root) for row in reversed(parse(text))))


def _texts(root: Path) -> Iterator[str]:
    """Ledgers, the newest first."""
    order = ("for-each-ref", "--sort=-creatordate", f"--count={_LOOKED_AT}", "--format=%(refname)")
    try:
        branches = git(*order, *_RUN_BRANCHES, root=root).split()
    except UserError:
        return
    for revision in [*branches, "HEAD"]:
        if text := read_at(revision, FILE, root):
            yield text
