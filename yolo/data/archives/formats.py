"""Where each member of a tar, tar.gz, zip or parquet file lies, and the names that are refused."""

import errno
import gzip
import io
import os
import shutil
import stat
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, NamedTuple

from yolo.data.archives import parquet, parquet_objects
from yolo.errors import UserError

PLAIN, ZIP_STORED, DEFLATED = range(3)
_CHUNK = 1 << 20
_FREE_EXPANSION = 64 << 20
_UTF8 = 0x800
"""Flag of a zip member."""
_EAST_ASIAN = ("gbk", "cp932", "big5", "euc_kr")
"""Encodings of Windows in China, Japan, Taiwan and Korea."""


class Entry(NamedTuple):
    """Place of one member: `stored` bytes of file number `file` from `offset` on.

    `kind` PLAIN: they are the content. Otherwise `offset` is a zip header before them, and
    they hold `size` bytes with checksum `crc` as they are (ZIP_STORED) or DEFLATED.
    """

    file: int
    offset: int
    stored: int
    size: int
    crc: int
    kind: int


Member = tuple[str, Entry]
Members = Iterable[Member]


def open_archive(path: Path, expansion: int, temporary: list[Path]) -> tuple[Path, Members]:
    """Return the file that holds the members' bytes and, lazily, the members.

    The format is told by the content, not the name. A file made for the purpose (an inflated
    tar.gz) is appended to `temporary` and is the caller's to remove.
    """
    with path.open("rb") as file:
        head = file.read(512)
    if head.startswith(b"PK"):
        return path, _zip_members(path, expansion)
    if head.startswith(b"PAR1"):
        return _parquet_members(path, expansion, temporary)
    if head.startswith(b"\x1f\x8b"):
        inflated = _inflate(path, expansion, temporary)
        return inflated, _tar_members(path, inflated)
    return path, _tar_members(path, path)


def folder_names(folder: Path) -> list[str]:
    """Names of all files below `folder`, relative to it, sorted; links are followed."""
    names = []
    for root, folders, files in os.walk(folder, onerror=_refuse, followlinks=True):
        relative = Path(root).relative_to(folder)
        above = [folder, *(folder / part for part in reversed(relative.parents)), Path(root)]
        around = {path.resolve() for path in above}
        # A link to a folder around it would lead round for ever.
        folders[:] = sorted(name for name in folders if Path(root, name).resolve() not in around)
        for name in files:
            if not Path(root, name).is_file():
                raise UserError(f"{Path(root, name)} is a broken link or no plain file; remove it")
            names.append(_clean_name((relative / name).as_posix(), folder))
    return sorted(names)


def _refuse(error: OSError) -> None:
    raise UserError(f"{error.filename} cannot be read: {error.strerror}")


def _tar_members(path: Path, blob: Path) -> Iterator[tuple[str, Entry]]:
    """Members of the tar in `blob`; `path` is the archive that errors name."""
    try:
        with tarfile.open(blob, "r:", encoding="utf-8") as tar:
            while (member := tar.next()) is not None:
                # tarfile would keep a kilobyte for each member
                tar.members = []  # type: ignore[attr-defined]
                if member.isdir():
                    continue
                name = _clean_name(member.name, path)
                if not member.isreg() or member.issparse() or member.size < 0:
                    raise UserError(
                        f"{path}: member {name} is {_kind(member)}, which is not read; "
                        "pack the data again as plain files (tar --dereference --hard-dereference)"
                    )
                size = member.size
                if name.lower().endswith(".tar"):
                    yield from _inner_tar(path, blob, name, member)
                    continue
                yield name, Entry(0, member.offset_data, size, size, 0, PLAIN)
            end = tar.offset
    except (tarfile.TarError, ValueError, OverflowError) as error:
        # the latter two: a header that claims impossible numbers
        raise UserError(f"{path} is not a readable archive ({error}); {_REMEDY}") from None
    with blob.open("rb") as file:
        _check_end(path, file, end)


def _inner_tar(path: Path, blob: Path, name: str, outer: tarfile.TarInfo) -> Iterator[Member]:
    """Members of a tar in a tar, in a folder of its name, as ILSVRC packs each class."""
    folder = name[: -len(".tar")]
    where = f"{path}: member {name}"
    try:
        with blob.open("rb") as file:
            window = _Window(file, outer.offset_data, outer.size)
            with tarfile.open(fileobj=window, mode="r:", encoding="utf-8") as tar:  # type: ignore[call-overload]
                while (member := tar.next()) is not None:
                    tar.members = []  # type: ignore[attr-defined]
                    if member.isdir():
                        continue
                    inner = _clean_name(member.name, path)
                    if not member.isreg() or member.issparse() or member.size < 0:
                        raise UserError(f"{where}: {inner} is {_kind(member)}, which is not read")
                    if member.offset_data + member.size > outer.size:
                        raise UserError(f"{where} is truncated; get the archive again")
                    start = outer.offset_data + member.offset_data
                    yield f"{folder}/{inner}", Entry(0, start, member.size, member.size, 0, PLAIN)
                window.seek(tar.offset)
                end = window.read(tarfile.BLOCKSIZE)
            if len(end) < tarfile.BLOCKSIZE or any(end):
                raise UserError(f"{where} is truncated or damaged; get the archive again")
    except (tarfile.TarError, ValueError, OverflowError) as error:
        raise UserError(f"{where} is not a readable tar ({error}); get it again") from None


class _Window(io.RawIOBase):
    """A part of a file as a file of its own, read only."""

    def __init__(self, file: IO[bytes], start: int, size: int) -> None:
        self._file, self._start, self._size, self._place = file, start, size, 0

    def read(self, size: int = -1) -> bytes:
        left = max(self._size - self._place, 0)
        self._file.seek(self._start + self._place)
        data = self._file.read(left if size < 0 else min(size, left))
        self._place += len(data)
        return data

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        origin = {os.SEEK_SET: 0, os.SEEK_CUR: self._place, os.SEEK_END: self._size}[whence]
        self._place = origin + offset
        return self._place

    def tell(self) -> int:
        return self._place

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True


_REMEDY = "it is truncated, damaged or of another kind than tar, tar.gz, zip: get it again"


def _kind(member: tarfile.TarInfo) -> str:
    if member.issym() or member.islnk():
        return "a link"
    return "a device" if member.isdev() else "of a special kind"


def _check_end(path: Path, file: IO[bytes], end: int) -> None:
    """What follows the last member must be zeros, one block or more: tarfile stops at damage."""
    file.seek(end)
    block = file.read(512)
    if len(block) < 512 or any(block):
        raise UserError(f"{path} is truncated or damaged at byte {end}; get it again")
    while chunk := file.read(_CHUNK):
        if chunk.count(0) != len(chunk):
            raise UserError(f"{path} goes on after its end mark (joined archives?); pack it as one")


def _zip_members(path: Path, expansion: int) -> Iterator[tuple[str, Entry]]:
    try:
        with zipfile.ZipFile(path) as archive:
            infos = archive.infolist()
    except (zipfile.BadZipFile, NotImplementedError, EOFError, ValueError) as error:
        raise UserError(f"{path} is not a readable archive ({error}); {_REMEDY}") from None
    _check_expansion(path, sum(info.file_size for info in infos), expansion)
    for info, name in zip(infos, _zip_names(infos), strict=True):
        # some Windows programs separate folders by a backslash, against the format
        name = name.replace("\\", "/")
        if name.endswith("/"):
            continue
        name = _clean_name(name, path)
        mode = stat.S_IFMT(info.external_attr >> 16)
        if mode not in (0, stat.S_IFREG):
            raise UserError(f"{path}: member {name} is a link or a device, which is not read")
        if info.flag_bits & 1:
            raise UserError(f"{path}: member {name} is encrypted; pack it without a password")
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise UserError(
                f"{path}: member {name} uses compression {info.compress_type}; "
                "pack it with deflate, as zip does by default"
            )
        kind = ZIP_STORED if info.compress_type == zipfile.ZIP_STORED else DEFLATED
        yield (
            name,
            Entry(0, info.header_offset, info.compress_size, info.file_size, info.CRC, kind),
        )


def _zip_names(infos: Sequence[zipfile.ZipInfo]) -> list[str]:
    """Names of the members, also where a program wrote another encoding than the format allows.

    The format knows UTF-8, which a flag announces, and cp437. Some programs write UTF-8 without the
    flag; Windows in East Asia writes its own encoding.
    """
    foreign = [
        info.filename.encode("cp437")
        for info in infos
        if not info.flag_bits & _UTF8 and not info.filename.isascii()
    ]
    if not foreign:
        return [info.filename for info in infos]
    encoding = _encoding_of(foreign)
    return [
        info.filename
        if info.flag_bits & _UTF8
        else info.filename.encode("cp437").decode(encoding, "replace")
        for info in infos
    ]


def _encoding_of(names: Sequence[bytes]) -> str:
    from charset_normalizer import from_bytes

    together = b"\n".join(names)
    try:
        together.decode("utf-8")
        return "utf-8"
    except UnicodeError:
        likely = from_bytes(together, cp_isolation=[*_EAST_ASIAN, "cp1252", "cp437"]).best()
    return likely.encoding if likely and likely.encoding in _EAST_ASIAN else "cp437"


def _inflate(path: Path, expansion: int, temporary: list[Path]) -> Path:
    """Write what a gzip file holds to a temporary file."""
    with _spool(path, temporary) as target:
        try:
            with gzip.open(path) as source:
                while chunk := source.read(_CHUNK):
                    target.write(chunk)
                    _check_expansion(path, target.tell(), expansion)
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise UserError(f"{path} is not a readable archive ({error}); {_REMEDY}") from None
    return temporary[-1]


def _parquet_members(path: Path, expansion: int, temporary: list[Path]) -> tuple[Path, Members]:
    """Write the images of a parquet file to a temporary file, one behind the other."""
    members = []
    with _spool(path, temporary) as target:
        has_objects = parquet_objects.has_objects(path)
        for name, data in (parquet_objects.files if has_objects else parquet.images)(path):
            entry = Entry(0, target.tell(), len(data), len(data), 0, PLAIN)
            members.append((_clean_name(name, path), entry))
            target.write(data)
            _check_expansion(path, target.tell(), expansion)
    return temporary[-1], members


@contextmanager
def _spool(path: Path, temporary: list[Path]) -> Iterator[IO[bytes]]:
    """A temporary file for the content of `path`, added to `temporary`."""
    with tempfile.NamedTemporaryFile(prefix="yolo-", delete=False) as target:
        temporary.append(Path(target.name))
        try:
            yield target
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
            folder = Path(target.name).parent
            raise UserError(
                f"{path} does not fit into {folder} ({shutil.disk_usage(folder).free} bytes free) "
                "when inflated; set TMPDIR to a larger disk"
            ) from None


def _check_expansion(path: Path, size: int, expansion: int) -> None:
    if size > max(_FREE_EXPANSION, expansion * path.stat().st_size):
        raise UserError(
            f"{path} inflates to more than {expansion} times its size, the limit: it may be a "
            "decompression bomb; if it is not, raise limits.archive.expansion in params.yaml"
        )


def _clean_name(name: str, archive: Path) -> str:
    """Name without `.` and empty parts; raise `UserError` for one that is not a safe path below."""
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if name.startswith("/") or ".." in parts or not parts:
        raise UserError(f"{archive}: member {name!r} would lie outside; the archive is refused")
    clean = "/".join(parts)
    # bytes that are not UTF-8 arrive as surrogates
    if min(clean) < " " or any("\ud800" <= letter <= "\udfff" for letter in clean):
        raise UserError(f"{archive}: the name of member {name!r} is not plain text; rename it")
    return clean
