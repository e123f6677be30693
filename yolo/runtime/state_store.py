"""States of one training in an object store or on any file system that fsspec can reach.

Below the address each training has the folder `<stage>/<fingerprint>/`:

    0000000042-1c9f03ab.pt      a state after 42 updates, and a random number
    0000000042-1c9f03ab.json    its size and SHA-256, written last: without it no state is whole
    77ac02d5.claim              renewed while machine 77ac02d5 trains: no other may then begin

Only a claim is ever overwritten, by its owner, so no reader meets a half-new file.
"""

import json
import random
import secrets
import socket
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import fsspec

from yolo.errors import UserError
from yolo.files import digest, replacing

LEASE_SECONDS = 60.0
"""A claim that was not renewed for so long belongs to a dead machine."""
_KEPT_STATES = 2
_KEPT_TRAININGS = 3
_OPTIONS: dict[str, dict[str, Any]] = {
    "s3": {
        "config_kwargs": {
            "connect_timeout": 10,
            "read_timeout": 60,
            "retries": {"max_attempts": 2},
        }
    },
    "file": {"auto_mkdir": True},
}
_HAVE_FOLDERS = ("sftp", "ssh", "smb", "ftp", "hdfs", "webhdfs", "webdav")


class StateStore:
    """The states of one training, and the claim that keeps other machines away from it.

    Methods raise whatever the backend raises, which is any exception, unless they say otherwise.
    """

    def __init__(
        self, address: str, training: str, owner: str, *, lease: float = LEASE_SECONDS
    ) -> None:
        """`training`: `<stage>/<fingerprint>`; `owner`: hexadecimal number of this machine.

        Raises:
            UserError: No backend for such an address is installed, or the address is wrong.
        """
        self.shown = _without_password(address).rstrip("/")
        self._owner, self._lease = owner, lease
        scheme = urlsplit(address).scheme
        options = _OPTIONS.get(scheme, {})
        try:
            self._fs, root = fsspec.url_to_fs(
                address, use_listings_cache=False, skip_instance_cache=True, **options
            )
        except (ImportError, ValueError) as error:
            raise UserError(
                f"YOLO_RUNS is {self.shown}: {error}. It may be a folder or an address that fsspec "
                "knows, such as s3://BUCKET/PREFIX"
            ) from None
        self._stage, _, self._fingerprint = f"{root.rstrip('/')}/{training}".rpartition("/")
        self._folder = f"{self._stage}/{self._fingerprint}"
        self._claim = f"{self._folder}/{owner}.claim"
        self._makes_folders = scheme in _HAVE_FOLDERS

    def claim(self) -> None:
        """Claim the training for this machine; wait while another machine has claimed it.

        Two machines never both succeed: each writes its claim before it looks for others, and
        begins only when it sees none. Of those that begin at once the others make way for the
        smallest number. Ages are differences of times that the store itself gave, so the machines'
        clocks do not matter.

        Raises:
            UserError: The store cannot be read and written, or the other machine is alive.
        """
        deadline, is_told = time.monotonic() + 1.5 * self._lease, False
        while True:
            try:
                other = self._try_to_claim()
            except Exception as error:  # backends raise whatever their libraries do
                raise self._unusable(error) from None
            if other is None:
                return
            if other.holds and time.monotonic() > deadline:
                raise UserError(
                    f"machine {other.machine} runs the same training (its claim is in {self.shown}/"
                    f"{self._fingerprint}); end it there, or wait until it has ended"
                )
            if not is_told:
                print(
                    f"waiting for machine {other.machine}, which has claimed the same training; "
                    f"the claim of a dead machine lapses after {self._lease:g} s",
                    file=sys.stderr,
                )
                is_told = True
            time.sleep(random.uniform(0.02, 0.06) * self._lease)

    def renew(self) -> bool:
        """Renew the claim; False when another machine has taken the training over."""
        if not self._fs.exists(self._claim):
            return False
        self._write_claim(holds=True)
        if any(self._claim_at(path).holds for path in self._live_claims()):
            self.release()
            return False
        return True

    def release(self) -> None:
        """Give the claim up."""
        if self._fs.exists(self._claim):
            self._fs.rm_file(self._claim)

    def fetch_newest(self, path: Path, newer_than: int) -> int | None:
        """Put the newest whole state of more than `newer_than` updates at `path`.

        Returns its number of updates, or None when there is no such state. A state whose size or
        sum is wrong is passed over with a warning.

        Raises:
            UserError: The store cannot be read.
        """
        try:
            return self._fetch_newest(path, newer_than)
        except Exception as error:  # backends raise whatever their libraries do
            raise self._unusable(error) from None

    def _fetch_newest(self, path: Path, newer_than: int) -> int | None:
        for name in sorted(self._names(".json"), reverse=True):
            described = self._description(name)
            if described is not None and described["updates"] <= newer_than:
                return None
            if described is not None and self._fetch(name, described, path):
                return described["updates"]
            print(f"warning: {self._folder}/{name}.pt is damaged; passed over", file=sys.stderr)
        return None

    def upload(self, path: Path, updates: int) -> None:
        """Send the state file at `path`, which must not change meanwhile, then remove older ones.

        Whatever ends this process, the newest whole state stays.
        """
        name = f"{updates:010d}-{secrets.token_hex(4)}"
        described = {"updates": updates, "size": path.stat().st_size, "sha256": digest(path)}
        self._make_folder()
        self._fs.put_file(str(path), f"{self._folder}/{name}.pt")
        self._fs.pipe_file(f"{self._folder}/{name}.json", json.dumps(described).encode())
        self._remove_old_states()

    def remove_states(self) -> None:
        """Remove all states of this training: a finished one is never continued."""
        for suffix in (".json", ".pt"):
            for name in self._names(suffix):
                self._fs.rm_file(f"{self._folder}/{name}{suffix}")

    def remove_old_trainings(self) -> None:
        """Remove the states of all but the newest trainings of this stage that nobody runs."""
        found = []
        for path in self._list(self._stage):
            files = self._list(path)
            if path.rpartition("/")[2] != self._fingerprint and files:
                found.append((max(self._fs.modified(file) for file in files), path))
        for _, path in sorted(found, reverse=True)[_KEPT_TRAININGS - 1 :]:
            if not self._live_claims(path):
                self._fs.rm(path, recursive=True)

    def _try_to_claim(self) -> "_Claim | None":
        """Claim the training, or return the claim of another machine that is in the way."""
        self._make_folder()
        self._write_claim(holds=False)
        self._fs.cat_file(self._claim)
        paths = self._live_claims()
        if paths:
            claims = sorted(map(self._claim_at, paths), key=lambda claim: not claim.holds)
            if claims[0].holds or min(paths) < self._claim:
                self.release()
            return claims[0]
        self._write_claim(holds=True)
        # a machine that slept through its lease may have woken up
        for claim in map(self._claim_at, self._live_claims()):
            if claim.holds:
                self.release()
                return claim
        live = (self._claim, *self._live_claims())
        for path in self._list(self._folder):
            if path.endswith(".claim") and path not in live:
                self._fs.rm_file(path)
        return None

    def _unusable(self, error: Exception) -> UserError:
        return UserError(
            f"YOLO_RUNS: the states of trainings cannot be kept in {self.shown}: {said(error)}. "
            "Check the address, the credentials (they must allow to list, read, write and delete "
            "there) and the network; docs/remotes.md shows an example"
        )

    def _write_claim(self, *, holds: bool) -> None:
        content = {"machine": socket.gethostname(), "holds": holds}
        self._fs.pipe_file(self._claim, json.dumps(content).encode())

    def _live_claims(self, folder: str | None = None) -> list[str]:
        """Paths of the claims of other machines that have not lapsed."""
        claims = [path for path in self._list(folder or self._folder) if path.endswith(".claim")]
        others = [path for path in claims if path != self._claim]
        if not others:
            return []
        now, live = self._fs.modified(self._claim), []
        for path in others:
            try:
                age = (now - self._fs.modified(path)).total_seconds()
            except FileNotFoundError:
                continue
            if age < self._lease:
                live.append(path)
        return live

    def _claim_at(self, path: str) -> "_Claim":
        content = self._read(path)
        machine = str(content.get("machine", "of an unknown name"))
        return _Claim(machine, bool(content.get("holds")))

    def _read(self, path: str) -> dict[str, Any]:
        """Content of a small JSON file; empty if it is gone or half written."""
        try:
            found = json.loads(self._fs.cat_file(path))
        except (FileNotFoundError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}

    def _description(self, name: str) -> dict[str, Any] | None:
        found = self._read(f"{self._folder}/{name}.json")
        kinds = {"updates": int, "size": int, "sha256": str}
        whole = all(isinstance(found.get(key), kind) for key, kind in kinds.items())
        return found if whole else None

    def _fetch(self, name: str, described: dict[str, Any], path: Path) -> bool:
        try:
            with replacing(path) as temporary:
                self._fs.get_file(f"{self._folder}/{name}.pt", str(temporary))
                size = temporary.stat().st_size
                if size != described["size"] or digest(temporary) != described["sha256"]:
                    raise _NotWhole
        except (FileNotFoundError, _NotWhole):
            return False
        return True

    def _remove_old_states(self) -> None:
        kept = sorted(self._names(".json"), reverse=True)[:_KEPT_STATES]
        # the description first: a state without it is not taken
        for suffix in (".json", ".pt"):
            for name in self._names(suffix):
                if name not in kept:
                    self._fs.rm_file(f"{self._folder}/{name}{suffix}")

    def _names(self, suffix: str) -> list[str]:
        """Names, without `suffix`, of this training's files that end so."""
        paths = self._list(self._folder)
        return [
            path.rpartition("/")[2].removesuffix(suffix) for path in paths if path.endswith(suffix)
        ]

    def _list(self, folder: str) -> list[str]:
        try:
            return [str(path).rstrip("/") for path in self._fs.ls(folder, detail=False)]
        except FileNotFoundError:
            return []

    def _make_folder(self) -> None:
        if self._makes_folders:
            self._fs.makedirs(self._folder, exist_ok=True)


@dataclass(frozen=True)
class _Claim:
    """What the claim of a machine says."""

    machine: str
    holds: bool
    """It trains; else it is about to begin, or to make way."""


class _NotWhole(Exception):
    """What was fetched is not what its description says."""


def said(error: Exception) -> str:
    """The text of an exception, or its name where it has none."""
    return str(error).strip() or type(error).__name__


def _without_password(address: str) -> str:
    scheme, separator, rest = address.partition("://")
    host, slash, path = rest.partition("/")
    return f"{scheme}{separator}{host.rpartition('@')[2]}{slash}{path}"
