"""A `dvc pull` that changes the workspace only after every object has arrived whole.

DVC's own command goes on to the checkout when an object is corrupt: it removes the file from the
workspace and then asks whether the cache is up to date.
"""

import shutil
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stages.repro.plan import message
from yolo.errors import UserError

if TYPE_CHECKING:
    from dvc.repo import Repo


def pull(targets: Sequence[str] = ()) -> list[str]:
    """Bring outs from the default remote into the workspace; return those that changed.

    A target is a path or a stage (default: every out). Raises `UserError`, the workspace being as
    it was, when the remote cannot be reached, refuses, lacks an object or holds a corrupt one, when
    the disk is full, or when a file in the workspace is saved nowhere else.
    """
    from dvc.exceptions import DvcException
    from dvc.repo import Repo

    try:
        with Repo() as repo:
            wanted = list(targets) or None
            repo.fetch(wanted)
            outs = [
                out
                for out in repo.index.targets_view(wanted).outs
                if out.use_cache and out.hash_info
            ]
            _refuse_incomplete(repo, outs)
            _refuse_full_disk(repo, outs)
            changes = repo.checkout(wanted)
            return sorted(path for kind in ("added", "modified") for path in changes[kind])
    except DvcException as error:
        raise UserError(
            f"{message(error)}. Nothing was changed; docs/remotes.md says what each fault needs"
        ) from None
    except sqlite3.Error as error:
        raise UserError(
            f"DVC cannot write its own records ({error}): the disk is full, or full for this user. "
            "Make room and pull again"
        ) from None


def _refuse_incomplete(repo: "Repo", outs: Sequence[Any]) -> None:
    lacking = [out for out in outs if out.changed_cache()]
    if not lacking:
        return
    name = repo.config["core"].get("remote")
    url = repo.config["remote"].get(name, {}).get("url", "")
    if "://" not in url and not Path(url).is_dir():
        raise UserError(
            f"the remote {name} is the folder {url}, which is not there: is its disk mounted? "
            "Nothing was changed"
        )
    named = ", ".join(f"{out} (objects {', '.join(_absent(out))})" for out in lacking)
    raise UserError(
        f"the remote {name} has no whole copy of {named}: missing or corrupt. Nothing was "
        "changed. Remove these objects there, then `dvc push` on a machine that has them; "
        "docs/remotes.md shows how"
    )


def _absent(out: Any) -> list[str]:
    """Objects that did not arrive. A folder's list is among them: DVC pushes no file without it."""
    own = out.hash_info.value
    if not out.hash_info.isdir or (tree := out.get_obj()) is None:
        return [own]
    return [own, *(info.value for _, _, info in tree if not out.cache.exists(info.value))]


def _refuse_full_disk(repo: "Repo", outs: Sequence[Any]) -> None:
    needed = sum(out.meta.size or 0 for out in outs if not out.exists or out.changed_checksum())
    free = shutil.disk_usage(repo.root_dir).free
    if needed > free:
        raise UserError(
            f"{repo.root_dir} has {free:,} bytes free, the files to put there take {needed:,}. "
            "Nothing was changed; make room and pull again"
        )
