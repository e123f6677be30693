"""The ledger: what each stage of a recorded run cost, a row each in `ledger.csv` in Git.

It is no out of a stage, so times and prices change no hash. Rows are only ever added. The rows of a
run stand in its own commit. When branches are merged, Git keeps the rows of both
(`.gitattributes`).
"""

import csv
import io
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from stages.repro.git import git, read_at

FILE = "ledger.csv"
_RUN_BRANCHES = ("refs/heads/runs/*", "refs/remotes/*/runs/*")
_LOOKED_AT = 20


@dataclass(frozen=True)
class Row:
    """One stage of one run."""

    commit: str
    """The code that ran: the commit from which the run started."""
    stage: str
    fingerprint: str
    """Of a training, as in `runs/<stage>/<fingerprint>`; else empty."""
    device: str
    """On which a training ran; else empty."""
    seconds: str
    price: str
    """In the currency of `YOLO_PRICE_PER_HOUR`; empty without it."""
    outcome: str


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
    """The rows of a ledger. Git may have joined two files, so headers are passed over anywhere."""
    rows = csv.DictReader(io.StringIO(text), COLUMNS)
    found = [Row(**{name: row[name] or "" for name in COLUMNS}) for row in rows]
    return [row for row in found if row.commit != "commit" and row.stage]


def last_of_stages(root: Path = Path()) -> dict[str, Row]:
    """Stage → its newest row that has results: in the last runs' branches, else in this commit."""
    newest: dict[str, Row] = {}
    for text in _texts(root):
        for row in reversed(parse(text)):
            if row.outcome == "ran":
                newest.setdefault(row.stage, row)
    return newest


def _texts(root: Path) -> Iterator[str]:
    """Ledgers, the newest first."""
    order = ("for-each-ref", "--sort=-creatordate", f"--count={_LOOKED_AT}", "--format=%(refname)")
    for revision in [*git(*order, *_RUN_BRANCHES, root=root).split(), "HEAD"]:
        if text := read_at(revision, FILE, root):
            yield text
