"""Every call of Git."""

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

from yolo.errors import UserError

_SECONDS = 600.0
"""A server that hangs must not hold a run for ever."""
_AUTHOR = {"NAME": "yolov1 flow", "EMAIL": "flow@localhost"}


def git(*arguments: str, root: Path, **environment: str) -> str:
    """Run Git in `root` and return what it prints, without the last line end.

    It never asks for a password. Raises `UserError` with Git's message, which may hold a secret.
    """
    try:
        done = _run(*arguments, root=root, **environment)
    except subprocess.TimeoutExpired:
        raise UserError(f"git {arguments[0]} was ended: no answer in {_SECONDS:g} s") from None
    except FileNotFoundError:
        raise UserError("git is not installed") from None
    if done.returncode:
        said = (done.stderr or done.stdout).strip()
        raise UserError(f"git {arguments[0]} failed: {said}")
    return done.stdout.rstrip()


def read_at(revision: str, path: str, root: Path) -> str | None:
    """Content of a file at a revision; None when it has none of that name."""
    done = _run("show", f"{revision}:{path}", root=root)
    return None if done.returncode else done.stdout


def changed_since(revision: str, folder: str, root: Path) -> dict[str, str]:
    """Files below `folder` that differ from a revision → `changed`, `new` or `removed`.

    Files that Git does not track count as new unless it ignores them.
    """
    words = {"A": "new", "D": "removed"}
    compare = ("diff", "--relative", "--name-status", "--no-renames", "-z")
    listed = git(*compare, revision, "--", folder, root=root)
    parts = [part for part in listed.split("\0") if part]
    found = {
        path: words.get(status, "changed")
        for status, path in zip(parts[::2], parts[1::2], strict=True)
    }
    others = git("ls-files", "--others", "--exclude-standard", "-z", "--", folder, root=root)
    return found | {path: "new" for path in others.split("\0") if path}


def author(root: Path, environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Environment by which Git knows an author, also on a machine where nobody set one."""
    if _run("config", "user.email", root=root).returncode == 0:
        return {}
    values = {
        f"GIT_{who}_{what}": text
        for who in ("AUTHOR", "COMMITTER")
        for what, text in _AUTHOR.items()
    }
    return {name: text for name, text in values.items() if name not in environ}


def remote_name(root: Path) -> str:
    """The Git remote that results go to: `origin`, else the only one; `UserError` without one."""
    names = git("remote", root=root).split()
    if "origin" in names or len(names) == 1:
        return "origin" if "origin" in names else names[0]
    raise UserError("this clone has no Git remote `origin`; add one: git remote add origin URL")


def _run(*arguments: str, root: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["git", *arguments],
        cwd=root,
        env=os.environ | {"GIT_TERMINAL_PROMPT": "0"} | environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=_SECONDS,
        check=False,
    )
