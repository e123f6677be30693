"""Check a released version: do its tag, `dvc.lock`, model card and bytes agree?

Needs no network while this machine has a copy of the bytes.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from stages.registry.versions import out_hashes
from stages.repro.git import git, read_at
from yolo.errors import UserError
from yolo.files import digest
from yolo.runtime.cache import cache_folder
from yolo.versions import cached_name, fetch, parse, standing

_SHA256 = re.compile(r"^- SHA-256 `([0-9a-f]{64})`", re.MULTILINE)
_MD5 = re.compile(r"^- MD5 `([0-9a-f]{32})`", re.MULTILINE)


@dataclass(frozen=True)
class Verified:
    """A version whose parts agree."""

    tag: str
    commit: str
    md5: str
    """Of the weights, in the commit's `dvc.lock` and in the card."""
    sha256: str
    """Of the weights, in the card and of each of `copies`."""
    card: str
    """Path of the card."""
    text: str
    """Content of the card in the commit."""
    copies: tuple[Path, ...]
    """The files on this machine that hold the weights."""


def verify(tag: str, file: Path | None = None, root: Path = Path()) -> Verified:
    """Compare the parts of `tag` (`detector@v1.2.0`) of the project in `root`, the current folder.

    The bytes are those of `file`, of the workspace if it is at that version, of DVC's cache, and of
    the cache of fetched models. If there are none, the remote's are fetched.

    Raises:
        UserError: There is no such version, or one of its parts differs; one sentence says which.
    """
    commit = _commit(tag, root)
    name, version = parse(tag)
    path, md5 = _locked(tag, name, root)
    card = f"cards/{name}-{version}.md"
    text = read_at(tag, card, root)
    if text is None:
        raise UserError(f"the commit of {tag} has no model card {card}")
    sha256 = _stated(_SHA256, text, f"{card} of {tag} names no SHA-256 of the weights")
    in_card = _stated(_MD5, text, f"{card} of {tag} names no MD5 of the weights")
    if f"\n# {tag}\n" not in f"\n{text}":
        raise UserError(f"{card} of {tag} is the card of another version")
    if in_card != md5:
        raise UserError(
            f"dvc.lock of {tag} differs from the card: it names MD5 {md5} for {path}, the card "
            f"{in_card}"
        )
    _refuse_changed(tag, card, commit, root)
    copies = tuple(_copies(name, path, md5, file, root)) or (fetch(tag, root),)
    for copy in copies:
        held = digest(copy)
        if held != sha256:
            raise UserError(
                f"the bytes of {copy} differ from the card of {tag}: SHA-256 {held} instead of "
                f"{sha256}"
            )
    return Verified(tag, commit, md5, sha256, card, text, copies)


def report(own: Verified) -> str:
    """What was compared, for people."""
    return "\n".join(
        [
            f"{own.tag} is whole",
            f"tag       commit {own.commit}",
            f"dvc.lock  MD5 {own.md5}, as in the card",
            f"card      {own.card}",
            f"bytes     SHA-256 {own.sha256}, as in the card:",
            *(f"          {copy}" for copy in own.copies),
        ]
    )


def _commit(tag: str, root: Path) -> str:
    versions = standing(git("tag", "--list", root=root).split())
    if tag not in versions:
        listed = ", ".join(versions) or "none"
        raise UserError(f"there is no version {tag} here; released are: {listed}")
    return git("rev-parse", f"{tag}^{{commit}}", root=root)


def _locked(tag: str, name: str, root: Path) -> tuple[str, str]:
    """Path and MD5 of the weights as the commit's `dvc.yaml` and `dvc.lock` name them."""
    try:
        pipeline: Any = YAML(typ="safe", pure=True).load(read_at(tag, "dvc.yaml", root) or "{}")
        path = pipeline["artifacts"][name]["path"]
        return path, out_hashes(read_at(tag, "dvc.lock", root) or "")[path]
    except (YAMLError, KeyError, TypeError, AttributeError):
        raise UserError(f"dvc.lock of {tag} does not name the weights of {name}") from None


def _stated(pattern: re.Pattern[str], text: str, otherwise: str) -> str:
    match = pattern.search(text)
    if match is None:
        raise UserError(otherwise)
    return match[1]


def _refuse_changed(tag: str, card: str, commit: str, root: Path) -> None:
    """Refuse a workspace whose card, or whose `dvc.lock` at this very commit, was changed."""
    names = [card]
    if git("rev-parse", "HEAD", root=root) == commit:
        names.append("dvc.lock")
    for name in names:
        path = root / name
        if path.is_file() and path.read_bytes() != (read_at(tag, name, root) or "").encode():
            raise UserError(f"{name} in this folder differs from that of {tag}")


def _copies(name: str, path: str, md5: str, file: Path | None, root: Path) -> Iterator[Path]:
    """The files on this machine that should hold the weights."""
    if file is not None:
        if not file.is_file():
            raise UserError(f"there is no weights file {file}")
        yield file
    lock = root / "dvc.lock"
    here = out_hashes(lock.read_text(encoding="utf-8")) if lock.is_file() else {}
    candidates = [
        *([root / path] if here.get(path) == md5 else []),
        _in_dvc_cache(md5, root),
        cache_folder() / cached_name(name, md5, path),
    ]
    yield from (candidate for candidate in candidates if candidate.is_file())


def _in_dvc_cache(md5: str, root: Path) -> Path:
    from dvc.repo import Repo

    with Repo(str(root)) as repo:
        return Path(repo.cache.local.oid_to_path(md5))
