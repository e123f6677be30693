"""What a Git revision holds of its run: parameters, scores, costs, and outs from DVC's cache."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from ruamel.yaml import YAML

from stages.registry import ledger
from stages.registry.versions import SCORES, interval_of, out_hashes
from stages.repro.changes import is_code
from stages.repro.git import git, read_at
from yolo.errors import UserError
from yolo.nested import flatten

CLEAN = "data/clean/detection"
DETECTIONS = "reports/evaluate/detections"
SPLIT = "test"
_RUNS = ("refs/heads/runs/*", "refs/remotes/*/runs/*")


@dataclass(frozen=True)
class Revision:
    """A commit with the results of a run."""

    names: tuple[str, ...]
    """Experiment, branches and tags of the commit; the baseline's name first."""
    commit: str
    params: dict[str, Any]
    """Dotted key → value of its params.yaml."""
    score: float | None
    """`voc07_map`."""
    interval: tuple[float, float] | None
    """95 % interval of the score."""
    hashes: dict[str, str]
    """Path of an out → MD5 in its dvc.lock."""
    code: dict[str, str]
    """The same of the code that its stages depend on."""
    seconds: float | None
    """Of the stages that ran, by the ledger; None: the run is not recorded there."""
    price: float | None


def listed(root: Path = Path()) -> dict[str, str]:
    """Name → commit of the DVC experiments, the branches `runs/*` and the tags; oldest first."""
    order = ("for-each-ref", "--sort=creatordate")
    named = "--format=%(refname) %(objectname) %(*objectname)"
    found = {}
    for line in git(*order, named, *_RUNS, "refs/tags", root=root).splitlines():
        name, own, *tagged = line.split()
        found[name.split("/", 2)[2]] = tagged[0] if tagged else own
    return found | _experiments(root)


def _experiments(root: Path) -> dict[str, str]:
    """DVC keeps an experiment as refs/exps/<2 digits>/<38 digits of its base>/<name>."""
    order = ("for-each-ref", "--sort=creatordate", "--format=%(refname) %(objectname)", "refs/exps")
    rows = [line.split() for line in git(*order, root=root).splitlines()]
    parts = [(name.split("/"), commit) for name, commit in rows]
    return {name[4]: commit for name, commit in parts if len(name) == 5 and len(name[3]) == 38}


def commit_of(name: str, root: Path = Path()) -> str:
    """Commit of an experiment, a branch, a tag or whatever Git knows; `UserError` for others."""
    experiments = _experiments(root)
    if name in experiments:
        return experiments[name]
    try:
        return git("rev-parse", "--verify", "--quiet", f"{name}^{{commit}}", root=root)
    except UserError:
        raise UserError(
            f"{name} is neither a folder nor an experiment, a commit, a branch or a tag; "
            "`yolov1 runs` lists the runs"
        ) from None


def read(names: tuple[str, ...], commit: str, root: Path = Path()) -> Revision:
    """Read a commit; what it does not have stays empty."""
    yaml = YAML(typ="safe", pure=True)
    file, metric = SCORES["detector"]
    scores = json.loads(read_at(commit, file, root) or "{}")
    lock = read_at(commit, "dvc.lock", root) or ""
    stages = (yaml.load(lock) or {}).get("stages", {}).values()
    seconds, price = _cost(commit, root)
    return Revision(
        names=names,
        commit=commit,
        params=dict(flatten(yaml.load(read_at(commit, "params.yaml", root) or "{}") or {})),
        score=scores.get(metric),
        interval=interval_of(scores, metric),
        hashes=out_hashes(lock),
        code={
            dep["path"]: dep.get("md5", "")
            for stage in stages
            for dep in stage.get("deps", [])
            if is_code(dep["path"])
        },
        seconds=seconds,
        price=price,
    )


def _cost(commit: str, root: Path) -> tuple[float | None, float | None]:
    """Seconds and price of the ledger's rows that the commit added."""
    rows = ledger.parse(read_at(commit, ledger.FILE, root) or "")
    before = ledger.parse(read_at(f"{commit}^", ledger.FILE, root) or "")
    for row in before:
        if row in rows:
            rows.remove(row)
    seconds = [float(row.seconds) for row in rows if row.seconds]
    prices = [float(row.price) for row in rows if row.price]
    return sum(seconds) if seconds else None, sum(prices) if prices else None


class Cache:
    """The outs that DVC's cache holds, whatever is checked out."""

    def __init__(self, root: Path = Path()) -> None:
        """Open the cache of the project at `root`."""
        from dvc.exceptions import DvcException
        from dvc.repo import Repo

        try:
            with Repo(str(root)) as repo:
                self._objects: Any = repo.cache.local
        except DvcException as error:
            raise UserError(f"{root.absolute()} is no DVC project: {error}") from None

    def files(self, out: str, revision: Revision) -> dict[str, Path]:
        """Name below a folder that is an out of the revision → the file in the cache.

        Raises:
            UserError: The revision's dvc.lock does not name the out, or the cache lacks it.
        """
        from dvc_data.hashfile import load
        from dvc_data.hashfile.hash_info import HashInfo

        name = revision.names[0]
        md5 = revision.hashes.get(out)
        if md5 is None:
            raise UserError(f"dvc.lock of {name} has no {out}")
        try:
            tree: Any = load(self._objects, HashInfo("md5", md5))
            found = {
                "/".join(key): Path(self._objects.oid_to_path(own.value)) for key, _, own in tree
            }
        except (OSError, ValueError):
            found = {}
        if not found or not all(path.is_file() for path in found.values()):
            raise UserError(
                f"{out} of {name} is not in the cache; `dvc fetch --all-commits {out}`, or for an "
                "experiment `dvc exp pull`, gets it if a remote has it"
            )
        return found

    @contextmanager
    def folder(self, out: str, revision: Revision) -> Iterator[Path]:
        """Yield a temporary folder of links to the files of an out; errors as `files`."""
        with TemporaryDirectory(prefix="yolov1-") as temporary:
            for name, path in self.files(out, revision).items():
                link = Path(temporary, name)
                link.parent.mkdir(parents=True, exist_ok=True)
                link.symlink_to(path.absolute())
            yield Path(temporary)

    def test_files(self, revision: Revision) -> dict[str, str]:
        """Name → object of what scores are measured against: the test split and the classes."""
        return {
            name: path.as_posix()
            for name, path in self.files(CLEAN, revision).items()
            if name == "classes.json" or name.startswith(SPLIT)
        }
