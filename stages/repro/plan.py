"""What the pipeline would do and why: DVC's own graph and status, asked once."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import chdir
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stages.repro.changes import MISSING, Change, changes_of
from stages.repro.dvc_locks import explain
from yolo.errors import UserError

if TYPE_CHECKING:
    from dvc.repo import Repo
    from dvc.stage import Stage

_DOWNLOAD = "download"
"""Name of the stages (before `@`) whose outs can be fetched again from their source."""
_LOST = "missing here and in the remote"
_NOT_HERE = (MISSING, "not in cache")
"""What `dvc repro --allow-missing` lets pass (dvc.stage.Stage: changed_outs)."""


@dataclass(frozen=True)
class PlannedStage:
    """A stage of `dvc.yaml`, the stages right above it, and why it must run (empty: up to date).

    `in_git`: what Git keeps of it, which DVC's cache does not; `metrics`: those that hold numbers.
    """

    name: str
    upstream: tuple[str, ...]
    changes: tuple[Change, ...]
    in_git: tuple[str, ...] = ()
    metrics: tuple[str, ...] = ()

    @property
    def stale(self) -> bool:
        """Whether DVC would run it even if nothing above it changed."""
        return bool(self.changes)

    @property
    def is_download(self) -> bool:
        """Whether its outs are data as published, which a run neither pushes nor needs to keep."""
        return self.name.partition("@")[0] == _DOWNLOAD


@dataclass(frozen=True)
class Plan:
    """The stages that a run covers, each after those above it."""

    root: Path
    stages: tuple[PlannedStage, ...]
    has_remote: bool = False
    """Whether a default remote is set up: somewhere to push to."""

    @property
    def lost(self) -> set[str]:
        """Names of the stages with outs that are neither here nor in the remote; looked for only
        where a missing file is fine.
        """
        return {
            stage.name
            for stage in self.stages
            if any(change.how == _LOST for change in stage.changes)
        }

    def below_stale(self) -> set[str]:
        """Names of stages that are not stale but may become so when those above them have run."""
        reached: set[str] = set()
        stale = {stage.name for stage in self.stages if stage.stale}
        for stage in self.stages:
            if (stale | reached) & set(stage.upstream):
                reached.add(stage.name)
        return reached - stale

    def table(self, took: Mapping[str, str] | None = None) -> str:
        """One line per stage; under a stale one a line per reason.

        `took`: stage → what it took last time, shown of stages that are or may become stale.
        """
        below, took = self.below_stale(), took or {}
        width = max((len(stage.name) for stage in self.stages), default=0)
        lines = []
        for stage in self.stages:
            state = "stale" if stage.stale else "up to date"
            if stage.name in below:
                state = "may become stale"
            if stage.name in took and (stage.stale or stage.name in below):
                state += f"; took {took[stage.name]} last time"
            lines.append(f"{stage.name:<{width}}  {state}")
            lines.extend(f"{'':<{width}}    {change}" for change in stage.changes)
        return "\n".join(lines)


def read_plan(targets: Sequence[str] = (), *, missing_is_fine: bool = False) -> Plan:
    """Ask DVC about the stages `targets` and all above them (default: every stage).

    A target is the name of a stage (`validate@detection`) or of a group (`validate`) of the project
    around the current folder. With `missing_is_fine` a file that is not here but in the remote
    makes nothing stale (`dvc repro --allow-missing` does not ask whether it is there). Raises
    `UserError` for an unknown target and with DVC's own words when DVC cannot answer (no project,
    broken YAML, another run active, a remote that does not answer).
    """
    from dvc.exceptions import DvcException
    from dvc.lock import LockError
    from dvc.repo import Repo

    try:
        # DVC calls stages by their names only from the project's root
        with chdir(Repo.find_root()), Repo() as repo:
            stages = _in_order(repo, targets)
            # not by the names of all stages: DVC would read dvc.yaml and dvc.lock again for each
            status = repo.status(targets=list(targets) or None, with_deps=True) if stages else {}
            changes = {
                name: list(changes_of(stage, status.get(name, [])))
                for name, stage in stages.items()
            }
            if missing_is_fine:
                for name, own in changes.items():
                    changes[name] = list(_without_missing(repo, stages[name], own))
            planned = tuple(
                PlannedStage(
                    name,
                    tuple(sorted(above.addressing for above in repo.index.graph.successors(stage))),
                    tuple(changes[name]),
                    tuple(_in_git(stage)),
                    tuple(out.def_path for out in stage.outs if out.metric),
                )
                for name, stage in stages.items()
            )
            plan = Plan(Path(repo.root_dir), planned, "remote" in repo.config["core"])
            return _without_unread_downloads(plan)
    except LockError as error:
        explained = explain(Path(Repo.find_root()))
        raise UserError("\n".join(filter(None, [message(error), explained]))) from None
    except DvcException as error:
        raise UserError(message(error)) from None


def _without_unread_downloads(plan: Plan) -> Plan:
    """Count a download as up to date if only its archives are gone and no stage will read them.

    Runs do not push these archives (`stages.flow.publish`).
    """
    gone = {
        stage.name
        for stage in plan.stages
        if stage.is_download
        and stage.stale
        and all(change.how == _LOST for change in stage.changes)
    }
    kept = replace(plan, stages=tuple(_fresh_if(stage, gone) for stage in plan.stages))
    will_run = {stage.name for stage in kept.stages if stage.stale} | kept.below_stale()
    read = {above for stage in kept.stages if stage.name in will_run for above in stage.upstream}
    return replace(plan, stages=tuple(_fresh_if(stage, gone - read) for stage in plan.stages))


def _fresh_if(stage: PlannedStage, names: set[str]) -> PlannedStage:
    return replace(stage, changes=()) if stage.name in names else stage


def _without_missing(repo: "Repo", stage: "Stage", changes: Sequence[Change]) -> Iterator[Change]:
    """The changes but for missing files that the remote has."""
    missing = {change.what for change in changes if change.how in _NOT_HERE}
    lost = [
        out
        for out in stage.outs
        if out.use_cache and str(out) in missing and not _is_in_remote(repo, out)
    ]
    yield from (change for change in changes if change.how not in _NOT_HERE)
    yield from (Change("out", str(out), _LOST) for out in lost)


def _is_in_remote(repo: "Repo", out: Any) -> bool:
    """Whether the remote has an out's object; of a folder, that of its list."""
    from dvc.config import NoRemoteError

    try:
        return repo.cloud.get_remote_odb(out.remote, "status").exists(out.hash_info.value)
    except NoRemoteError:
        return False
    except Exception as error:  # each kind of remote has its own
        raise UserError(f"the DVC remote cannot be asked for {out}: {error}") from None


def _in_git(stage: Any) -> Iterator[str]:
    """Paths that Git keeps: outs without cache, and the `.dvc` file of added or imported data."""
    if stage.is_data_source:
        yield stage.path_in_repo
    yield from (out.def_path for out in stage.outs if not out.use_cache)


def _in_order(repo: "Repo", targets: Sequence[str]) -> dict[str, "Stage"]:
    """The stages among `targets` and above them by name, each after those above it."""
    import networkx as nx

    graph = repo.index.graph
    wanted = set(graph)
    if targets:
        chosen = {stage for target in targets for stage in _collect(repo, target)}
        wanted = chosen.union(*(nx.descendants(graph, stage) for stage in chosen))
    position = {stage: number for number, stage in enumerate(repo.index.stages)}
    # an edge points from a stage to the one above it
    ordered = nx.lexicographical_topological_sort(graph.subgraph(wanted).reverse(), position.get)
    return {stage.addressing: stage for stage in ordered}


def _collect(repo: "Repo", target: str) -> list[Any]:
    from dvc.exceptions import DvcException

    try:
        return list(repo.stage.collect(target))
    except DvcException:
        names = ", ".join(stage.addressing for stage in repo.index.stages)
        raise UserError(f"no stage is named {target!r}; the stages are: {names}") from None


def message(error: BaseException) -> str:
    """DVC's message, with its cause if that says more."""
    cause = error.__cause__
    return f"DVC: {error}" + (f": {cause}" if cause and str(cause) not in str(error) else "")
