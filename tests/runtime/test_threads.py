"""Work on several things side by side."""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest
import torch

from yolo.runtime.threads import parallel_map


@pytest.fixture(params=[1, 2, 3])
def threads(request: pytest.FixtureRequest) -> Iterator[int]:
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


@pytest.mark.usefixtures("threads")
@pytest.mark.parametrize("items", [0, 1, 2, 3, 16, 17])
def test_every_item_is_worked_on_once_and_results_keep_the_order(items: int) -> None:
    assert parallel_map(lambda item: item * item, range(items)) == [n * n for n in range(items)]


def test_items_are_worked_on_at_the_same_time(threads: int) -> None:
    together = threading.Barrier(threads, timeout=30)
    parallel_map(lambda _: together.wait(), range(threads))


@pytest.mark.usefixtures("threads")
def test_an_error_reaches_the_caller() -> None:
    def work(item: int) -> None:
        if item == 5:
            raise KeyError("the fifth")

    with pytest.raises(KeyError, match="the fifth"):
        parallel_map(work, range(8))


def test_a_forked_process_has_threads_of_its_own(threads: int) -> None:
    parallel_map(str, range(8))
    child = os.fork()
    if child == 0:
        os._exit(0 if parallel_map(str, range(3)) == ["0", "1", "2"] else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0, threads


@pytest.mark.skipif(sys.platform != "linux", reason="PyTorch brings GNU's OpenMP on Linux only")
@pytest.mark.parametrize(
    ("own", "expected"),
    [
        ({}, "GOMP_SPINCOUNT = '2000'"),
        ({"GOMP_SPINCOUNT": "7"}, "GOMP_SPINCOUNT = '7'"),
        ({"OMP_WAIT_POLICY": "active"}, "OMP_WAIT_POLICY = 'ACTIVE'"),
    ],
)
def test_threads_that_wait_soon_sleep_unless_the_user_says_otherwise(
    own: dict[str, str], expected: str
) -> None:
    unset = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")
    environment = {k: v for k, v in os.environ.items() if k not in unset}
    shown = subprocess.run(
        [sys.executable, "-c", "import yolo.runtime.threads"],
        env=environment | own | {"OMP_DISPLAY_ENV": "verbose"},
        capture_output=True,
        text=True,
        check=True,
    ).stderr
    assert expected in shown
