"""Read the members of published archives in place: nothing is ever extracted by name."""

import os
import struct
import zlib
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from yolo.data.archives import formats
from yolo.data.archives.formats import DEFLATED, PLAIN, Entry
from yolo.errors import UserError

SUFFIXES = (".tar", ".tar.gz", ".tgz", ".zip", ".parquet")
_TEXTS = (".md", ".json", ".txt", ".yaml", ".py")
"""Files of a Hugging Face repository beside its data."""
_UNSUPPORTED = (".rar", ".7z", ".bz2", ".xz", ".zst")
_CHUNK = 1 << 20
_ZIP_HEADER = struct.Struct("<4s22xHH")


@dataclass(frozen=True)
class Limits:
    """How much an archive may ask of the machine."""

    members: int = 5_000_000
    """Files in all archives together; ImageNet-1k has 1.3 million."""
    member_bytes: int = 1 << 28
    """Size of one file that is read."""
    total_bytes: int = 1 << 40
    """Size of all files in archives together."""
    expansion: int = 200
    """A compressed archive may inflate to this many times its size (or to 64 MiB if more)."""


class Archives:
    """Every file of an archive, of a folder of archives, or of a plain folder, by its name.

    A folder without subfolders that holds at least one archive stands for these archives together
    (`data/raw/<set>/`). So does a folder of parquet files and texts about them, as Hugging Face
    publishes sets. Any other folder stands for the files below it, links followed.

    Reads are safe from threads and in forked or pickled copies. `tar` and `zip` are read where they
    lie; `tar.gz` and `parquet` are inflated once into a temporary file, which `close` removes.

    Raises:
        UserError: no such path, not an archive, truncated or damaged, a member with an absolute
            path, `..`, a link, a device, over the limits, or two different files of one name.
    """

    def __init__(self, path: Path, limits: Limits | None = None) -> None:
        self.path = path
        self._limits = limits or Limits()
        self._descriptors: dict[int, int] = {}
        self._owner = os.getpid()
        self._temporary: list[Path] = []
        self._folder: Path | None = None
        self._files: list[Path] = []
        self._names: list[str] = []
        # one row per name: the columns of Entry
        self._table = np.empty((0, len(Entry._fields)), dtype=np.int64)
        try:
            if not (path.is_file() or path.is_dir()):
                is_there = "is no file and no folder" if path.exists() else "does not exist"
                kinds = ", ".join(SUFFIXES)
                raise UserError(f"{path} {is_there}; name a folder or an archive ({kinds})")
            archives = [path] if path.is_file() else archives_in(path)
            if archives:
                self._index(archives)
            else:
                self._folder = path
                self._names = formats.folder_names(path)
                self._check_count(len(self._names))
        except BaseException as error:
            self.close()
            if isinstance(error, OSError):
                raise UserError(f"{path} cannot be read: {error}") from None
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __getstate__(self) -> dict[str, object]:
        # Elsewhere the current folder is another one.
        files = [path.absolute() for path in self._files]
        folder = self._folder.absolute() if self._folder else None
        return {**self.__dict__, "_descriptors": {}, "_files": files, "_folder": folder}

    def close(self) -> None:
        """Close the files and, in the process that opened the archives, remove temporary ones."""
        for descriptor in self._descriptors.values():
            os.close(descriptor)
        self._descriptors.clear()
        if self._owner == os.getpid():
            for path in self._temporary:
                path.unlink(missing_ok=True)

    def names(self) -> list[str]:
        """Names of the regular files (`train/cat/1.jpg`), sorted, each once."""
        return self._names

    def read(self, name: str) -> bytes:
        """Content of one file; `UserError` when there is none, it is too large or damaged."""
        place = bisect_left(self._names, name)
        if place == len(self._names) or self._names[place] != name:
            raise UserError(f"{self.path} has no file {name}")
        if self._folder is not None:
            return self._read_file(self._folder / name)
        return self._read_entry(name, Entry(*self._table[place].tolist()))

    def chunks(self, name: str, most_bytes: int) -> Iterator[bytes]:
        """Content of one file, a mebibyte at a time; its own limit replaces that of other files.

        Raises:
            UserError: There is no such file, it is larger than `most_bytes`, or damaged.
        """
        place = bisect_left(self._names, name)
        if place == len(self._names) or self._names[place] != name:
            raise UserError(f"{self.path} has no file {name}")
        if self._folder is not None:
            path = self._folder / name
            try:
                self._check_most(path.stat().st_size, most_bytes, str(path))
                with path.open("rb") as file:
                    yield from iter(lambda: file.read(_CHUNK), b"")
            except OSError as error:
                raise UserError(f"{path} cannot be read: {error.strerror}") from None
            return
        entry = Entry(*self._table[place].tolist())
        where = f"{self._files[entry.file]}: member {name}"
        self._check_most(max(entry.size, entry.stored), most_bytes, where)
        offset = self._content(entry, where)
        descriptor = self._descriptor(entry.file)
        inflater = zlib.decompressobj(-zlib.MAX_WBITS) if entry.kind == DEFLATED else None
        size = checksum = 0
        for start in range(0, entry.stored, _CHUNK):
            data = os.pread(descriptor, min(_CHUNK, entry.stored - start), offset + start)
            try:
                parts = [data] if inflater is None else _inflated(inflater, data)
                for part in parts:
                    size += len(part)
                    checksum = zlib.crc32(part, checksum)
                    if size > entry.size:
                        raise UserError(f"{where} is damaged; fetch the archive again")
                    yield part
            except zlib.error as error:
                raise UserError(f"{where} is damaged: {error}; fetch the archive again") from None
        if size != entry.size or (entry.kind != PLAIN and checksum != entry.crc):
            raise UserError(f"{where} is damaged; fetch the archive again")

    def _read_file(self, path: Path) -> bytes:
        try:
            self._check_size(path.stat().st_size, str(path))
            return path.read_bytes()
        except OSError as error:
            raise UserError(f"{path} cannot be read: {error.strerror}") from None

    def _read_entry(self, name: str, entry: Entry) -> bytes:
        where = f"{self._files[entry.file]}: member {name}"
        self._check_size(max(entry.size, entry.stored), where)
        offset = self._content(entry, where)
        data = os.pread(self._descriptor(entry.file), entry.stored, offset)
        if entry.kind == DEFLATED:
            try:
                data = zlib.decompressobj(-zlib.MAX_WBITS).decompress(data, entry.size + 1)
            except zlib.error as error:
                raise UserError(f"{where} is damaged: {error}; fetch the archive again") from None
        if len(data) != entry.size or (entry.kind != PLAIN and zlib.crc32(data) != entry.crc):
            raise UserError(f"{where} is damaged; fetch the archive again")
        return data

    def _content(self, entry: Entry, where: str) -> int:
        """Where the stored bytes begin."""
        if entry.kind == PLAIN:
            return entry.offset
        header = os.pread(self._descriptor(entry.file), _ZIP_HEADER.size, entry.offset)
        if len(header) < _ZIP_HEADER.size or not header.startswith(b"PK\x03\x04"):
            raise UserError(f"{where} is damaged: no header; fetch the archive again")
        _, name_length, extra_length = _ZIP_HEADER.unpack(header)
        return entry.offset + _ZIP_HEADER.size + name_length + extra_length

    def _index(self, archives: list[Path]) -> None:
        found: list[tuple[str, Entry]] = []
        for archive in archives:
            number = len(self._files)
            blob, members = formats.open_archive(archive, self._limits.expansion, self._temporary)
            self._files.append(blob)
            end = blob.stat().st_size
            for name, member in members:
                if member.offset < 0 or member.offset + member.stored > end:
                    raise UserError(
                        f"{archive}: member {name} would lie before or behind the archive, which "
                        "is damaged; get it again"
                    )
                found.append((name, member._replace(file=number)))
                self._check_count(len(found))
        self._check_total(sum(entry.size for _, entry in found))
        found.sort(key=lambda pair: pair[0])
        kept: list[Entry] = []
        for name, entry in found:
            if self._names and self._names[-1] == name:
                self._check_same(name, kept[-1], entry, archives)
                continue
            self._names.append(name)
            kept.append(entry)
        if kept:
            self._table = np.array(kept, dtype=np.int64)

    def _check_same(self, name: str, first: Entry, second: Entry, archives: list[Path]) -> None:
        same = first.size == second.size
        if not same or self._read_entry(name, first) != self._read_entry(name, second):
            where = " and ".join(sorted({str(archives[e.file]) for e in (first, second)}))
            raise UserError(f"{where}: two different files are named {name}; rename or remove one")

    def _check_count(self, count: int) -> None:
        if count > self._limits.members:
            raise UserError(
                f"{self.path} holds more than {self._limits.members} files, the limit; "
                "if that is right, raise limits.archive.members in params.yaml"
            )

    def _check_total(self, size: int) -> None:
        if size > self._limits.total_bytes:
            limit = self._limits.total_bytes
            raise UserError(
                f"{self.path} holds files of {size} bytes together; the limit is {limit}; "
                "if that is right, raise limits.archive.total_bytes in params.yaml"
            )

    def _check_size(self, size: int, where: str) -> None:
        if size > self._limits.member_bytes:
            limit = self._limits.member_bytes
            raise UserError(
                f"{where} has {size} bytes; the limit for one file is {limit}; "
                "if that is right, raise limits.archive.member_bytes in params.yaml"
            )

    def _check_most(self, size: int, most: int, where: str) -> None:
        if size > most:
            raise UserError(
                f"{where} has {size} bytes; the limit for a file that describes a set is {most}; "
                "if that is right, raise limits.set_annotation_bytes in params.yaml"
            )

    def _descriptor(self, file: int) -> int:
        if file not in self._descriptors:
            opened = os.open(self._files[file], os.O_RDONLY)
            # another thread may have been faster
            if self._descriptors.setdefault(file, opened) != opened:
                os.close(opened)
        return self._descriptors[file]


def _inflated(inflater: Any, data: bytes) -> Iterator[bytes]:
    """What the bytes inflate to, never more than a chunk at a time."""
    while data:
        part = inflater.decompress(data, _CHUNK)
        data = inflater.unconsumed_tail
        if part:
            yield part


def archives_in(folder: Path) -> list[Path]:
    """Archives of a folder that has files only, or of a Hugging Face repository.

    Empty for a plain folder of data.
    """
    children = sorted(folder.iterdir())
    files = [child for child in children if child.is_file()]
    archives = [file for file in files if file.name.lower().endswith(SUFFIXES)]
    if len(files) < len(children):
        return _parquet_below(folder)
    for file in files:
        if file.name.lower().endswith(_UNSUPPORTED):
            kinds = ", ".join(SUFFIXES)
            raise UserError(f"{file} is of a kind that is not read; pack it as one of {kinds}")
    return archives


def _parquet_below(folder: Path) -> list[Path]:
    """The parquet files below a folder in which all other files describe them; else nothing."""
    found = []
    for root, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            lower = name.lower()
            if lower.endswith(".parquet"):
                found.append(Path(root, name))
            elif not lower.startswith((".", "readme", "license")) and not lower.endswith(_TEXTS):
                return []
    return found
