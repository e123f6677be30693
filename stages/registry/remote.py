"""Set up the DVC remote with settings under which nothing corrupt is installed.

By default DVC does not check what it pulls from S3, SSH or HTTP: a damaged object lands in cache
and workspace with exit status 0. The setting `verify` makes it check.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, unquote, urlsplit

from yolo.errors import UserError

NAME = "storage"
_TIMEOUT_SECONDS = 10
_KINDS = (
    "a folder (/mnt/models), s3://BUCKET/PATH (with an endpoint for storage other than Amazon's), "
    "ssh://[USER@]HOST[:PORT]/PATH, http(s)://HOST/PATH (read-only)"
)
Options = dict[str, str | int | bool]


@dataclass(frozen=True)
class Remote:
    """Settings of a remote: `shared` for `.dvc/config`, in Git; `private` for `config.local`."""

    shared: Options
    private: Options = field(default_factory=dict)


def describe(url: str, endpoint: str | None = None, key: Path | None = None) -> Remote:
    """The settings for an address.

    Args:
        url: A folder, or an address with the scheme s3, ssh, http or https. A password in it
            becomes a private setting and leaves the address.
        endpoint: Address of an S3-compatible server.
        key: Private key file for SSH.

    Raises:
        UserError: The address is of another kind or incomplete, or an option does not belong to it.
    """
    parts = urlsplit(url)
    if endpoint and parts.scheme != "s3":
        raise UserError(
            f"an endpoint belongs to an s3:// address; {_without_password(parts)} is none"
        )
    if key and parts.scheme != "ssh":
        raise UserError(f"a key belongs to an ssh:// address; {_without_password(parts)} is none")
    match parts.scheme:
        case "":
            if not url.strip():
                raise UserError(f"the address of the remote is empty; give {_KINDS}")
            return Remote({"url": str(Path(url).expanduser().absolute()), "verify": True})
        case "file":
            return Remote({"url": str(Path(unquote(parts.path))), "verify": True})
        case "s3":
            return _s3(parts, endpoint)
        case "ssh":
            return _ssh(parts, key)
        case "http" | "https":
            return _http(parts)
    raise UserError(
        f"{_without_password(parts)}: no remote of the kind {parts.scheme}://; give {_KINDS}"
    )


def set_up(remote: Remote, name: str = NAME) -> None:
    """Make it the default remote of the project around the current folder.

    A remote that had the name is replaced, its private settings too. Raises `UserError` outside a
    project.
    """
    from dvc.config import Config
    from dvc.exceptions import DvcException
    from dvc.repo import Repo

    try:
        config = Config(Repo.find_dvc_dir())
        steps: list[tuple[str, Options]] = [
            # first: settings left from a remote of another kind would be invalid
            ("local", {}),
            ("repo", remote.shared),
            ("local", remote.private),
        ]
        for level, options in steps:
            document: Any
            with config.edit(level) as document:
                document["remote"].pop(name, None)
                if options:
                    document["remote"][name] = dict(options)
                if level == "repo":
                    document["core"]["remote"] = name
    except DvcException as error:
        raise UserError(f"DVC: {error}") from None


def default_remote() -> str | None:
    """Address of the project's default remote, or None."""
    from dvc.repo import Repo

    with Repo() as repo:
        name = repo.config["core"].get("remote")
        return repo.config["remote"][name]["url"] if name in repo.config["remote"] else None


def _s3(parts: SplitResult, endpoint: str | None) -> Remote:
    if not parts.hostname or "@" in parts.netloc:
        raise UserError(
            "an S3 address is s3://BUCKET/PATH; keys stand in AWS_ACCESS_KEY_ID and "
            "AWS_SECRET_ACCESS_KEY or in ~/.aws, not in the address"
        )
    options: Options = {
        "url": parts.geturl(),
        "verify": True,
        "connect_timeout": _TIMEOUT_SECONDS,
    }
    if endpoint:
        if urlsplit(endpoint).scheme not in ("http", "https"):
            raise UserError(f"the endpoint {endpoint} must begin with http:// or https://")
        options["endpointurl"] = endpoint
    return Remote(options)


def _ssh(parts: SplitResult, key: Path | None) -> Remote:
    if not parts.hostname or len(parts.path) < 2:
        raise UserError(
            f"{_without_password(parts)}: an SSH address is ssh://[USER@]HOST[:PORT]/PATH"
        )
    private: Options = {"password": unquote(parts.password)} if parts.password else {}
    if key:
        if not key.expanduser().is_file():
            raise UserError(f"there is no key file {key}")
        private["keyfile"] = str(key.expanduser().absolute())
    return Remote(
        {"url": _without_password(parts), "verify": True, "timeout": _TIMEOUT_SECONDS}, private
    )


def _http(parts: SplitResult) -> Remote:
    if not parts.hostname:
        raise UserError(f"{parts.geturl()}: an address is {parts.scheme}://HOST/PATH")
    bare = parts._replace(netloc=parts.netloc.rpartition("@")[2])
    shared: Options = {
        "url": bare.geturl(),
        "verify": True,
        "connect_timeout": _TIMEOUT_SECONDS,
    }
    if not parts.username:
        return Remote(shared)
    shared |= {"auth": "basic", "user": unquote(parts.username)}
    return Remote(shared, {"password": unquote(parts.password)} if parts.password else {})


def _without_password(parts: SplitResult) -> str:
    userinfo, at, host = parts.netloc.rpartition("@")
    return parts._replace(netloc=f"{userinfo.partition(':')[0]}{at}{host}").geturl()
