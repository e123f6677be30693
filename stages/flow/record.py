"""The record of a run in Git: a commit on a branch of its own, never on the main one."""

import tempfile
from collections.abc import Mapping
from pathlib import Path

from stages.repro.git import author, git
from stages.repro.plan import Plan

_LOCK = "dvc.lock"


def is_unrecorded(plan: Plan) -> bool:
    """Whether the results that `dvc.lock` names are not those of the last commit."""
    return bool(git("status", "--porcelain", "--", _LOCK, root=plan.root))


def commit_results(plan: Plan, branch: str, message: str, more: Mapping[str, str]) -> str:
    """Commit what the run recorded on the branch `branch`, made from where the checkout stands.

    `more`: path → content of files that are in the commit alone. Files, index and current branch of
    the checkout stay as they are. Returns the commit. Raises `UserError` with Git's words when Git
    refuses.
    """
    root = plan.root
    recorded = [_LOCK, "params.yaml", *(path for stage in plan.stages for path in stage.in_git)]
    present = [path for path in recorded if (root / path).exists()]
    with tempfile.TemporaryDirectory() as folder:
        index = {"GIT_INDEX_FILE": str(Path(folder) / "index")}
        git("read-tree", "HEAD", root=root, **index)
        git("add", "--force", "--", *present, root=root, **index)
        for path, content in more.items():
            file = Path(folder) / "content"
            file.write_text(content, encoding="utf-8")
            blob = git("hash-object", "-w", str(file), root=root)
            entry = f"100644,{blob},{path}"
            git("update-index", "--add", "--cacheinfo", entry, root=root, **index)
        tree = git("write-tree", root=root, **index)
    commit = git("commit-tree", tree, "-p", "HEAD", "-m", message, root=root, **author(root))
    git("branch", "--force", branch, commit, root=root)
    return commit


def tag_version(root: Path, name: str, commit: str) -> None:
    """Tag a version; replaces a tag that an earlier try could not push."""
    git("tag", "--annotate", "--force", "--message", name, name, commit, root=root, **author(root))
