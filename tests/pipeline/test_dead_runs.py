"""A run whose machine is gone is declared dead, is told of, and the next starts. Real kill -9."""

import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import psutil
import pytest
import requests
from receiver import Receiver, listening
from worker_site import RUN, Site, at_work, open_site

NEXT_RUN = timedelta(minutes=5)
"""What docs/operating.md promises."""
pytestmark = [pytest.mark.slow, pytest.mark.timeout(1500)]


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    with listening() as server:
        yield server


@pytest.fixture(scope="module")
def site(receiver: Receiver, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    # in months: nothing starts but what a test asks for
    month = (datetime.now(UTC).month + 5) % 12 + 1
    with open_site(
        tmp_path_factory.mktemp("site"),
        cron=f"0 2 1 {month} *",
        webhook=receiver.url,
    ) as opened:
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


def expect_death(site: Site, run: str, receiver: Receiver, killed: float) -> None:
    """The run is declared dead in time, and the webhook hears of it once."""
    until(lambda: state(site, run) == "CRASHED", site, NEXT_RUN.total_seconds())
    assert time.monotonic() - killed < NEXT_RUN.total_seconds()
    name = requests.get(f"{site.api}/flow_runs/{run}", timeout=30).json()["name"]

    def told() -> list[str]:
        found = (one for one in receiver.received if one["event"] == "dead_run")
        return [str(one["text"]) for one in found if run in str(one["run"])]

    until(lambda: bool(told()), site, 60)
    (text,) = told()
    assert text.startswith(f"{name} is dead: ")


def test_all_three_killed(site: Site, receiver: Receiver) -> None:
    run = ask_for_a_long_training(site)
    trainers = at_work(site)
    assert trainers
    kill(site, WORKER, SERVER, FLOW)
    killed = time.monotonic()
    assert psutil.wait_procs(trainers, 90)[1] == []
    site.start_server()
    assert state(site, run) == "RUNNING"
    site.start_worker()
    expect_death(site, run, receiver, killed)
    expect_the_next_run_to_complete(site)


def test_worker_and_flow_killed(site: Site, receiver: Receiver) -> None:
    run = ask_for_a_long_training(site)
    trainers = at_work(site)
    kill(site, WORKER, FLOW)
    killed = time.monotonic()
    assert psutil.wait_procs(trainers, 90)[1] == []
    site.start_worker()
    expect_death(site, run, receiver, killed)
    expect_the_next_run_to_complete(site)


def test_the_flow_killed(site: Site, receiver: Receiver) -> None:
    """Its worker says so at once."""
    run = ask_for_a_long_training(site)
    trainers = at_work(site)
    kill(site, FLOW)
    killed = time.monotonic()
    assert psutil.wait_procs(trainers, 90)[1] == []
    expect_death(site, run, receiver, killed)
    expect_the_next_run_to_complete(site)
