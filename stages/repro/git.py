"""Git as the release uses it."""

import subprocess
from pathlib import Path

from yolo.errors import UserError


def git(*arguments: str, root: Path) -> str:
    """Run Git in `root` and return what it prints; raise `UserError` with its message."""
    done = subprocess.run(["git", *arguments], cwd=root, capture_output=True, text=True)
    if done.returncode:
        said = (done.stderr or done.stdout).strip()
        raise UserError(f"git {arguments[0]} failed: {said}")
    return done.stdout


def read_at(revision: str, path: str, root: Path) -> str | None:
    """Content of a file at a revision; None when it has none of that name."""
    done = subprocess.run(
        ["git", "show", f"{revision}:{path}"], cwd=root, capture_output=True, text=True
    )
    return None if done.returncode else done.stdout
