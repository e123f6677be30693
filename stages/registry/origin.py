"""What a weights file was made of: what it says itself, and the commit that names its bytes."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from stages.registry import ledger
from stages.registry.versions import SCORES, interval_of, score_text
from stages.repro.changes import is_code
from stages.repro.git import git, read_at
from yolo.errors import UserError
from yolo.files import digest
from yolo.versions import standing

LOCK = "dvc.lock"


@dataclass(frozen=True)
class Origin:
    """Where a weights file comes from; None: not known."""

    path: str
    sha256: str
    md5: str
    card: dict[str, Any]
    """What the file says: kind, network, classes, parameters, sums of the data."""
    commit: str | None = None
    """The first commit whose `dvc.lock` names these bytes."""
    versions: tuple[str, ...] = ()
    """The released versions that are these bytes."""
    stage: str | None = None
    code: dict[str, str] | None = None
    """File or folder → MD5 in that `dvc.lock`."""
    data: dict[str, str] | None = None
    """The same of what is no code."""
    metric: str | None = None
    score: float | None = None
    interval: tuple[float, float] | None = None
    """95 % interval of the score."""
    device: str | None = None
    seconds: float | None = None
    """From the ledger, when the run was recorded there."""


def origin(path: Path, root: Path = Path()) -> Origin:
    """Describe a weights file, and find its commit in the repository `root` if it has one.

    Works offline. Raises `UserError` when the file was not made by this program.
    """
    from yolo.model.network.weights import read_card

    card, md5 = read_card(path), digest(path, "md5")
    own = Origin(str(path), digest(path), md5, card)
    log = ("log", "--all", "--reverse", "--format=%H", f"-S{md5}", "--", LOCK)
    try:
        commits = git(*log, root=root).split()
    except UserError:
        # no repository
        return own
    for commit in commits:
        lock = YAML(typ="safe", pure=True).load(read_at(commit, LOCK, root) or "") or {}
        for stage, entry in lock.get("stages", {}).items():
            if any(out.get("md5") == md5 for out in entry.get("outs", [])):
                return _found(own, commit, stage, entry, root)
    return own


def _found(own: Origin, commit: str, stage: str, entry: dict[str, Any], root: Path) -> Origin:
    sums = {dep["path"]: dep.get("md5", "") for dep in entry.get("deps", [])}
    file, metric = SCORES.get(own.card.get("kind", ""), ("", None))
    metrics = json.loads((file and read_at(commit, file, root)) or "{}")
    rows = ledger.parse(read_at(commit, ledger.FILE, root) or "")
    ran = [row for row in rows if row.stage == stage and row.outcome == ledger.RAN]
    row = ledger.whole(ran[-1], ledger.newest_first(root)) if ran else None
    return Origin(
        own.path,
        own.sha256,
        own.md5,
        own.card,
        commit=commit,
        stage=stage,
        code={path: md5 for path, md5 in sums.items() if is_code(path)},
        data={path: md5 for path, md5 in sums.items() if not is_code(path)},
        metric=metric,
        score=metrics.get(metric) if metric else None,
        interval=interval_of(metrics, metric) if metric else None,
        versions=_versions(own.md5, root),
        device=row.device or None if row else None,
        seconds=float(row.seconds) if row else None,
    )


def _versions(md5: str, root: Path) -> tuple[str, ...]:
    tags = standing(git("tag", "--list", root=root).split())
    return tuple(tag for tag in tags if md5 in (read_at(tag, LOCK, root) or ""))


def text(own: Origin) -> str:
    """For people."""
    if own.commit is None:
        where = "no commit here has a dvc.lock with these bytes"
    else:
        where = f"{own.commit}, stage {own.stage}"
    lines = [own.path, f"sha256  {own.sha256}", f"md5     {own.md5}", f"commit  {where}"]
    if own.versions:
        lines.append(f"version {', '.join(own.versions)}")
    if score := score_text(own.metric, own.score, own.interval):
        lines.append(f"score   {score}")
    if own.seconds is not None:
        lines.append(f"made in {own.seconds:.0f} s on {own.device or 'an unknown device'}")
    for title, values in (
        ("parameters", own.card.get("parameters")),
        ("data, SHA-256 in the file", own.card.get("data")),
        ("data, MD5 in dvc.lock", own.data),
        ("code, MD5 in dvc.lock", own.code),
    ):
        if isinstance(values, dict) and values:
            lines.append(f"{title}:")
            lines += [f"  {key}: {_short(value)}" for key, value in sorted(values.items())]
    return "\n".join(lines)


def _short(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
