"""Parameters for one run, and its record: a DVC experiment or a branch, never the main one."""

import os
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import chdir, contextmanager
from pathlib import Path

from stages.repro.plan import Plan
from yolo.errors import UserError

_LOCK = "dvc.lock"
_AUTHOR = {"NAME": "yolov1 flow", "EMAIL": "flow@localhost"}


def apply_overrides(root: Path, overrides: Sequence[str]) -> None:
    """Write `KEY=VALUE` (as `dvc exp run -S` takes it, also `FILE:KEY=VALUE`) into `params.yaml`.

    Raises `UserError` for a key that is not there, and for a sweep over several values.
    """
    from dvc.exceptions import DvcException
    from dvc.utils.cli_parse import to_path_overrides
    from dvc.utils.hydra import apply_overrides as write
    from dvc.utils.hydra import to_hydra_overrides

    with chdir(root):
        try:
            for path, entries in to_path_overrides(overrides).items():
                if any(entry.is_sweep_override() for entry in to_hydra_overrides(entries)):
                    raise UserError(f"{', '.join(entries)}: one run takes one value for a key")
                write(path, entries)
        except (DvcException, FileNotFoundError) as error:
            cause = error.__cause__ or error
            given = ", ".join(overrides)
            raise UserError(f"cannot set {given}: {str(cause).splitlines()[0]}") from None


@contextmanager
def with_overrides(root: Path, overrides: Sequence[str], *, keep: bool = False) -> Iterator[None]:
    """Apply them while the block lasts; `keep`: and after it, unless it fails."""
    path = root / "params.yaml"
    before = path.read_bytes() if overrides else b""
    is_kept = False
    try:
        if overrides:
            apply_overrides(root, overrides)
        yield
        is_kept = keep
    finally:
        if overrides and not is_kept:
            path.write_bytes(before)


def author(root: Path, environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Environment by which Git knows an author, also on a machine where nobody set one."""
    known = subprocess.run(
        ["git", "config", "user.email"], cwd=root, capture_output=True, check=False
    )
    if known.returncode == 0:
        return {}
    values = {
        f"GIT_{who}_{what}": text
        for who in ("AUTHOR", "COMMITTER")
        for what, text in _AUTHOR.items()
    }
    return {name: text for name, text in values.items() if name not in environ}


def is_unrecorded(plan: Plan) -> bool:
    """Whether the results that `dvc.lock` names are not those of the last commit."""
    return bool(_git(plan.root, "status", "--porcelain", "--", _LOCK))


def commit_results(plan: Plan, branch: str, message: str, more: Mapping[str, str]) -> str:
    """Commit what the run recorded on the branch `branch`, made from where the checkout stands.

    `more`: path → content of files that are in the commit alone. Files, index and current branch of
    the checkout stay as they are. Returns the commit. Raises `UserError` with Git's words when Git
    refuses.
    """
    recorded = [_LOCK, "params.yaml", *(path for stage in plan.stages for path in stage.in_git)]
    present = [path for path in recorded if (plan.root / path).exists()]
    with tempfile.TemporaryDirectory() as folder:
        index = {"GIT_INDEX_FILE": str(Path(folder) / "index")}
        _git(plan.root, "read-tree", "HEAD", **index)
        _git(plan.root, "add", "--force", "--", *present, **index)
        for path, content in more.items():
            file = Path(folder) / "content"
            file.write_text(content, encoding="utf-8")
            blob = _git(plan.root, "hash-object", "-w", str(file))
            entry = f"100644,{blob},{path}"
            _git(plan.root, "update-index", "--add", "--cacheinfo", entry, **index)
        tree = _git(plan.root, "write-tree", **index)
    commit = _git(plan.root, "commit-tree", tree, "-p", "HEAD", "-m", message, **author(plan.root))
    _git(plan.root, "branch", "--force", branch, commit)
    return commit


def tag(root: Path, name: str, commit: str) -> None:
    """Mark a version; a tag of that name left by a try that failed to push it is replaced."""
    _git(root, "tag", "--annotate", "--force", "--message", name, name, commit, **author(root))


def remote(root: Path) -> str:
    """The Git remote that results go to: `origin`, else the only one; `UserError` without one."""
    names = _git(root, "remote").split()
    if "origin" in names or len(names) == 1:
        return "origin" if "origin" in names else names[0]
    raise UserError("this clone has no Git remote `origin`; add one: git remote add origin URL")


def _git(root: Path, *arguments: str, **environment: str) -> str:
    done = subprocess.run(
        ["git", *arguments],
        cwd=root,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise UserError(f"git {arguments[0]} failed: {done.stderr.strip()}")
    return done.stdout.strip()
