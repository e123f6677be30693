"""What a team has, on loopback: a Prefect server, a worker, Git and DVC remotes in folders."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
import requests
from project_copy import ROOT, SETTINGS, Project, copy_of_project

BIN = Path(sys.executable).parent
START, RUN = 180.0, 560.0
FINAL = {"COMPLETED", "FAILED", "CRASHED", "CANCELLED"}


class Site:
    """A server, deployments and workers; each may be killed and started again."""

    def __init__(self, folder: Path, project: Project) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = str(probe.getsockname()[1])
        self.folder, self.project = folder, project
        self.api = f"http://127.0.0.1:{self.port}/api"
        self.environment = environment(folder, self.api)
        self._log = folder / "log"

    def start_server(self) -> None:
        """Return when it answers."""
        self._start("server", "start", "--host", "127.0.0.1", "--port", self.port)
        deadline = time.monotonic() + START
        while not answers(self.api):
            assert time.monotonic() < deadline, self.last_lines()
            time.sleep(0.3)

    def start_worker(self) -> None:
        """Start one for the pool of machines of one's own."""
        self._start("worker", "start", "--pool", "yolo")

    def deploy(self) -> None:
        """`make deploy`."""
        self.project.run("make", "-o", ".venv/ready", f"BIN={BIN}", "deploy", **self.environment)

    def processes(self) -> dict[int, str]:
        """Process id → command of all that runs here: servers, workers, flows, stages."""
        found = {}
        for process in psutil.process_iter(["cmdline"]):
            try:
                if process.environ().get("PREFECT_HOME", "").startswith(str(self.folder)):
                    found[process.pid] = " ".join(process.info["cmdline"] or [])
            except psutil.Error:
                continue
        return found

    def end(self) -> None:
        """End all that runs here."""
        for number in (signal.SIGTERM, signal.SIGKILL):
            living = [psutil.Process(pid) for pid in self.processes() if psutil.pid_exists(pid)]
            for process in living:
                with suppress(psutil.NoSuchProcess):
                    process.send_signal(number)
            psutil.wait_procs(living, 10)

    def _start(self, *command: str) -> None:
        with self._log.open("ab") as log:
            subprocess.Popen(
                [str(BIN / "prefect"), *command],
                cwd=self.folder,
                env=self.environment,
                stdout=log,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )

    @property
    def lines(self) -> list[str]:
        """What server and workers have said."""
        return self._log.read_text(errors="replace").splitlines()

    def last_lines(self) -> str:
        """The end of it."""
        return "\n".join(self.lines[-60:])

    def git(self, *arguments: str) -> str:
        return self.project.git("-C", str(self.folder / "git.git"), *arguments)

    def runs(self, deployment: str) -> list[dict[str, Any]]:
        answer = requests.post(
            f"{self.api}/flow_runs/filter",
            json={"deployments": {"name": {"any_": [deployment]}}},
            timeout=30,
        )
        return answer.json()

    def prefect(self, *arguments: str) -> None:
        """Run Prefect's command line as a user would."""
        subprocess.run(
            [str(BIN / "prefect"), *arguments],
            env=self.environment,
            check=True,
            capture_output=True,
        )

    def until_quiet(self, deployment: str) -> None:
        """Return when nothing of it runs or waits to run; its schedule has been paused."""
        deadline = time.monotonic() + RUN
        while any(run["state_type"] not in FINAL for run in self.runs(deployment)):
            assert time.monotonic() < deadline, self.last_lines()
            time.sleep(0.5)

    def until_final(self, deployment: str) -> dict[str, Any]:
        deadline = time.monotonic() + RUN
        while time.monotonic() < deadline:
            # one that found another at work is cancelled, by the deployment's limit
            ended = FINAL - {"CANCELLED"}
            if done := [run for run in self.runs(deployment) if run["state_type"] in ended]:
                return done[0]
            time.sleep(1)
        raise AssertionError("no run ended:\n" + self.last_lines())


def environment(folder: Path, api: str) -> dict[str, str]:
    uv = ROOT / "build" / "uv" / "bin" / "uv"
    return (
        os.environ
        | SETTINGS
        | {
            "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
            "PREFECT_API_URL": api,
            "PREFECT_HOME": str(folder / "prefect"),
            "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
            "PREFECT_SERVER_UI_ENABLED": "false",
            **{name: exported(name) for name in ("PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE",)},
            # a deployment's schedule is looked at more often than every minute
            "PREFECT_SERVER_SERVICES_SCHEDULER_LOOP_SECONDS": "5",
            "PREFECT_WORKER_QUERY_SECONDS": "2",
            "YOLO_REPOSITORY": f"file://{folder / 'git.git'}",
            **({"UV": str(uv)} if uv.exists() else {}),
        }
    )


def exported(name: str) -> str:
    """A variable that the Makefile sets for `make server`."""
    rule = f"show: ; @echo $${name}"
    command = ["make", "--silent", "-o", ".venv/ready", f"--eval={rule}", "show"]
    return subprocess.check_output(command, cwd=ROOT, text=True).strip()


@contextmanager
def open_site(folder: Path, cron: str, webhook: str = "") -> Iterator[Site]:
    """A site whose `nightly` runs by `cron`; server and worker are alive.

    `webhook`: the address that is told.
    """
    project = copy_of_project(folder / "author")
    project.run("dvc", "remote", "add", "--default", "store", str(folder / "store"))
    plan = project.root / "prefect.yaml"
    plan.write_text(plan.read_text().replace("cron: 0 2 * * *", f'cron: "{cron}"'))
    project.commit()
    project.run("git", "clone", "--quiet", "--bare", str(project.root), str(folder / "git.git"))
    site = Site(folder, project)
    site.environment["YOLO_WEBHOOK_URL"] = webhook
    try:
        site.start_server()
        site.deploy()
        site.start_worker()
        yield site
    finally:
        site.end()


def answers(api: str) -> bool:
    try:
        return requests.get(f"{api}/health", timeout=5).ok
    except requests.RequestException:
        return False


def at_work(site: Site) -> list[psutil.Process]:
    """DVC and its stages, as this site's flows started them."""
    words = (" -m dvc ", " -m stages.pretrain")
    found = []
    for pid, command in site.processes().items():
        if any(word in f"{command} " for word in words):
            with suppress(psutil.NoSuchProcess):
                found.append(psutil.Process(pid))
    return found
