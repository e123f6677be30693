"""Why a stage is stale: DVC's status of it, in the user's words."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, Literal

from stages.repro import git
from yolo.errors import UserError
from yolo.nested import flatten

if TYPE_CHECKING:
    from dvc.output import Output
    from dvc.stage import Stage

CODE = ("yolo", "stages")
"""The packages of this project."""
MISSING = "missing"
"""Said of a file or folder that a stage needs and that is not here."""

Kind = Literal["parameter", "code", "data", "out", "command", "new"]
_WORDS = {"modified": "changed", "deleted": MISSING}
"""DVC's words in ours; the others stay."""
_NO_VALUE = object()
_LOCK = "dvc.lock"
_SHOWN = 10
"""Files of one folder that are named."""


@dataclass(frozen=True)
class Change:
    """One reason why a stage is stale: what changed, and how."""

    kind: Kind
    what: str
    how: str

    def __str__(self) -> str:
        return f"{self.kind} {self.what}: {self.how}" if self.what else f"{self.kind}: {self.how}"


def is_code(dep: str) -> bool:
    """Whether an entry of a stage's `deps` is code of this project."""
    return PurePosixPath(dep).parts[0] in CODE


def changes_of(stage: "Stage", status: Sequence[Any]) -> Iterator[Change]:
    """The reasons in `status`, which is what DVC answers for `stage`.

    A parameter is named with both values. In a folder each file that changed is named.
    """
    if status and not any(out.hash_info for out in stage.outs):
        yield Change("new", "", "has no recorded run")
        return
    paths = {str(one): one for one in (*stage.deps, *stage.outs)}
    for entry in status:
        if entry == "changed command":
            yield Change("command", "", "changed in dvc.yaml")
        elif entry == "always changed":
            yield Change("command", "", "always runs")
        elif "changed deps" in entry:
            for path, how in entry["changed deps"].items():
                if isinstance(how, dict):
                    yield from _parameter_changes(paths[path], how)
                else:
                    yield from _file_changes("code" if is_code(path) else "data", paths[path], how)
        elif "changed outs" in entry:
            for path, how in entry["changed outs"].items():
                yield from _file_changes("out", paths[path], how)


def _parameter_changes(dependency: Any, status: Mapping[str, str]) -> Iterator[Change]:
    """Name each leaf that differs, with its recorded and its present value."""
    recorded, present = dependency.hash_info.value or {}, dependency.read_params()
    for key in status:
        before, after = (
            dict(flatten({key: values[key]})) if key in values else {}
            for values in (recorded, present)
        )
        for leaf in sorted(before | after):
            old, new = before.get(leaf, _NO_VALUE), after.get(leaf, _NO_VALUE)
            if old != new:
                yield Change("parameter", leaf, f"{_show(old)} → {_show(new)}")


def _show(value: Any) -> str:
    if value is _NO_VALUE:
        return "absent"
    return "null" if value is None else str(value)


def _file_changes(kind: Kind, path: "Output", how: str) -> Iterator[Change]:
    """One change of a file; of a folder one per file in it, when they can be told."""
    found: dict[str, str] = {}
    if how == "modified" and path.is_dir_checksum and path.isdir():
        found = _compare_trees(path) or _compare_with_git(path)
    if not found:
        yield Change(kind, str(path), _WORDS.get(how, how))
        return
    for name, word in sorted(found.items())[:_SHOWN]:
        yield Change(kind, name, word)
    if len(found) > _SHOWN:
        yield Change(kind, str(path), f"{len(found) - _SHOWN} more files")


def _compare_trees(folder: "Output") -> dict[str, str]:
    """Compare with the recorded list of files, which DVC's cache has of outs.

    Of folders of code it has none: DVC only keeps their hash.
    """
    from dvc_data.hashfile.build import build
    from dvc_data.hashfile.tree import Tree

    recorded = folder.get_obj()
    if not isinstance(recorded, Tree):
        return {}
    ignore: Any = folder.dvcignore
    where = folder.cache, folder.fs_path, folder.fs, folder.hash_name
    *_, present = build(*where, dry_run=True, ignore=ignore)
    assert isinstance(present, Tree)
    before, after = ({key: info for key, _, info in tree} for tree in (recorded, present))
    words = {
        key: "new" if key not in before else "removed" if key not in after else "changed"
        for key in before.keys() | after.keys()
        if before.get(key) != after.get(key)
    }
    return {str(PurePosixPath(str(folder), *key)): word for key, word in words.items()}


def _compare_with_git(folder: "Output") -> dict[str, str]:
    """Compare with the commit that last changed `dvc.lock`; nothing without one.

    The recorded run may be newer than that commit. The words then say what they compare with.
    """
    repo = folder.repo
    assert repo is not None
    root = Path(repo.root_dir)
    try:
        commit = git.git("log", "-1", "--format=%H", "--", _LOCK, root=root)
        if not commit:
            return {}
        found = git.changed_since(commit, str(folder), root)
        is_newer = bool(git.git("status", "--porcelain", "--", _LOCK, root=root))
    except UserError:
        return {}
    since = " since the last commit of dvc.lock" if is_newer else ""
    return {
        path: f"{word}{since}"
        for path, word in found.items()
        if not repo.dvcignore.is_ignored_file(str(root / path))
    }
