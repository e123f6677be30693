"""A bare worker on loopback: real server and process worker, Git and DVC remotes in folders."""

import time
from collections.abc import Iterator

import psutil
import pytest
from project_copy import Project
from worker_site import RUN, Site, at_work, open_site

pytestmark = [pytest.mark.slow, pytest.mark.ci, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with open_site(tmp_path_factory.mktemp("site"), cron="* * * * *") as opened:
        yield opened


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
    trainers = at_work(site)
    assert trainers
    (run,) = site.runs("on-demand")
    site.prefect("flow-run", "cancel", run["id"])
    assert psutil.wait_procs(trainers, 90)[1] == []
    site.until_quiet("on-demand")
    (run,) = site.runs("on-demand")
    assert run["state_name"] == "Cancelled"
    assert any("with the state saved" in line for line in site.lines)
    assert at_work(site) == []

    site.prefect("deployment", "run", "reproduce/on-demand", "--param", 'targets=["download"]')
    site.until_quiet("on-demand")
    assert {run["state_name"] for run in site.runs("on-demand")} == {"Cancelled", "Completed"}
