"""Addresses to settings of DVC remotes, and which file each setting goes to."""

import configparser
from pathlib import Path

import pytest

from stages.registry.remote import default_remote, describe, set_up
from yolo.errors import UserError


@pytest.mark.parametrize(
    ("url", "shared", "private"),
    [
        ("/mnt/models", {"url": "/mnt/models"}, {}),
        ("file:///mnt/a%20b", {"url": "/mnt/a b"}, {}),
        ("s3://bucket/path", {"url": "s3://bucket/path", "connect_timeout": 10}, {}),
        ("ssh://me@host:2222/srv/m", {"url": "ssh://me@host:2222/srv/m", "timeout": 10}, {}),
        (
            "ssh://me:p%40ss@host/srv/m",
            {"url": "ssh://me@host/srv/m", "timeout": 10},
            {"password": "p@ss"},
        ),
        ("https://host/m", {"url": "https://host/m", "connect_timeout": 10}, {}),
        (
            "https://me:secret@host:8443/m",
            {
                "url": "https://host:8443/m",
                "connect_timeout": 10,
                "auth": "basic",
                "user": "me",
            },
            {"password": "secret"},
        ),
    ],
)
def test_every_kind_verifies_and_keeps_passwords_apart(
    url: str, shared: dict[str, object], private: dict[str, object]
) -> None:
    remote = describe(url)
    assert remote.shared == shared | {"verify": True}
    assert remote.private == private


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("gdrive://folder", "gdrive://folder: no remote of the kind gdrive://; give a folder"),
        ("ftp://me:secret@host/m", "ftp://me@host/m: no remote of the kind ftp://"),
        ("", "address of the remote is empty"),
        ("s3://", "s3://BUCKET/PATH"),
        ("s3://key:secret@bucket/path", "AWS_ACCESS_KEY_ID"),
        ("ssh://host", r"ssh://\[USER@\]HOST"),
        ("http:///m", "http://HOST/PATH"),
    ],
)
def test_an_address_that_cannot_be_used_is_an_error_without_its_password(
    url: str, message: str
) -> None:
    with pytest.raises(UserError, match=message) as caught:
        describe(url)
    assert "secret" not in str(caught.value)


def test_options_belong_to_one_kind(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="endpoint belongs to an s3:// address"):
        describe("/mnt/m", endpoint="http://host")
    with pytest.raises(UserError, match="must begin with http"):
        describe("s3://bucket", endpoint="host:9000")
    with pytest.raises(UserError, match="key belongs to an ssh:// address"):
        describe("s3://bucket", key=tmp_path)
    with pytest.raises(UserError, match="there is no key file"):
        describe("ssh://host/m", key=tmp_path / "absent")


def test_secrets_never_reach_the_file_that_git_keeps(toy: Path) -> None:
    key = toy / "id"
    key.write_text("x")
    set_up(describe("ssh://me:hush@host/srv", key=key))
    shared, private = (toy / ".dvc" / name for name in ("config", "config.local"))
    assert "hush" not in shared.read_text() and str(key) not in shared.read_text()
    assert "hush" in private.read_text() and str(key) in private.read_text()
    assert default_remote() == "ssh://me@host/srv"

    # another remote in its place takes nothing over
    set_up(describe("s3://bucket/path", endpoint="https://host"))
    assert "hush" not in private.read_text() and "ssh" not in shared.read_text()
    parsed = configparser.ConfigParser()
    parsed.read_string("\n".join(line.strip() for line in shared.read_text().splitlines()))
    assert parsed["'remote \"storage\"'"]["verify"] == "True"
    assert parsed["core"]["remote"] == "storage"
