"""Open a remote file from an offset on: HTTP through requests, any other address through fsspec."""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import requests
from requests.exceptions import InvalidSchema, InvalidURL, SSLError, TooManyRedirects
from urllib3.exceptions import HTTPError

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

_CHUNK = 1 << 16
_TEMPORARY_STATUSES = (408, 425, 429)
_CONTENT_RANGE = re.compile(r"bytes (?:(\d+)-\d+|\*)/(\d+|\*)")
_LONGEST_ADVISED_WAIT = 60.0


class TransferError(Exception):
    """One attempt failed; the text says why.

    Attributes:
        permanent: asking this address again cannot help.
        restart: what has been received is of no use.
        wait: seconds that the server asks to wait.
    """

    def __init__(
        self, reason: str, *, permanent: bool = False, restart: bool = False, wait: float = 0.0
    ) -> None:
        super().__init__(reason)
        self.permanent = permanent
        self.restart = restart
        self.wait = wait


@dataclass
class Body:
    """What the address sends: the bytes from `start` on."""

    start: int
    total: int | None
    """Size of the whole file, if it says so."""
    validator: str | None
    """Names this version of the file: strong ETag, Last-Modified."""
    chunks: Iterator[bytes]


@contextmanager
def open_at(
    url: str,
    offset: int,
    validator: str | None,
    timeouts: tuple[float, float],
    headers: Mapping[str, str],
) -> Iterator[Body]:
    """Ask for the bytes from `offset` on, of the version that `validator` names if it is given.

    The answer may start earlier: a server that cannot resume sends everything.

    Args:
        url: address.
        offset: bytes that are there already.
        validator: of the version that they belong to.
        timeouts: seconds to connect, seconds without a byte.
        headers: sent over HTTP besides our own.

    Raises:
        TransferError: here, or while the chunks are read.
    """
    try:
        if url.startswith(("http://", "https://")):
            with _open_http(url, offset, validator, timeouts, headers) as body:
                yield body
        else:
            with _open_fsspec(url, offset, validator) as body:
                yield body
    except (SSLError, InvalidURL, InvalidSchema, TooManyRedirects) as error:
        raise TransferError(_reason(error), permanent=True) from None
    except (OSError, HTTPError) as error:
        raise TransferError(_reason(error)) from None


@contextmanager
def _open_http(
    url: str,
    offset: int,
    validator: str | None,
    timeouts: tuple[float, float],
    more: Mapping[str, str],
) -> Iterator[Body]:
    # the bytes as they are stored: a .tar.gz must not be inflated on the way
    headers = {"Accept-Encoding": "identity", **more}
    if offset:
        headers["Range"] = f"bytes={offset}-"
        if validator:
            headers["If-Range"] = validator
    with requests.get(url, headers=headers, stream=True, timeout=timeouts) as response:
        status = response.status_code
        start, total = 0, None
        if status == 206:
            start, total = _content_range(response)
            if start is None or start > offset:
                raise TransferError("it sent another range than was asked for", restart=True)
        elif status == 416:
            _, total = _content_range(response)
            if total != offset:
                raise TransferError("it has fewer bytes than were received", restart=True)
            start = offset
        elif status == 200:
            length = response.headers.get("Content-Length", "")
            total = int(length) if length.isdecimal() else None
        else:
            permanent = status < 500 and status not in _TEMPORARY_STATUSES
            reason = f"status {status} {response.reason}"
            raise TransferError(reason, permanent=permanent, wait=_advised_wait(response))
        yield Body(
            start,
            total,
            _validator(response),
            iter(()) if status == 416 else response.raw.stream(_CHUNK, decode_content=False),
        )


def _content_range(response: requests.Response) -> tuple[int | None, int | None]:
    """First byte and size of the whole file, as far as the answer tells them."""
    match = _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", ""))
    if match is None:
        return None, None
    first, total = match.groups()
    return int(first) if first else None, None if total == "*" else int(total)


def _validator(response: requests.Response) -> str | None:
    etag = response.headers.get("ETag", "")
    if etag.startswith('"'):
        return etag
    return response.headers.get("Last-Modified")


def _advised_wait(response: requests.Response) -> float:
    text = response.headers.get("Retry-After", "")
    return min(float(text), _LONGEST_ADVISED_WAIT) if text.isdecimal() else 0.0


@contextmanager
def _open_fsspec(url: str, offset: int, validator: str | None) -> Iterator[Body]:
    import fsspec.core

    try:
        filesystem, path = fsspec.core.url_to_fs(url)
        about = filesystem.info(path)
    except FileNotFoundError:
        raise TransferError("there is no such file", permanent=True) from None
    except (ImportError, ValueError) as error:
        raise TransferError(str(error), permanent=True) from None
    except Exception as error:
        # each kind of storage has its own errors
        raise TransferError(_reason(error)) from None
    version = str(about.get("ETag") or about.get("LastModified") or about.get("mtime") or "")
    start = offset if not validator or validator == version else 0
    yield Body(start, about.get("size"), version or None, _read(filesystem, path, start))


def _read(filesystem: "AbstractFileSystem", path: str, start: int) -> Iterator[bytes]:
    try:
        with filesystem.open(path, "rb") as file:
            file.seek(start)
            while chunk := file.read(_CHUNK):
                yield chunk  # type: ignore[misc]
    except Exception as error:
        raise TransferError(_reason(error)) from None


def _reason(error: Exception) -> str:
    """First line of an error, without the object addresses that these libraries print."""
    text = re.sub(r"<[^>]* at 0x[0-9a-f]+>:? ?", "", str(error)).splitlines()
    return f"{type(error).__name__}: {text[0]}" if text else type(error).__name__
