"""Data that `dvc import-url` or `dvc import` brought here: bring it up to date with its source."""

from contextlib import chdir
from typing import Any

from stages.repro.plan import message
from yolo.errors import UserError


def update_imports() -> list[str]:
    """Run `dvc update` for each import whose source has changed; return the paths of the new data.

    The source is compared with what DVC has recorded of it (the ETag of an HTTP or S3 address, the
    commit of a repository). Unchanged data is not downloaded, even if it is not here. Raises
    `UserError` that names the data when its source is gone or does not answer.
    """
    from dvc.exceptions import DvcException
    from dvc.repo import Repo

    try:
        with chdir(Repo.find_root()), Repo() as repo:
            imports = [stage for stage in repo.index.stages if stage.is_import]
            changed = [stage for stage in imports if _has_new_source(stage)]
            if changed:
                repo.update([stage.addressing for stage in changed])
            return sorted(str(stage.outs[0]) for stage in changed)
    except DvcException as error:
        raise UserError(message(error)) from None


def _has_new_source(stage: Any) -> bool:
    source = stage.deps[0]
    try:
        # not `status`: it starts a download to see whether the address exists
        return bool(source.changed_checksum())
    except Exception as error:  # each kind of address has its own
        raise UserError(f"{stage.outs[0]} cannot be updated from {source}: {error}") from None
