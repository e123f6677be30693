"""Fetch published weights: from a repository on the Hugging Face Hub, or from a web address.

A file reaches the cache only whole and with the SHA-256 that is expected. Of a failed fetch nothing
is kept.
"""

import os
import re
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

from yolo.data.download.descriptor import PublishedFile
from yolo.data.download.fetch import Patience, complete
from yolo.data.download.huggingface import hub_api
from yolo.data.download.remote_file import TransferError
from yolo.errors import UserError
from yolo.files import digest, replacing
from yolo.runtime.cache import cache_folder
from yolo.versions import fetch

_SCHEMES = ("hf:", "https://", "http://")
_REPOSITORY = re.compile(r"hf:(?P<name>[\w.-]+/[\w.-]+)(?:@(?P<revision>\S+))?")
_FRAGMENT = re.compile(r"sha256=([0-9a-f]{64})")
_ENDINGS = (".safetensors", ".onnx")
_TIMEOUT_SECONDS = 30.0
PATIENCE = Patience()


class Repository(NamedTuple):
    """A model repository on the Hub; `revision` None: the newest commit of its branch `main`."""

    name: str
    revision: str | None


def is_published(source: str) -> bool:
    """Whether `source` is an address for `fetch_published`, not a path or a released version."""
    return source.startswith(_SCHEMES)


def parse_repository(text: str) -> Repository:
    """Parse `hf:ORG/NAME@REV` or `hf:ORG/NAME`; UserError for anything else."""
    match = _REPOSITORY.fullmatch(text)
    if match is None:
        raise UserError(
            f"{text!r} is no repository on the Hub; write for example hf:ORG/NAME@v1.0.0"
        )
    return Repository(match["name"], match["revision"])


def fetch_model(model: str, repo: str | None = None) -> Path:
    """Return the local file of a released or published model; fetch it if necessary.

    Args:
        model: `detector@v1.2.0` or `detector`, see `yolo.versions.fetch`; or an address, see
            `fetch_published`.
        repo: For a released model: folder or address of the project; None: the current folder.

    Raises:
        UserError: There is no such model, it cannot be fetched whole, or `repo` goes with an
            address.
    """
    if not is_published(model):
        return fetch(model, repo)
    if repo is not None:
        raise UserError(f"{model} is a complete address; a project goes with NAME@VERSION")
    return fetch_published(model)


def fetch_published(source: str, folder: Path | None = None, patience: Patience = PATIENCE) -> Path:
    """Return the local file of published weights; a file in the cache is checked and not fetched.

    Args:
        source: `hf:ORG/NAME@REV` (REV: tag, branch or commit), whose one `.safetensors` file is
            meant; its SHA-256 is the Hub's. Or `https://HOST/FILE#sha256=DIGEST`. `HF_ENDPOINT`
            and `HF_TOKEN` count as for the Hub's own library.
        folder: Folder for fetched files; None: `yolov1` in the user's cache.
        patience: How often and how long a failing server is asked again.

    Raises:
        UserError: The address is malformed, there is no such file, access is refused, the server
            does not answer or breaks off, or the file has another SHA-256.
    """
    file, token = _on_hub(source) if source.startswith("hf:") else (_on_web(source), None)
    ending = PurePosixPath(file.name).suffix
    path = (folder or cache_folder()) / f"{file.sha256}{ending}"
    if path.is_file() and digest(path) == file.sha256:
        return path
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    with replacing(path) as temporary, TemporaryDirectory(dir=path.parent) as beside:
        part = Path(beside) / file.name
        try:
            complete(file.urls[0], file, part, patience, headers=headers)
        except TransferError as error:
            raise UserError(f"{source} could not be fetched: {error}. Nothing was kept") from None
        part.replace(temporary)
    return path


def hub_endpoint() -> str | None:
    """Address of the Hub, if it is not the public one."""
    return os.environ.get("HF_ENDPOINT", "").rstrip("/") or None


def hub_reason(error: Exception) -> str:
    """Say in one line why the Hub's library failed, and what helps."""
    from huggingface_hub.errors import RevisionNotFoundError

    # the library wraps what happens in its upload threads
    while not hasattr(error, "response") and isinstance(error.__cause__, Exception):
        error = error.__cause__
    status = getattr(getattr(error, "response", None), "status_code", None)
    if isinstance(error, RevisionNotFoundError):
        return "it has no such revision"
    if status in (401, 403):
        return (
            f"access is refused, or there is no such repository (status {status}); set HF_TOKEN to "
            "a token with the right to it"
        )
    if status == 404:
        return "there is no such repository, or the token in HF_TOKEN may not see it (status 404)"
    if status is not None:
        return f"the Hub answered with status {status}; try again later"
    first = str(error).strip().partition("\n")[0]
    return (
        f"the Hub gives no answer that can be used ({first or type(error).__name__}); check the "
        "network, and HF_ENDPOINT if it is set"
    )


def _on_web(source: str) -> PublishedFile:
    address, _, fragment = source.partition("#")
    given = _FRAGMENT.fullmatch(fragment)
    if given is None:
        raise UserError(
            f"{source} needs the SHA-256 of the file: {address}#sha256= and 64 hexadecimal digits; "
            "`sha256sum FILE` prints them"
        )
    name = PurePosixPath(unquote(urlsplit(address).path)).name
    if not urlsplit(address).hostname or not name.endswith(_ENDINGS) or name.startswith("."):
        raise UserError(
            f"{address} is not the address of a weights file; it ends in one of "
            f"{', '.join(_ENDINGS)}"
        )
    return PublishedFile(name=name, urls=[address], sha256=given[1])


def _on_hub(source: str) -> tuple[PublishedFile, str | None]:
    """Ask the Hub for address, size and SHA-256 of the weights; and the user's token."""
    wanted = parse_repository(source)
    api = hub_api(hub_endpoint())
    from huggingface_hub import get_token, hf_hub_url

    try:
        about = api.model_info(
            wanted.name,
            revision=wanted.revision,
            files_metadata=True,
            timeout=_TIMEOUT_SECONDS,
        )
        token = get_token()
    except Exception as error:
        # errors of the HTTP library underneath come through as they are
        raise UserError(f"{source} could not be fetched: {hub_reason(error)}") from None
    found = [file for file in about.siblings or [] if file.rfilename.endswith(".safetensors")]
    if len(found) != 1:
        names = ", ".join(file.rfilename for file in found) or "none"
        raise UserError(f"{source} needs exactly one .safetensors file; it has {names}")
    (weights,) = found
    if weights.lfs is None:
        raise UserError(
            f"the Hub knows no SHA-256 of {weights.rfilename} in {source}, because it is not "
            "stored as a large file (Git LFS)"
        )
    url = hf_hub_url(wanted.name, weights.rfilename, revision=about.sha, endpoint=hub_endpoint())
    name = PurePosixPath(weights.rfilename).name
    return PublishedFile(
        name=name, urls=[url], sha256=weights.lfs.sha256, size=weights.lfs.size
    ), token
