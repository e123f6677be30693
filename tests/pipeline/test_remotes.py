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
from pathlib import Path

import pytest
import requests
from project_copy import SETTINGS, Project
from remote_servers import (
    AWS,
    WEIGHTS,
    Relay,
    Storage,
    folder_storage,
    free_port,
    http_storage,
    new_key,
    s3_storage,
    ssh_storage,
    toy_project,
)

from yolo.errors import UserError
from yolo.versions import fetch

FIRST = random.Random(1).randbytes(300_000)
SECOND = random.Random(2).randbytes(300_000)
DAMAGED = b"xx" + SECOND[2:]


@pytest.fixture(
    params=[
        "folder",
        "s3",
        pytest.param("ssh", marks=pytest.mark.slow),
        pytest.param("http", marks=pytest.mark.slow),
    ]
)
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Storage]:
    match request.param:
        case "folder":
            yield folder_storage(tmp_path / "store")
        case "s3":
            with s3_storage() as server:
                yield server
        case "ssh":
            with ssh_storage(tmp_path / "ssh") as server:
                yield server
        case _:
            with http_storage(tmp_path / "http") as server:
                yield server


@pytest.fixture(scope="session")
def toy(tmp_path_factory: pytest.TempPathFactory) -> tuple[Project, str]:
    return toy_project(tmp_path_factory.mktemp("toy") / "project", FIRST, SECOND)


def copy(toy: tuple[Project, str], root: Path) -> Project:
    shutil.copytree(toy[0].root, root, symlinks=True)
    return Project(root)


def pushed(project: Project, storage: Storage) -> None:
    """Set the remote up and push both versions."""
    where = storage.push_url or storage.url
    options = () if storage.push_url else storage.options
    project.run("yolov1", "remote", where, *options)
    # not `--all-tags`: DVC would take the remote from the tags' own configuration
    for tag in ("detector@v1.0.0", "detector@v1.1.0"):
        project.git("checkout", "--quiet", tag, "--", "dvc.lock")
        project.run("dvc", "push", **storage.environment)
    if storage.push_url:
        project.run("yolov1", "remote", storage.url, *storage.options)
    project.commit()


def puller(project: Project, root: Path, storage: Storage) -> Project:
    """A clone with the first version in its workspace and nothing else in its cache."""
    project.run("git", "clone", "--quiet", str(project.root), str(root))
    clone = Project(root)
    # private settings do not travel with Git
    clone.run("yolov1", "remote", storage.url, *storage.options)
    clone.git("checkout", "--quiet", "detector@v1.0.0", "--", "dvc.lock")
    clone.run("yolov1", "pull", WEIGHTS, **storage.environment)
    assert (root / WEIGHTS).read_bytes() == FIRST
    clone.git("checkout", "--quiet", "main", "--", "dvc.lock")
    return clone


def test_faults_are_named_and_leave_the_workspace_as_it_was(
    toy: tuple[Project, str], storage: Storage, tmp_path: Path
) -> None:
    project, md5 = copy(toy, tmp_path / "project"), toy[1]
    pushed(project, storage)
    assert storage.read(md5) == SECOND
    clone = puller(project, tmp_path / "clone", storage)

    for content in (None, DAMAGED, SECOND[:1000]):
        storage.write(md5, content)
        said = clone.run("yolov1", "pull", WEIGHTS, ok=False, **storage.environment)
        assert f"no whole copy of {WEIGHTS} (objects {md5}): missing or corrupt" in said
        assert "Nothing was changed" in said and "Traceback" not in said
        assert (clone.root / WEIGHTS).read_bytes() == FIRST
    # the repair that the message and docs/remotes.md name
    storage.write(md5, None)
    project.run("yolov1", "remote", storage.push_url or storage.url, *storage.options)
    project.run("dvc", "push", **storage.environment)
    assert WEIGHTS in clone.run("yolov1", "pull", WEIGHTS, **storage.environment)
    assert (clone.root / WEIGHTS).read_bytes() == SECOND


def test_a_folder_with_a_corrupt_file_is_repaired_as_the_message_says(
    toy: tuple[Project, str], tmp_path: Path
) -> None:
    project = copy(toy, tmp_path / "project")
    storage = folder_storage(tmp_path / "store")
    pushed(project, storage)
    inner = hashlib.md5(SECOND + SECOND).hexdigest()
    storage.write(inner, DAMAGED)
    clone = puller(project, tmp_path / "clone", storage)
    said = clone.run("yolov1", "pull", ok=False)
    assert inner in said and (clone.root / WEIGHTS).read_bytes() == FIRST
    for md5 in re.findall(r"[0-9a-f]{32}(?:\.dir)?", said.partition("(objects")[2]):
        storage.write(md5, None)
    project.run("dvc", "push")
    clone.run("yolov1", "pull")
    assert (clone.root / "data/a").read_bytes() == SECOND + SECOND


def test_a_corrupt_release_is_not_handed_out(toy: tuple[Project, str], tmp_path: Path) -> None:
    project, md5 = copy(toy, tmp_path / "project"), toy[1]
    storage = folder_storage(tmp_path / "store")
    project.run("yolov1", "remote", storage.url)
    project.run("dvc", "push")
    project.git("commit", "--quiet", "--all", "--message", "Remote")
    project.git("tag", "--annotate", "--message", "x", "detector@v2.0.0")
    shutil.rmtree(project.root / ".dvc" / "cache")
    elsewhere = Project(tmp_path)
    command = ("yolov1", "fetch", "detector@v2.0.0", "--repo", str(project.root), "--out", "got")
    kept = {"XDG_CACHE_HOME": str(tmp_path / "kept")}

    storage.write(md5, DAMAGED)
    assert f"instead of {md5}" in elsewhere.run(*command, ok=False, **kept)
    assert not (tmp_path / "got").exists()
    storage.write(md5, SECOND)
    elsewhere.run(*command, **kept)
    assert (tmp_path / "got").read_bytes() == SECOND
    # from now on without the remote, but not without the check
    storage.write(md5, None)
    elsewhere.run(*command, **kept)
    (kept_file,) = (tmp_path / "kept").rglob("*.safetensors")
    kept_file.write_bytes(DAMAGED)
    elsewhere.run(*command, ok=False, **kept)
    for model in ("detector@v9.0.0", "detectr"):
        with pytest.raises(UserError, match=r"no .*detect.* released are: detector@v1\.0\.0, det"):
            fetch(model, project.root)
    with pytest.raises(UserError, match="names no version"):
        fetch("detector@new")


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["s3", "ssh"])
def test_a_push_killed_half_way_is_finished_by_the_next(
    kind: str, toy: tuple[Project, str], tmp_path: Path
) -> None:
    big = random.Random(3).randbytes(24 << 20)
    with s3_storage() if kind == "s3" else ssh_storage(tmp_path / "ssh") as storage:
        running: list[subprocess.Popen[bytes]] = []
        address = storage.options[1] if kind == "s3" else storage.url
        port = int(address.rpartition(":")[2].partition("/")[0])
        relay = Relay(port, 8 << 20, lambda: running[0].send_signal(signal.SIGKILL))
        slow = address.replace(f":{port}", f":{relay.port}")
        url, options = (
            (storage.url, ("--endpoint", slow)) if kind == "s3" else (slow, storage.options)
        )
        project, _ = toy_project(tmp_path / "big", FIRST, big)
        project.run("yolov1", "remote", url, *options)
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
        puller.run("yolov1", "remote", storage.url, *storage.options)
        said = puller.run("yolov1", "pull", WEIGHTS, ok=False, **storage.environment)
        assert "Nothing was changed" in said and not (clone / WEIGHTS).exists()

        project.run("yolov1", "remote", storage.url, *storage.options)
        project.run("dvc", "push", **storage.environment)
        puller.run("yolov1", "pull", WEIGHTS, **storage.environment)
        assert (clone / WEIGHTS).read_bytes() == big


@pytest.mark.slow
def test_wrong_credentials_and_a_remote_that_is_down(
    toy: tuple[Project, str], tmp_path: Path
) -> None:
    project = copy(toy, tmp_path / "project")
    with s3_storage() as storage:
        pushed(project, storage)
        clone = puller(project, tmp_path / "clone", storage)
        endpoint = storage.options[1]
        requests.post(f"{endpoint}/moto-api/reset-auth", data=b"0", timeout=10)
        wrong = AWS | {"AWS_ACCESS_KEY_ID": "nobody"}
        said = clone.run("yolov1", "pull", WEIGHTS, ok=False, **wrong)
        assert "Nothing was changed" in said and "Traceback" not in said
        assert any(word in said for word in ("Access Key Id", "Forbidden", "InvalidAccessKeyId"))
        assert (clone.root / WEIGHTS).read_bytes() == FIRST
        requests.post(f"{endpoint}/moto-api/reset-auth", data=b"inf", timeout=10)
        clone.run("yolov1", "remote", storage.url, "--endpoint", f"http://127.0.0.1:{free_port()}")
        said = clone.run("yolov1", "pull", WEIGHTS, ok=False, **AWS)
        assert "Could not connect to the endpoint" in said and "Nothing was changed" in said
        clone.run("yolov1", "remote", storage.url, *storage.options)
        clone.run("yolov1", "pull", WEIGHTS, **AWS)
        assert (clone.root / WEIGHTS).read_bytes() == SECOND


@pytest.mark.slow
def test_a_key_that_the_ssh_server_does_not_know(toy: tuple[Project, str], tmp_path: Path) -> None:
    project = copy(toy, tmp_path / "project")
    with ssh_storage(tmp_path / "ssh") as storage:
        pushed(project, storage)
        clone = puller(project, tmp_path / "clone", storage)
        other = new_key(tmp_path / "other")
        clone.run("yolov1", "remote", storage.url, "--key", str(other))
        said = clone.run("yolov1", "pull", WEIGHTS, ok=False)
        assert "Permission denied" in said and "Nothing was changed" in said
        assert (clone.root / WEIGHTS).read_bytes() == FIRST
        clone.run("yolov1", "remote", storage.url, *storage.options)
        clone.run("yolov1", "pull", WEIGHTS)
        assert (clone.root / WEIGHTS).read_bytes() == SECOND


def test_a_full_disk_while_pulling(toy: tuple[Project, str], tmp_path: Path) -> None:
    project = copy(toy, tmp_path / "project")
    storage = folder_storage(tmp_path / "store")
    pushed(project, storage)
    clone = puller(project, tmp_path / "clone", storage)
    # no file may grow beyond 200 KiB: what writing says is what it says on a full disk
    limited = ("bash", "-c", f"ulimit -f 200; exec yolov1 pull {WEIGHTS}")
    said = clone.run(*limited, ok=False)
    assert "File too large" in said and "Nothing was changed" in said and "Traceback" not in said
    assert (clone.root / WEIGHTS).read_bytes() == FIRST
    clone.run("yolov1", "pull", WEIGHTS)
    assert (clone.root / WEIGHTS).read_bytes() == SECOND


def test_an_unsaved_file_in_the_workspace_is_not_overwritten(
    toy: tuple[Project, str], tmp_path: Path
) -> None:
    project = copy(toy, tmp_path / "project")
    storage = folder_storage(tmp_path / "store")
    pushed(project, storage)
    (project.root / WEIGHTS).unlink()
    (project.root / WEIGHTS).write_bytes(b"my own")
    said = project.run("yolov1", "pull", WEIGHTS, ok=False)
    assert "unsaved" in said and (project.root / WEIGHTS).read_bytes() == b"my own"


@pytest.mark.slow
def test_the_documented_clean_up_keeps_all_that_any_commit_names(
    toy: tuple[Project, str], tmp_path: Path
) -> None:
    """In a fresh clone: other branches are only the server's, no folder is in its cache."""
    project = copy(toy, tmp_path / "project")
    storage = folder_storage(tmp_path / "store")
    pushed(project, storage)
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

    root = tmp_path / "clone"
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
