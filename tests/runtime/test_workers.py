"""Work that is spread gives what one process gives, whoever does it and whoever dies."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path

import pytest
from judged_sets import DETECTION
from small_sets import voc_set, write_tar

from yolo.data.archives.reader import Archives
from yolo.data.formats.layouts import read_index
from yolo.data.validate import rules
from yolo.data.validate.validation import validate
from yolo.data.validate.write_clean import write_store
from yolo.errors import UserError
from yolo.runtime import workers
from yolo.runtime.workers import Workers

BIN = Path(sys.executable).parent


def add(shared: int, jobs: list[int]) -> list[int]:
    return [shared + job for job in jobs]


def processes(shared: None, jobs: list[int]) -> list[int]:
    return [os.getpid() for _ in jobs]


def slowly(shared: Path, jobs: list[int]) -> list[int]:
    """Tells who works, and goes on when it may."""
    (shared / f"began-{os.getpid()}").touch()
    deadline = time.monotonic() + 60
    while not (shared / "go").exists():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return [job * job for job in jobs]


def ends_itself(shared: None, jobs: list[int]) -> list[int]:
    os.kill(os.getpid(), signal.SIGKILL)
    return jobs


def fails(shared: None, jobs: list[int]) -> list[int]:
    raise UserError(f"image {jobs[0]} is damaged")


@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("jobs", [0, 1, 255, 256, 1000])
def test_results_come_in_the_order_of_the_jobs(count: int, jobs: int) -> None:
    assert list(Workers(count).map(add, 5, range(jobs))) == [5 + job for job in range(jobs)]


def test_many_jobs_are_done_by_other_processes() -> None:
    assert set(Workers(1).map(processes, None, range(600))) == {os.getpid()}
    assert os.getpid() not in set(Workers(2).map(processes, None, range(600)))


def test_a_process_that_is_killed_is_an_error_that_says_what_to_do() -> None:
    with pytest.raises(UserError, match="YOLO_WORKERS to fewer"):
        list(Workers(2).map(ends_itself, None, range(600)))


def test_an_error_of_the_work_comes_through() -> None:
    with pytest.raises(UserError, match="image 0 is damaged"):
        list(Workers(2).map(fails, None, range(600)))


def write(folder: Path, archive: Path, workers: Workers) -> dict[str, bytes]:
    folder.mkdir()
    with Archives(archive) as files:
        index = read_index(files, DETECTION.limits)
        found = validate(files, index, DETECTION, rules.run, "test", workers)
        write_store(folder, files, found, ["train", "val", "test"], 20, workers)
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def large_set(path: Path) -> Path:
    names = [f"{number:04}" for number in range(600)]
    splits = {"train": names[:400], "val": names[400:500], "test": names[500:]}
    write_tar(path, voc_set(splits))
    return path


def test_the_bytes_of_the_store_do_not_depend_on_the_number_of_processes(tmp_path: Path) -> None:
    archive = large_set(tmp_path / "set.tar")
    one = write(tmp_path / "one", archive, Workers(1))
    assert write(tmp_path / "three", archive, Workers(3)) == one


@pytest.mark.slow
def test_no_scheduler_is_an_error_that_names_it() -> None:
    with pytest.raises(UserError, match=r"no Dask scheduler answers at tcp://127\.0\.0\.1:1 "):
        list(Workers(1, "tcp://127.0.0.1:1").map(add, 5, range(3)))


def test_a_cluster_that_is_lost_is_an_error() -> None:
    future: Future = Future()
    future.cancel()
    with pytest.raises(UserError, match="the Dask cluster gave up"):
        workers._result(future)


class Cluster:
    """A scheduler and two workers of one thread, each a process of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.file = folder / "scheduler.json"
        self.started: list[subprocess.Popen] = []
        self.start("scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard")
        self.wait(self.file.exists)
        import json

        self.address = json.loads(self.file.read_text())["address"]
        self.workers = [
            self.start(
                "worker", "--no-nanny", "--no-dashboard", "--nthreads", "1", "--host", "127.0.0.1"
            )
            for _ in range(2)
        ]

    def start(self, what: str, *options: str) -> subprocess.Popen:
        tests = Path(__file__).resolve().parent
        path = os.pathsep.join(map(str, (tests, tests.parent, tests.parents[1])))
        with (self.folder / "dask.log").open("ab") as log:
            process = subprocess.Popen(
                [BIN / "dask", what, "--scheduler-file", self.file, *options],
                cwd=self.folder,
                stdout=log,
                stderr=log,
                env={
                    **os.environ,
                    "PYTHONPATH": path,
                    "DASK_TEMPORARY_DIRECTORY": str(self.folder),
                },
            )
        self.started.append(process)
        return process

    def wait(self, ready) -> None:
        deadline = time.monotonic() + 60
        while not ready():
            assert time.monotonic() < deadline, (self.folder / "dask.log").read_text()
            time.sleep(0.05)

    def ready(self) -> bool:
        from distributed import Client

        with Client(self.address, timeout=30) as client:
            return len(client.nthreads()) == len(self.workers)

    def end(self) -> None:
        for process in self.started:
            process.kill()
            process.wait()


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    folder = tmp_path / "dask"
    folder.mkdir()
    found = Cluster(folder)
    try:
        found.wait(found.ready)
        yield found
    finally:
        found.end()


@pytest.mark.slow
def test_a_cluster_that_loses_a_worker_half_way_loses_nothing(
    cluster: Cluster, tmp_path: Path
) -> None:
    archive = large_set(tmp_path / "set.tar")
    one = write(tmp_path / "one", archive, Workers(1))
    assert write(tmp_path / "cluster", archive, Workers(1, cluster.address)) == one

    results = Workers(1, cluster.address).map(slowly, cluster.folder, range(600))
    killed = cluster.workers[0]

    def kill_when_it_works() -> None:
        cluster.wait((cluster.folder / f"began-{killed.pid}").exists)
        killed.kill()
        killed.wait()
        (cluster.folder / "go").touch()

    from threading import Thread

    killer = Thread(target=kill_when_it_works)
    killer.start()
    assert list(results) == [number * number for number in range(600)]
    killer.join()
    assert killed.returncode == -signal.SIGKILL
    # the worker that is left does it all again
    assert write(tmp_path / "half", archive, Workers(1, cluster.address)) == one
