"""Push and pull through real remotes, and what each fault does: the real DVC, real servers."""

import hashlib
import os
import random
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import requests
from project_copy import SETTINGS, Project
from remote_servers import (
    WEIGHTS,
    Storage,
    clone_with_first,
    folder_storage,
    free_port,
    http_storage,
    new_key,
    push,
    s3_storage,
    set_remote,
    ssh_storage,
    toy_project,
)
from s3_server import AWS, Wire

from yolo.errors import UserError
from yolo.versions import fetch

FIRST = random.Random(1).randbytes(300_000)
SECOND = random.Random(2).randbytes(300_000)
DAMAGED = b"xx" + SECOND[2:]


Remote = tuple[Project, Project, Storage]
"""A project that pushed both versions, a clone that has the first, and what is between them."""


@pytest.fixture(scope="session")
def toy(tmp_path_factory: pytest.TempPathFactory) -> tuple[Project, str]:
    return toy_project(tmp_path_factory.mktemp("toy") / "project", FIRST, SECOND)


def copy(project: Project, root: Path) -> Project:
    shutil.copytree(project.root, root, symlinks=True)
    return Project(root)


def connect(project: Project, storage: Storage, folder: Path) -> Remote:
    own = copy(project, folder / "project")
    push(own, storage)
    return own, clone_with_first(own, folder / "clone", storage), storage


@pytest.fixture(scope="session")
def first_folder(toy: tuple[Project, str], tmp_path_factory: pytest.TempPathFactory) -> Remote:
    """Not to be changed."""
    folder = tmp_path_factory.mktemp("folder")
    return connect(toy[0], folder_storage(folder / "store"), folder)


@pytest.fixture
def folder(first_folder: Remote, tmp_path: Path) -> Remote:
    """With a folder as remote."""
    storage = folder_storage(tmp_path / "store")
    shutil.copytree(first_folder[2].url, storage.url)
    project, clone = (copy(own, tmp_path / own.root.name) for own in first_folder[:2])
    clone.git("remote", "set-url", "origin", str(project.root))
    for own in (project, clone):
        set_remote(own, storage)
    project.commit()
    return project, clone, storage


@pytest.fixture(
    params=[
        "folder",
        "s3",
        pytest.param("ssh", marks=pytest.mark.slow),
        pytest.param("http", marks=pytest.mark.slow),
    ]
)
def remote(
    request: pytest.FixtureRequest, toy: tuple[Project, str], tmp_path: Path
) -> Iterator[Remote]:
    if request.param == "folder":
        yield request.getfixturevalue("folder")
        return
    match request.param:
        case "s3":
            server = s3_storage()
        case "ssh":
            server = ssh_storage(tmp_path / "ssh")
        case _:
            server = http_storage(tmp_path / "http")
    with server as storage:
        yield connect(toy[0], storage, tmp_path)


def test_faults_are_named_and_leave_the_workspace_as_it_was(
    toy: tuple[Project, str], remote: Remote
) -> None:
    (project, clone, storage), md5 = remote, toy[1]
    assert storage.read(md5) == SECOND
    for content in (None, DAMAGED, SECOND[:1000]):
        storage.write(md5, content)
        said = clone.run("yolov1", "pull", WEIGHTS, ok=False, **storage.environment)
        assert f"no whole copy of {WEIGHTS} (objects {md5}): missing or corrupt" in said
        assert "Nothing was changed" in said and "Traceback" not in said
        assert (clone.root / WEIGHTS).read_bytes() == FIRST
    # the repair that the message and docs/remotes.md name
    storage.write(md5, None)
    push(project, storage)
    assert WEIGHTS in clone.run("yolov1", "pull", WEIGHTS, **storage.environment)
    assert (clone.root / WEIGHTS).read_bytes() == SECOND


def test_a_folder_with_a_corrupt_file_is_repaired_as_the_message_says(folder: Remote) -> None:
    project, clone, storage = folder
    inner = hashlib.md5(SECOND + SECOND).hexdigest()
    storage.write(inner, DAMAGED)
    said = clone.run("yolov1", "pull", ok=False)
    assert inner in said and (clone.root / WEIGHTS).read_bytes() == FIRST
    for md5 in re.findall(r"[0-9a-f]{32}(?:\.dir)?", said.partition("(objects")[2]):
        storage.write(md5, None)
    project.run("dvc", "push")
    clone.run("yolov1", "pull")
    assert (clone.root / "data/a").read_bytes() == SECOND + SECOND


def test_a_corrupt_release_is_not_handed_out(
    toy: tuple[Project, str], folder: Remote, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (project, _, storage), md5 = folder, toy[1]
    project.git("tag", "--annotate", "--message", "x", "detector@v2.0.0")
    shutil.rmtree(project.root / ".dvc" / "cache")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "kept"))
    elsewhere = Project(tmp_path)
    command = ("yolov1", "fetch", "detector@v2.0.0", "--repo", str(project.root), "--out", "got")

    storage.write(md5, DAMAGED)
    said = elsewhere.run(*command, ok=False)
    assert f"instead of {md5}" in said and "Traceback" not in said
    assert not (tmp_path / "got").exists()
    storage.write(md5, SECOND)
    elsewhere.run(*command)
    assert (tmp_path / "got").read_bytes() == SECOND
    # from now on without the remote, but not without the check
    storage.write(md5, None)
    kept = fetch("detector@v2.0.0", project.root)
    assert kept.is_relative_to(tmp_path / "kept") and kept.read_bytes() == SECOND
    kept.write_bytes(DAMAGED)
    with pytest.raises(UserError, match=r"detector@v2\.0\.0 cannot be fetched"):
        fetch("detector@v2.0.0", project.root)
    for model in ("detector@v9.0.0", "detectr"):
        with pytest.raises(UserError, match=r"no .*detect.* released are: detector@v1\.0\.0, det"):
            fetch(model, project.root)
    with pytest.raises(UserError, match="is not a version of a model"):
        fetch("detector@new")


@pytest.mark.slow
@pytest.mark.ci
@pytest.mark.parametrize("kind", ["s3", "ssh"])
def test_a_push_killed_half_way_is_finished_by_the_next(
    kind: str, toy: tuple[Project, str], tmp_path: Path
) -> None:
    big = random.Random(3).randbytes(24 << 20)
    with s3_storage() if kind == "s3" else ssh_storage(tmp_path / "ssh") as storage:
        running: list[subprocess.Popen[bytes]] = []
        address = storage.options["endpoint"] if kind == "s3" else storage.url
        port = int(address.rpartition(":")[2].partition("/")[0])
        relay = Wire(port)
        relay.watch(8 << 20, lambda: running[0].send_signal(signal.SIGKILL))
        slow = address.replace(f":{port}", f":{relay.port}")
        relayed = (
            replace(storage, options={"endpoint": slow})
            if kind == "s3"
            else replace(storage, url=slow)
        )
        project, _ = toy_project(tmp_path / "big", FIRST, big)
        set_remote(project, relayed)
        project.commit()
        environment = os.environ | SETTINGS | storage.environment
        running.append(
            subprocess.Popen(
                [sys.executable, "-m", "dvc", "push"],
                cwd=project.root,
                env=environment,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
        )
        assert running[0].wait() == -signal.SIGKILL
        relay.close()

        clone = tmp_path / "clone"
        project.run("git", "clone", "--quiet", str(project.root), str(clone))
        puller = Project(clone)
        set_remote(puller, storage)
        said = puller.run("yolov1", "pull", WEIGHTS, ok=False, **storage.environment)
        assert "Nothing was changed" in said and not (clone / WEIGHTS).exists()

        set_remote(project, storage)
        project.run("dvc", "push", **storage.environment)
        puller.run("yolov1", "pull", WEIGHTS, **storage.environment)
        assert (clone / WEIGHTS).read_bytes() == big


@pytest.mark.slow
def test_wrong_credentials_and_a_remote_that_is_down(
    toy: tuple[Project, str], tmp_path: Path
) -> None:
    with s3_storage() as storage:
        _, clone, _ = connect(toy[0], storage, tmp_path)
        endpoint = storage.options["endpoint"]
        requests.post(f"{endpoint}/moto-api/reset-auth", data=b"0", timeout=10)
        wrong = AWS | {"AWS_ACCESS_KEY_ID": "nobody"}
        said = clone.run("yolov1", "pull", WEIGHTS, ok=False, **wrong)
        assert "Nothing was changed" in said and "Traceback" not in said
        assert any(word in said for word in ("Access Key Id", "Forbidden", "InvalidAccessKeyId"))
        assert (clone.root / WEIGHTS).read_bytes() == FIRST
        requests.post(f"{endpoint}/moto-api/reset-auth", data=b"inf", timeout=10)
        set_remote(clone, replace(storage, options={"endpoint": f"http://127.0.0.1:{free_port()}"}))
        said = clone.run("yolov1", "pull", WEIGHTS, ok=False, **AWS)
        assert "Could not connect to the endpoint" in said and "Nothing was changed" in said
        set_remote(clone, storage)
        clone.run("yolov1", "pull", WEIGHTS, **AWS)
        assert (clone.root / WEIGHTS).read_bytes() == SECOND


@pytest.mark.slow
def test_a_key_that_the_ssh_server_does_not_know(toy: tuple[Project, str], tmp_path: Path) -> None:
    with ssh_storage(tmp_path / "ssh") as storage:
        _, clone, _ = connect(toy[0], storage, tmp_path)
        set_remote(clone, replace(storage, options={"key": new_key(tmp_path / "other")}))
        said = clone.run("yolov1", "pull", WEIGHTS, ok=False)
        assert "Permission denied" in said and "Nothing was changed" in said
        assert (clone.root / WEIGHTS).read_bytes() == FIRST
        set_remote(clone, storage)
        clone.run("yolov1", "pull", WEIGHTS)
        assert (clone.root / WEIGHTS).read_bytes() == SECOND


def test_a_full_disk_while_pulling(toy: tuple[Project, str], tmp_path: Path) -> None:
    # a clone at its own place: DVC's records of it are there and need not grow
    _, clone, _ = connect(toy[0], folder_storage(tmp_path / "store"), tmp_path)
    # no file may grow beyond 200 KiB: what writing says is what it says on a full disk
    limited = ("bash", "-c", f"ulimit -f 200; exec yolov1 pull {WEIGHTS}")
    said = clone.run(*limited, ok=False)
    assert "File too large" in said and "Nothing was changed" in said and "Traceback" not in said
    assert (clone.root / WEIGHTS).read_bytes() == FIRST
    clone.run("yolov1", "pull", WEIGHTS)
    assert (clone.root / WEIGHTS).read_bytes() == SECOND


def test_an_unsaved_file_in_the_workspace_is_not_overwritten(folder: Remote) -> None:
    project, _, _ = folder
    (project.root / WEIGHTS).unlink()
    (project.root / WEIGHTS).write_bytes(b"my own")
    said = project.run("yolov1", "pull", WEIGHTS, ok=False)
    assert "unsaved" in said and (project.root / WEIGHTS).read_bytes() == b"my own"


@pytest.mark.slow
def test_the_documented_clean_up_keeps_all_that_any_commit_names(
    folder: Remote, tmp_path: Path
) -> None:
    """In a fresh clone: other branches are only the server's, no folder is in its cache."""
    project, _, storage = folder
    project.git("checkout", "--quiet", "-b", "feature")
    for content, committed in ((b"feature", True), (b"thrown away", False)):
        (project.root / "source").write_bytes(content)
        project.run("dvc", "repro", "--quiet")
        project.run("dvc", "push")
        if committed:
            project.commit()
    project.git("checkout", "--quiet", "--", ".")
    project.git("checkout", "--quiet", "main")
    objects = {path for path in Path(storage.url).rglob("*") if path.is_file()}

    root = tmp_path / "cleaning"
    project.run("git", "clone", "--quiet", str(project.root), str(root))
    clone = Project(root)
    # without it DVC reads old commits with their own remote, which is none in those before it
    shutil.copyfile(root / ".dvc/config", root / ".dvc/config.local")
    clone.run("dvc", "gc", "--workspace", "--all-commits", "--cloud", "--force")
    left = {path for path in Path(storage.url).rglob("*") if path.is_file()}
    # of the run that nothing names: the file, the folder's file, the folder's list
    gone = {path.parent.name + path.name for path in objects - left}
    thrown = b"thrown away"
    files = {hashlib.md5(content).hexdigest() for content in (thrown, thrown + thrown)}
    assert files < gone and len(gone) == 3
    for revision, content in (
        ("detector@v1.0.0", FIRST),
        ("detector@v1.1.0", SECOND),
        ("origin/feature", b"feature"),
    ):
        clone.git("checkout", "--quiet", revision, "--", "dvc.lock")
        clone.run("yolov1", "pull")
        assert (root / WEIGHTS).read_bytes() == content
        assert (root / "data/a").read_bytes() == content + content
