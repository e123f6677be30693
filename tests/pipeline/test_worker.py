"""A bare worker on loopback: real server and process worker, Git and DVC remotes in folders."""

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest
import requests
from project_copy import ROOT, SETTINGS, Project, copy_of_project

from stages.repro.command import Process

BIN = Path(sys.executable).parent
START, RUN = 180.0, 560.0
FINAL = {"COMPLETED", "FAILED", "CRASHED", "CANCELLED"}
pytestmark = [pytest.mark.slow, pytest.mark.ci, pytest.mark.timeout(900)]


@dataclass
class Site:
    """What a team has: a Git remote, a DVC remote, a server, a worker."""

    folder: Path
    project: Project
    api: str
    lines: list[str]

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
            env=environment(self.folder, self.api),
            check=True,
            capture_output=True,
        )

    def until_quiet(self, deployment: str) -> None:
        """Return when nothing of it runs or waits to run; its schedule has been paused."""
        deadline = time.monotonic() + RUN
        while any(run["state_type"] not in FINAL for run in self.runs(deployment)):
            assert time.monotonic() < deadline, "\n".join(self.lines[-60:])
            time.sleep(0.5)

    def until_final(self, deployment: str) -> dict[str, Any]:
        deadline = time.monotonic() + RUN
        while time.monotonic() < deadline:
            # one that found another at work is cancelled, by the deployment's limit
            ended = FINAL - {"CANCELLED"}
            if done := [run for run in self.runs(deployment) if run["state_type"] in ended]:
                return done[0]
            time.sleep(1)
        raise AssertionError("no run ended:\n" + "\n".join(self.lines[-60:]))


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
            # a deployment's schedule is looked at more often than every minute
            "PREFECT_SERVER_SERVICES_SCHEDULER_LOOP_SECONDS": "5",
            "PREFECT_WORKER_QUERY_SECONDS": "2",
            "YOLO_REPOSITORY": f"file://{folder / 'git.git'}",
            **({"UV": str(uv)} if uv.exists() else {}),
        }
    )


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("site")
    project = copy_of_project(folder / "author")
    project.run("dvc", "remote", "add", "--default", "store", str(folder / "store"))
    plan = project.root / "prefect.yaml"
    plan.write_text(plan.read_text().replace("cron: 0 2 * * *", 'cron: "* * * * *"'))
    project.commit()
    project.run("git", "clone", "--quiet", "--bare", str(project.root), str(folder / "git.git"))

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    api = f"http://127.0.0.1:{port}/api"
    variables = environment(folder, api)
    lines: list[str] = []
    processes = []

    def start(*command: str) -> None:
        process = Process([str(BIN / "prefect"), *command], cwd=folder, env=variables, grace=10.0)
        threading.Thread(target=lambda: lines.extend(process.lines()), daemon=True).start()
        processes.append(process)

    try:
        start("server", "start", "--host", "127.0.0.1", "--port", port)
        deadline = time.monotonic() + START
        while not answers(api):
            assert time.monotonic() < deadline, "\n".join(lines)
            time.sleep(0.3)
        project.run("make", "-o", ".venv/ready", f"BIN={BIN}", "deploy", **variables)
        start("worker", "start", "--pool", "yolo")
        yield Site(folder, project, api, lines)
    finally:
        for process in reversed(processes):
            process.end()
            process.wait()


def answers(api: str) -> bool:
    try:
        return requests.get(f"{api}/health", timeout=5).ok
    except requests.RequestException:
        return False


def test_a_scheduled_run_trains_on_a_bare_worker_and_a_clone_pulls_its_model(site: Site) -> None:
    before = site.git("rev-parse", "main")
    run = site.until_final("nightly")
    assert run["state_type"] == "COMPLETED", "\n".join(site.lines[-80:])
    # back in Git on a branch of its own, never on the main one
    assert site.git("rev-parse", "main") == before
    (branch,) = site.git("for-each-ref", "--format=%(refname:short)", "refs/heads/runs").split()
    changed = site.git("diff", "--name-only", "main", branch).split()
    assert "dvc.lock" in changed
    assert not [path for path in changed if path.startswith(("models/", "data/", "stages/"))]

    clone = Project(site.folder / "second")
    site.project.run(
        "git", "clone", "--quiet", "--branch", branch, str(site.folder / "git.git"), str(clone.root)
    )
    # named by the lock, fetched from the remote: nothing is trained
    clone.run("dvc", "pull", "models/detector.safetensors")
    assert (clone.root / "models/detector.safetensors").stat().st_size > 1000
    plan = clone.run("dvc", "repro", "--pull", "--allow-missing", "--dry")
    assert "Running stage" not in plan
    assert not (clone.root / "runs").exists()


def test_a_run_cancelled_while_it_trains_leaves_no_trainer_and_the_next_one_runs(
    site: Site,
) -> None:
    # the nightly runs train, too, and the pool takes one run at a time
    site.prefect("deployment", "schedule", "pause", "--all")
    site.until_quiet("nightly")
    said = len(site.lines)
    site.prefect(
        *("deployment", "run", "reproduce/on-demand", "--param", 'targets=["pretrain"]'),
        *("--param", 'set=["pretrain.optimisation.batches=1000000"]'),
    )
    deadline = time.monotonic() + RUN
    while not any("batch 2 " in line for line in site.lines[said:]):
        assert time.monotonic() < deadline, "\n".join(site.lines[-60:])
        time.sleep(0.1)
    trainers = at_work(site.folder)
    assert trainers
    (run,) = site.runs("on-demand")
    site.prefect("flow-run", "cancel", run["id"])
    assert psutil.wait_procs(trainers, 90)[1] == []
    site.until_quiet("on-demand")
    (run,) = site.runs("on-demand")
    assert run["state_name"] == "Cancelled"
    assert any("with the state saved" in line for line in site.lines)
    assert at_work(site.folder) == []

    site.prefect("deployment", "run", "reproduce/on-demand", "--param", 'targets=["download"]')
    site.until_quiet("on-demand")
    assert {run["state_name"] for run in site.runs("on-demand")} == {"Cancelled", "Completed"}


def at_work(folder: Path) -> list[psutil.Process]:
    """DVC, its stages and their leaders, as this site's flows started them."""
    found = []
    for process in psutil.process_iter(["cmdline"]):
        words = process.info["cmdline"] or []
        try:
            if any(word in ("dvc", "stages.pretrain") for word in words):
                home = process.environ().get("PREFECT_HOME", "")
                found += [process] * home.startswith(str(folder))
        except psutil.Error:
            continue
    return found
