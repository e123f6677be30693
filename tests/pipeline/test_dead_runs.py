"""A run whose machine is gone is declared dead, and the next one starts. Real kill -9."""

import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import psutil
import pytest
import requests
from worker_site import RUN, Site, at_work, open_site

NEXT_RUN = timedelta(minutes=5)
"""What docs/operating.md promises."""
pytestmark = [pytest.mark.slow, pytest.mark.timeout(1500)]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    # in months: nothing starts but what a test asks for
    month = (datetime.now(UTC).month + 5) % 12 + 1
    with open_site(tmp_path_factory.mktemp("site"), cron=f"0 2 1 {month} *") as opened:
        yield opened


def until(holds: Callable[[], bool], site: Site, seconds: float = RUN) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, site.last_lines()
        time.sleep(0.5)


def ask(site: Site, *parameters: str) -> str:
    """Ask for a nightly run; return its id."""
    before = {run["id"] for run in site.runs("nightly")}
    given = [word for parameter in parameters for word in ("--param", parameter)]
    site.prefect("deployment", "run", "reproduce/nightly", *given)
    (new,) = {run["id"] for run in site.runs("nightly")} - before
    return new


def ask_for_a_long_training(site: Site) -> str:
    """Return when it trains."""
    said = len(site.lines)
    run = ask(
        site, 'targets=["pretrain"]', 'set=["pretrain.optimisation.batches=1000000"]', "push=false"
    )
    until(lambda: any("batch 2 " in line for line in site.lines[said:]), site)
    return run


def state(site: Site, run: str) -> str:
    return requests.get(f"{site.api}/flow_runs/{run}", timeout=30).json()["state_type"]


def expect_the_next_run_to_complete(site: Site) -> None:
    run = ask(site, 'targets=["download"]', 'record="none"', "push=false")
    until(lambda: state(site, run) not in ("SCHEDULED", "PENDING", "RUNNING"), site)
    assert state(site, run) == "COMPLETED", site.last_lines()


SERVER, WORKER, FLOW = "server", "worker", "flow"


def kill(site: Site, *kinds: str) -> None:
    """kill -9 of all processes of these kinds, in that order."""
    running = site.processes()
    for kind in kinds:
        pids = [pid for pid, command in running.items() if kind_of(command) == kind]
        assert pids, f"no {kind} among {running}"
        for pid in pids:
            with suppress(psutil.NoSuchProcess):
                psutil.Process(pid).kill()


def kind_of(command: str) -> str:
    """A flow's process is what Prefect runs beside server and worker."""
    if "supervisor.py" in command or " -m dvc " in command or "prefect" not in command:
        return "stage"
    if "worker start" in command:
        return WORKER
    return SERVER if "prefect.server" in command or "server start" in command else FLOW


def test_all_three_killed(site: Site) -> None:
    run = ask_for_a_long_training(site)
    trainers = at_work(site)
    assert trainers
    kill(site, WORKER, SERVER, FLOW)
    killed = time.monotonic()
    assert psutil.wait_procs(trainers, 90)[1] == []
    site.start_server()
    assert state(site, run) == "RUNNING"
    site.start_worker()
    until(lambda: state(site, run) == "CRASHED", site, NEXT_RUN.total_seconds())
    assert time.monotonic() - killed < NEXT_RUN.total_seconds()
    expect_the_next_run_to_complete(site)
