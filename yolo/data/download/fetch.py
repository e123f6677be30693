"""Fetch published archives: mirrors in order, resume, retry, and nothing seen before it is right.

A partial file and what is known of it (`NAME.part`, `NAME.part.json`) stay in the folder when the
process dies, and the next call goes on from there.
"""

import errno
import json
import shutil
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from yolo.data.archives.reader import Archives, Limits
from yolo.data.download.descriptor import Archive, PublishedFile
from yolo.data.download.remote_file import TransferError, open_at
from yolo.errors import UserError
from yolo.files import digest, write_json
from yolo.runtime.meter import Meter

_SPARE_BYTES = 64 << 20


@dataclass(frozen=True)
class Patience:
    """When to try again and when to give up; seconds."""

    attempts: int = 4
    """Attempts at one address that bring no new byte."""
    first_wait: float = 1.0
    """Wait after the first failure; it doubles with each further one."""
    connect_timeout: float = 15.0
    read_timeout: float = 60.0
    """Without a single byte."""
    sleep: Callable[[float], None] = time.sleep


def fetch_all(
    archives: Sequence[Archive],
    folder: Path,
    patience: Patience = Patience(),
    limits: Limits | None = None,
) -> list[Path]:
    """Fetch each archive into `folder`, verified; return their paths in the same order.

    An archive that is there already and passes is not fetched again. One without a checksum must
    be readable within `limits`.

    Raises:
        UserError: an archive that no address sends whole and right (with the reason of each), or
            too little room on the disk.
    """
    folder.mkdir(parents=True, exist_ok=True)
    missing = [a for a in archives if not any((folder / f.name).exists() for f in _files(a))]
    needed = sum((a.size or 0) - _size(_part(a, folder)) for a in missing)
    _check_room(folder, needed, ", ".join(a.name for a in missing))
    return [fetch(archive, folder, patience, limits) for archive in archives]


def fetch(
    archive: Archive, folder: Path, patience: Patience = Patience(), limits: Limits | None = None
) -> Path:
    """Fetch one archive or an alternative of it, as `fetch_all` does."""
    for file in _files(archive):
        if _is_here(file, folder):
            return folder / file.name
    reasons: list[str] = []
    for file in _files(archive):
        for url in file.urls:
            try:
                complete(url, file, _part(file, folder), patience, limits)
            except TransferError as error:
                print(f"{url}: {error}", file=sys.stderr)
                reasons.append(f"  {url}: {error}")
            else:
                return _keep(file, folder)
    raise UserError(
        f"{archive.name} could not be fetched:\n" + "\n".join(reasons) + "\n"
        "Check the network and try again (what has arrived is kept), add a mirror to the "
        "descriptor, or fetch it by other means and set data.<set>.source to its path. When "
        "every mirror has another checksum or size, the published file has changed: make sure "
        "of it, then correct the descriptor."
    )


def _files(archive: Archive) -> list[PublishedFile]:
    """The archive and its alternatives, in the order in which they are tried."""
    return [archive, *archive.alternatives]


def _is_here(file: PublishedFile, folder: Path) -> bool:
    """Whether the file is there and right; remove one that is not."""
    path = folder / file.name
    if not path.exists():
        return False
    if _is_right(file, path, _record(file, folder)):
        print(f"{file.name} is there already and verified", file=sys.stderr)
        return True
    print(f"{file.name} is there but is not what is wanted; fetching it", file=sys.stderr)
    path.unlink()
    return False


def _keep(file: PublishedFile, folder: Path) -> Path:
    """Give the complete partial file its name; record the sum of one that had none."""
    path, part = folder / file.name, _part(file, folder)
    if file.checksum is None:
        found = digest(part)
        print(
            f"{file.name}: no checksum was known; sha256 {found} is recorded "
            "(write it into the descriptor to make it binding)",
            file=sys.stderr,
        )
        write_json(_record(file, folder), {"urls": file.urls, "sha256": found})
    part.replace(path)
    _note(part).unlink(missing_ok=True)
    return path


def complete(
    url: str,
    archive: PublishedFile,
    part: Path,
    patience: Patience,
    limits: Limits | None = None,
    headers: Mapping[str, str] = MappingProxyType({}),
) -> None:
    """Complete the file `part` from one address and verify it; resume and retry on the way.

    `headers` are sent over HTTP. Raises `TransferError` when no more can be done; `part` and its
    note may be left then.
    """
    failures = most = 0
    while True:
        resumed = False
        try:
            resumed = _transfer(url, archive, part, patience, headers)
            _verify(archive, part, limits)
            return
        except _WrongContent as error:
            _discard(part)
            # the bytes that were there before may be the wrong ones
            if not resumed:
                raise TransferError(str(error), permanent=True) from None
            reason, wait = str(error), 0.0
        except TransferError as error:
            if error.restart:
                _discard(part)
            if error.permanent:
                raise
            reason, wait = str(error), error.wait
        failures = 1 if _size(part) > most else failures + 1
        most = max(most, _size(part))
        if failures >= patience.attempts:
            raise TransferError(f"{reason} ({failures} attempts without a new byte)")
        wait = max(wait, patience.first_wait * 2 ** (failures - 1))
        print(f"{archive.name}: {reason}; again in {wait:.0f} s", file=sys.stderr)
        patience.sleep(wait)


def _transfer(
    url: str, archive: PublishedFile, part: Path, patience: Patience, headers: Mapping[str, str]
) -> bool:
    """Append what is missing to `part`; return whether some of it was there before."""
    validator = _prepare(url, archive, part)
    offset = _size(part)
    if archive.size is not None and offset == archive.size:
        return True
    timeouts = (patience.connect_timeout, patience.read_timeout)
    with open_at(url, offset, validator, timeouts, headers) as body:
        if None not in (archive.size, body.total) and body.total != archive.size:
            size = f"it has {body.total} bytes, {archive.size} are expected"
            page = _WEB_PAGE if _is_page(next(iter(body.chunks), b"")) else ""
            raise TransferError(page + size, permanent=True)
        if body.total is not None:
            _check_room(part.parent, body.total - body.start, archive.name)
        write_json(
            _note(part),
            {"url": url, "validator": body.validator, "checksum": archive.checksum},
        )
        try:
            # unbuffered: what has arrived survives the process
            with (
                part.open("r+b" if part.exists() else "wb", buffering=0) as file,
                Meter(archive.name, body.start, body.total) as meter,
            ):
                file.seek(body.start)
                file.truncate()
                for chunk in body.chunks:
                    file.write(chunk)
                    meter.add(len(chunk))
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
            raise UserError(f"{part.parent}: no room left on the disk; free some") from None
    total = archive.size if body.total is None else body.total
    if total is not None and _size(part) < total:
        raise TransferError(f"it ended after {_size(part)} of {total} bytes")
    return body.start > 0


def _prepare(url: str, archive: PublishedFile, part: Path) -> str | None:
    """Discard a partial file that may be of another content; return its version at this address."""
    note = _read_note(_note(part))
    checksum = list(archive.checksum) if archive.checksum else None
    same_address = note.get("url") == url
    same_checksum = checksum is not None and note.get("checksum") == checksum
    validator = note.get("validator") if same_address else None
    if not same_checksum and not validator:
        _discard(part)
    if archive.size is not None and _size(part) > archive.size:
        _discard(part)
    return validator


class _WrongContent(Exception):
    """Everything has arrived, but it is not what it should be."""


def _verify(archive: PublishedFile, path: Path, limits: Limits | None) -> None:
    with path.open("rb") as file:
        if _is_page(file.read(512)):
            raise _WrongContent(f"{_WEB_PAGE}perhaps a firewall's or a login's")
    size = _size(path)
    if archive.size is not None and size != archive.size:
        raise _WrongContent(f"{archive.name} has {size} bytes, {archive.size} are expected")
    if archive.checksum is not None:
        algorithm, expected = archive.checksum
        found = digest(path, algorithm)
        if found != expected:
            raise _WrongContent(
                f"checksum mismatch of {archive.name}: {algorithm} {found}, expected {expected}"
            )
        return
    try:
        Archives(path, limits).close()
    except UserError as error:
        raise _WrongContent(f"what it sent is no archive ({error})") from None


_WEB_PAGE = "it sent a web page in place of the file: "


def _is_page(head: bytes) -> bool:
    return head.lstrip()[:14].lower().startswith((b"<!doctype html", b"<html", b"<head"))


def _is_right(archive: PublishedFile, path: Path, record: Path) -> bool:
    """Whether the file that is there is the one that is wanted."""
    if archive.size is not None and _size(path) != archive.size:
        return False
    if archive.checksum is not None:
        algorithm, expected = archive.checksum
        return digest(path, algorithm) == expected
    return _read_note(record) == {"urls": archive.urls, "sha256": digest(path)}


def _check_room(folder: Path, needed: int, what: str) -> None:
    free = shutil.disk_usage(folder).free
    if needed > 0 and needed + _SPARE_BYTES > free:
        raise UserError(
            f"{what}: {needed} bytes are to come and {folder} has room for {free}; free some"
        )


def _record(file: PublishedFile, folder: Path) -> Path:
    """Where the sum of a file without a known one is recorded."""
    return folder / f"{file.name}.json"


def _part(archive: PublishedFile, folder: Path) -> Path:
    return folder / f"{archive.name}.part"


def _note(part: Path) -> Path:
    return part.with_name(f"{part.name}.json")


def _read_note(path: Path) -> dict[str, Any]:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _discard(part: Path) -> None:
    part.unlink(missing_ok=True)
    _note(part).unlink(missing_ok=True)
