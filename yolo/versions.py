"""Fetch released models by name and version from any project; the only file that imports DVC.

A version is a Git tag such as `detector@v1.2.0`. The tagged commit holds the hash of the weights
and names the remote that has them.
"""

import re
from collections.abc import Collection
from pathlib import Path
from typing import NamedTuple

from yolo.errors import UserError
from yolo.files import digest, replacing
from yolo.runtime.cache import cache_folder

_MODEL = re.compile(r"(?P<name>[a-z][a-z0-9-]*)(@(?P<version>v\d+\.\d+\.\d+))?")


class Model(NamedTuple):
    """A released model; `version` None: the newest."""

    name: str
    version: str | None


def parse(text: str) -> Model:
    """Parse `detector@v1.2.0` or `detector`; UserError for anything else."""
    match = _MODEL.fullmatch(text)
    if match is None:
        raise UserError(f"{text!r} is not a version of a model; write for example detector@v1.2.0")
    return Model(match["name"], match["version"])


def standing(tags: Collection[str]) -> list[str]:
    """Return the tags that are versions, each model's in ascending order.

    The tag `NAME@vX.Y.Z!` withdraws a version.
    """
    found = (_MODEL.fullmatch(tag) for tag in tags if f"{tag}!" not in tags)
    versions = [(own["name"], own["version"]) for own in found if own and own["version"]]
    return [f"{name}@{version}" for name, version in sorted(versions, key=_order)]


def fetch(model: str, repo: str | Path | None = None, folder: Path | None = None) -> Path:
    """Return the weights file of a released model; fetched once, its hash checked each time.

    `dvc get` does not check: it installs corrupt objects, too.

    Args:
        model: `detector@v1.2.0`, or `detector` for the newest version.
        repo: The project: a folder or the address of a Git repository; None: the project around
            the current folder.
        folder: Folder for fetched files; None: `yolov1` in the user's cache.

    Raises:
        UserError: There is no such project or version (the message lists the versions), the remote
            does not answer or refuses access, or its object is missing or corrupt. Nothing is left
            behind then.
    """
    name, version = parse(model)
    address = str(Path.cwd() if repo is None else repo)
    kept = folder or cache_folder()
    try:
        return _fetch(name, version, address, kept)
    except UserError:
        raise
    except Exception as error:  # DVC's backends raise the errors of their libraries
        reason = str(error).strip() or type(error).__name__
        raise UserError(
            f"{model} cannot be fetched from {address}: {reason}; `yolov1 models` lists the "
            "versions of a project, docs/remotes.md lists what a remote may need"
        ) from None


def _fetch(name: str, version: str | None, address: str, folder: Path) -> Path:
    from dvc.api import DVCFileSystem, artifacts_show
    from dvc.exceptions import ArtifactNotFoundError

    try:
        found = artifacts_show(name, version=version, repo=address)
    except ArtifactNotFoundError:
        asked = f"{name}@{version}" if version else f"version of {name}"
        raise UserError(f"{address} has no {asked}; {_released(name, address)}") from None
    files = DVCFileSystem(address, rev=found["rev"])
    source = Path(found["path"]).as_posix()
    expected = files.info(source)["dvc_info"]["md5"]
    path = folder / cached_name(name, expected, source)
    if path.is_file() and digest(path, "md5") == expected:
        return path
    with replacing(path) as temporary:
        files.get_file(source, str(temporary))
        held = digest(temporary, "md5")
        if held != expected:
            raise UserError(
                f"{source} of {name} in the remote of {address} is corrupt: its MD5 is {held} "
                f"instead of {expected}; docs/remotes.md says how to repair it"
            )
    return path


def cached_name(name: str, md5: str, source: str) -> str:
    """Name of a fetched file in its folder; `source`: its path in the project."""
    return f"{name}-{md5}{Path(source).suffix}"


def _released(name: str, address: str) -> str:
    """List the released versions of `name`, or of all models if it has none."""
    from dvc.repo import Repo

    with Repo.open(address, subrepos=True, uninitialized=True) as repo:
        tags = set(repo.scm.list_tags())
    every = standing(tags)
    named = [tag for tag in every if tag.startswith(f"{name}@")] or every
    return f"released are: {', '.join(named)}" if named else "none is released"


def _order(own: tuple[str, str]) -> tuple[str, list[int]]:
    name, version = own
    return name, [int(part) for part in version[1:].split(".")]
