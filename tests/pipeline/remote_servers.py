"""Storage servers on loopback for the tests of remotes, and a small project to push and pull."""

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import chdir, contextmanager
from dataclasses import dataclass, field
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from loopback import running
from project_copy import Project
from s3_server import AWS, s3_bucket

from stages.registry.remote import describe, set_up
from yolo.files import digest

SSHD = Path("/usr/sbin/sshd")
BUCKET = "models"
PIPELINE = """\
stages:
  train:
    cmd: mkdir -p models data && cp source models/detector.safetensors && cat source source > data/a
    deps: [source]
    outs: [models/detector.safetensors, data]
artifacts:
  detector:
    path: models/detector.safetensors
"""
WEIGHTS = "models/detector.safetensors"


@dataclass
class Storage:
    """A remote that is up: its address, and its objects behind DVC's back."""

    url: str
    read: Callable[[str], bytes]
    """Content of the object of this MD5; an exception when there is none."""
    write: Callable[[str, bytes | None], None]
    """Put other content there, or nothing."""
    options: dict[str, Any] = field(default_factory=dict)
    """Of `stages.registry.remote.describe`."""
    environment: dict[str, str] = field(default_factory=dict)
    push_url: str | None = None
    """Where to push when `url` can only be read."""


def object_path(md5: str) -> str:
    return f"files/md5/{md5[:2]}/{md5[2:]}"


def folder_storage(folder: Path, url: str | None = None, **rest: object) -> Storage:
    def write(md5: str, content: bytes | None) -> None:
        path = folder / object_path(md5)
        path.unlink(missing_ok=True)
        if content is not None:
            path.write_bytes(content)
            # as DVC leaves them, which for a local remote means: already verified
            path.chmod(0o444)

    def read(md5: str) -> bytes:
        return (folder / object_path(md5)).read_bytes()

    return Storage(url or str(folder), read, write, **rest)  # type: ignore[arg-type]


@contextmanager
def s3_storage() -> Iterator[Storage]:
    with s3_bucket(BUCKET) as (client, endpoint):

        def read(md5: str) -> bytes:
            key = f"dvc/{object_path(md5)}"
            return client.get_object(Bucket=BUCKET, Key=key)["Body"].read()

        def write(md5: str, content: bytes | None) -> None:
            key = f"dvc/{object_path(md5)}"
            if content is None:
                client.delete_object(Bucket=BUCKET, Key=key)
            else:
                client.put_object(Bucket=BUCKET, Key=key, Body=content)

        yield Storage(f"s3://{BUCKET}/dvc", read, write, {"endpoint": endpoint}, AWS)


@contextmanager
def ssh_storage(folder: Path) -> Iterator[Storage]:
    """The distribution's server with a host key and an authorised key of its own."""
    if not SSHD.is_file():
        pytest.skip("openssh-server is not installed: /usr/sbin/sshd is missing")
    folder.mkdir()
    key = new_key(folder / "key")
    host_key = new_key(folder / "host_key")
    shutil.copyfile(key.with_suffix(".pub"), folder / "authorized_keys")
    port = free_port()
    config = folder / "sshd_config"
    config.write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nHostKey {host_key}\nPidFile {folder}/pid\n"
        f"AuthorizedKeysFile {folder}/authorized_keys\nStrictModes no\nUsePAM no\n"
        "PasswordAuthentication no\nSubsystem sftp internal-sftp\n"
    )
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)
    with (folder / "log").open("w") as log:
        server = subprocess.Popen([str(SSHD), "-D", "-e", "-f", str(config)], stderr=log)
    try:
        wait_for_port(port, server)
        user = subprocess.run(["id", "-un"], capture_output=True, text=True, check=True)
        url = f"ssh://{user.stdout.strip()}@127.0.0.1:{port}{folder / 'store'}"
        yield folder_storage(folder / "store", url, options={"key": key})
    finally:
        server.terminate()
        server.wait()


@contextmanager
def http_storage(folder: Path) -> Iterator[Storage]:
    """A folder that was pushed to as such, published read-only by a plain web server."""
    folder.mkdir()

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:
            del format, args

    handler = partial(Quiet, directory=str(folder))
    with running(ThreadingHTTPServer(("127.0.0.1", 0), handler)) as server:
        url = f"http://127.0.0.1:{server.server_address[1]}/store"
        yield folder_storage(folder / "store", url, push_url=str(folder / "store"))


def new_key(path: Path) -> Path:
    command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(path)]
    subprocess.run(command, check=True)
    return path


def free_port() -> int:
    with socket.socket() as opened:
        opened.bind(("127.0.0.1", 0))
        return opened.getsockname()[1]


def wait_for_port(port: int, server: subprocess.Popen[bytes]) -> None:
    """Until the server listens; its end is an error."""
    while server.poll() is None:
        with socket.socket() as attempt:
            attempt.settimeout(1)
            if attempt.connect_ex(("127.0.0.1", port)) == 0:
                return
    raise AssertionError(f"the server ended with {server.returncode}")


# One process for several steps: starting DVC takes longer than any of them.
_BEGIN = """
from pathlib import PosixPath
from dvc.repo import Repo
from stages.registry.pull import pull
from stages.registry.remote import describe, set_up
from subprocess import check_call

def git(*arguments):
    check_call(["git", "-c", "user.name=Test", "-c", "user.email=test@localhost", *arguments])
"""
_MAKE = """
Repo.init()
for content, tag in {versions!r}:
    open("source", "wb").write(open(content, "rb").read())
    with Repo() as repo:
        repo.reproduce()
    git("add", "--all")
    git("commit", "--quiet", "--message", "State")
    git("tag", "--annotate", "--message", "x", tag)
"""
# not all tags at once: DVC would take the remote from the tags' own configuration
_PUSH = """
set_up(describe({url!r}, **{options!r}))
for tag in ("detector@v1.0.0", "detector@v1.1.0"):
    git("checkout", "--quiet", tag, "--", "dvc.lock")
    with Repo() as repo:
        repo.push()
"""
# private settings do not travel with Git
_PULL_FIRST = """
set_up(describe({url!r}, **{options!r}))
git("checkout", "--quiet", "detector@v1.0.0", "--", "dvc.lock")
pull(["models/detector.safetensors"])
git("checkout", "--quiet", "main", "--", "dvc.lock")
"""


def steps(project: Project, code: str, storage: "Storage | None" = None, **values: object) -> None:
    """Run steps with DVC in one process of their own."""
    environment = storage.environment if storage else {}
    project.run(sys.executable, "-c", _BEGIN + code.format(**values), **environment)


def toy_project(root: Path, first: bytes, second: bytes) -> tuple[Project, str]:
    """A project with two commits, tags detector@v1.0.0 and v1.1.0; and the second's MD5."""
    root.mkdir()
    project = Project(root)
    project.run("git", "init", "--quiet", "--initial-branch=main")
    project.git("config", "user.name", "Test")
    project.git("config", "user.email", "test@localhost")
    (root / "dvc.yaml").write_text(PIPELINE)
    versions = []
    for content, tag in ((first, "detector@v1.0.0"), (second, "detector@v1.1.0")):
        versions.append((str(root / ".git" / tag), tag))
        Path(versions[-1][0]).write_bytes(content)
    steps(project, _MAKE, versions=versions)
    return project, digest(root / WEIGHTS, "md5")


def set_remote(project: Project, storage: Storage) -> None:
    """What `yolov1 remote` does, in this process."""
    with chdir(project.root):
        set_up(describe(storage.url, **storage.options))


def push(project: Project, storage: Storage) -> None:
    """Set the remote up and push both versions."""
    where = storage.push_url or storage.url
    options = {} if storage.push_url else storage.options
    steps(project, _PUSH, storage, url=where, options=options)
    if storage.push_url:
        set_remote(project, storage)
    project.commit()


def clone_with_first(project: Project, root: Path, storage: Storage) -> Project:
    """A clone with the first version in its workspace and nothing else in its cache."""
    project.run("git", "clone", "--quiet", str(project.root), str(root))
    clone = Project(root)
    steps(clone, _PULL_FIRST, storage, url=storage.url, options=storage.options)
    return clone
