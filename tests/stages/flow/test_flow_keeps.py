"""Where the results of a run go: the DVC remote, Git, a release; with a real server."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import chdir
from pathlib import Path

import pytest
from artifacts_of import artifacts
from prefect.settings import PREFECT_API_URL, temporary_settings
from receiver import Receiver
from toy_endings import leave

from stages.flow import publish
from stages.flow.flow import reproduce
from stages.flow.publish import Destination
from stages.registry import ledger
from stages.registry.release_gate import ReleaseDecision
from stages.repro.plan import read_plan
from stages.repro.run import Run

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(autouse=True)
def server(prefect_api: str) -> Iterator[None]:
    with temporary_settings({PREFECT_API_URL: prefect_api}):
        yield


@pytest.fixture
def shared(toy: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The toy in Git with a DVC remote; returns the bare repository that is its `origin`."""
    folder = tmp_path_factory.mktemp("shared")
    (toy / ".dvc" / "config").write_text(
        "[core]\n    analytics = false\n    remote = store\n"
        f"['remote \"store\"']\n    url = {folder / 'store'}\n"
    )
    (toy / ".gitignore").write_text("/.dvc/tmp\n/.dvc/cache\n/got-*\n/left\n/join\n/runs\n")
    git("init", "--quiet", "--initial-branch=main")
    git("add", "--all")
    git("commit", "--quiet", "--message", "State")
    git("clone", "--quiet", "--bare", ".", str(folder / "origin.git"))
    git("remote", "add", "origin", str(folder / "origin.git"))
    return folder / "origin.git"


def git(*arguments: str) -> str:
    who = ["-c", "user.name=Test", "-c", "user.email=test@localhost"]
    return subprocess.check_output(["git", *who, *arguments], text=True).strip()


def branches(origin: Path) -> list[str]:
    return git("-C", str(origin), "branch", "--list", "runs/*", "--format=%(refname:short)").split()


def test_a_clone_continues_from_the_branch_and_pulls_only_what_a_stale_stage_reads(
    shared: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    state = reproduce(push=True, record="branch", return_state=True)
    assert state.is_completed(), state.message
    (branch,) = branches(shared)
    clone = tmp_path_factory.mktemp("clone")
    git("clone", "--quiet", "--branch", branch, str(shared), str(clone))
    with chdir(clone):
        pipeline = Path("dvc.yaml").read_text()
        Path("dvc.yaml").write_text(pipeline.replace("cat left got-b", "cat got-b left"))
        stale = [stage.name for stage in read_plan(missing_is_fine=True).stages if stage.stale]
        assert stale == ["join"]
        state = reproduce(pull=True, return_state=True)
        assert state.is_completed(), state.message
        assert Path("join").read_text() == "2\n1\n"
        # what the stage above them read stays in the remote
        assert Path("left").exists() and not Path("got-a").exists()
        assert len(list(Path(".dvc/cache/files/md5").glob("*/*"))) == 3


@pytest.mark.parametrize(
    ("decision", "name", "tags"),
    [
        (ReleaseDecision("detector@v0.1.0", "not worse", "cards/x.md", "# X\n"), "Released", 1),
        (ReleaseDecision(None, "surely worse"), "NotReleased", 0),
    ],
)
def test_only_a_model_that_passes_is_released_and_either_way_the_run_is_kept(
    shared: Path,
    decision: ReleaseDecision,
    name: str,
    tags: int,
    receiver: Receiver,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The comparison itself: tests/pipeline/test_promotion_flow.py."""
    monkeypatch.setenv("YOLO_WEBHOOK_URL", receiver.url)
    monkeypatch.setattr(publish, "_TRAINED", "left")
    monkeypatch.setattr(publish, "STAGES_OF_RELEASE", {"detector": ("left",)})
    monkeypatch.setattr(publish, "_decide", lambda *_: decision)
    state = reproduce(push=True, record="branch", release="patch", notify=True, return_state=True)
    assert (state.type.value, state.name) == ("COMPLETED", name), state.message
    assert decision.reason in str(state.message)
    (branch,) = branches(shared)
    listed = git("-C", str(shared), "tag", "--list", "--format=%(*objectname)").split()
    assert listed == [git("-C", str(shared), "rev-parse", branch)] * tags
    if tags:
        assert git("-C", str(shared), "show", "detector@v0.1.0:cards/x.md") == "# X"
    shown = artifacts(state)["promotion"]
    assert decision.reason in shown and ("Not released" in shown) is (tags == 0)
    assert receiver.received[-1]["event"] == ("released" if tags else "not_released")
    assert receiver.received[-1]["released"] == decision.tag
    assert decision.reason in str(receiver.received[-1]["text"])


def test_a_run_with_its_own_parameters_becomes_an_experiment(shared: Path) -> None:
    state = reproduce(["left"], set=["rate=0.5"], return_state=True)
    assert state.is_completed(), state.message
    refs = git("for-each-ref", "--format=%(refname)", "refs/exps").split()
    (kept,) = [ref for ref in refs if ref.rpartition("/")[2].startswith("run-")]
    assert "rate: 0.5" in git("show", f"{kept}:params.yaml")
    rows = ledger.parse(git("show", f"{kept}:{ledger.FILE}"))
    assert [row.stage for row in rows] == ["get@a", "left"]
    assert not Path(ledger.FILE).exists()
    assert git("log", "--format=%s", "main").split() == ["State"]


def test_each_run_adds_what_it_cost_to_the_ledger_also_when_it_made_nothing(
    shared: Path, toy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("YOLO_PRICE_PER_HOUR", "3600")
    script = (toy / "left.sh").read_text()
    (toy / "left.sh").write_text(leave(76))
    started = []

    def run() -> list[ledger.Row]:
        """The ledger after a run whose record has been taken over."""
        git("add", "--all")
        git("commit", "--quiet", "--allow-empty", "--message", "State")
        started.append(git("rev-parse", "HEAD"))
        before = set(branches(shared))
        reproduce(["left"], record="branch", push=True, return_state=True)
        (new,) = set(branches(shared)) - before
        git("reset", "--quiet", "--hard", new)
        return ledger.parse(Path(ledger.FILE).read_text())

    first = run()
    found = [(row.stage, row.outcome) for row in first]
    assert found == [("get@a", "Ran"), ("left", "BudgetSpent")]
    assert [row.commit for row in first] == started * 2
    stopped = first[-1]
    assert (stopped.fingerprint, stopped.device) == ("abc", "toy")
    assert float(stopped.price) == pytest.approx(float(stopped.seconds))
    # the same again: nothing is made, and it has its price all the same
    second = run()
    assert second[:2] == first and [row.outcome for row in second[2:]] == ["BudgetSpent"]
    (toy / "left.sh").write_text(leave(0).replace("; exit 0", "") + script)
    third = run()
    assert third[:3] == second and third[-1].outcome == "Ran"
    whole = ledger.last_of_stages()["left"]
    legs = [row for row in third if row.stage == "left"]
    assert float(whole.seconds) == pytest.approx(sum(float(leg.seconds) for leg in legs))


def test_what_could_not_be_sent_is_sent_by_the_next_run(
    shared: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publish, "_RETRIES", 0)
    store = shared.parent / "store"
    store.write_text("no folder")
    state = reproduce(push=True, record="branch", return_state=True)
    assert "push failed" in str(state.message)
    assert branches(shared) == []
    store.unlink()
    state = reproduce(push=True, record="branch", return_state=True)
    assert state.is_completed(), state.message
    (branch,) = branches(shared)
    assert len(list(store.glob("files/md5/*/*"))) == 3
    # nothing is new now: no other record
    Path("dvc.lock").write_text(git("show", f"{branch}:dvc.lock") + "\n")
    git("add", "dvc.lock")
    git("commit", "--quiet", "--message", "Taken over")
    assert reproduce(push=True, record="branch", return_state=True).is_completed()
    assert branches(shared) == [branch]


def test_results_are_sent_without_git_when_nothing_is_recorded(toy: Path) -> None:
    store = toy.parent / f"{toy.name}-store"
    with (toy / ".dvc/config").open("a") as config:
        config.write(f"    remote = store\n['remote \"store\"']\n    url = {store}\n")
    for _ in range(2):
        state = reproduce(push=True, return_state=True)
        assert state.is_completed(), state.message
    assert list(store.glob("files/md5/*/*"))


def test_what_is_missing_everywhere_is_made_again(
    shared: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """A fresh clone of a project whose results nobody has pushed."""
    assert reproduce(return_state=True).is_completed()
    git("add", "--force", "dvc.lock")
    git("commit", "--quiet", "--message", "Results")
    git("push", "--quiet", "origin", "main")
    clone = tmp_path_factory.mktemp("clone")
    git("clone", "--quiet", str(shared), str(clone))
    with chdir(clone):
        plan = read_plan(missing_is_fine=True)
        assert plan.lost == {"get@a", "get@b", "left", "join"}
        assert "out join: missing here and in the remote" in plan.table()
        state = reproduce(pull=True, push=True, return_state=True)
        assert state.is_completed(), state.message
        assert Path("join").read_text() == "1\n2\n"
    other = tmp_path_factory.mktemp("other")
    git("clone", "--quiet", str(shared), str(other))
    with chdir(other):
        assert not any(stage.stale for stage in read_plan(missing_is_fine=True).stages)


def name_downloads(toy: Path) -> None:
    """Give the first stages of the toy the name that those of the project have."""
    pipeline = toy / "dvc.yaml"
    pipeline.write_text(pipeline.read_text().replace("  get:", "  download:"))
    git("commit", "--quiet", "--all", "--message", "Names")


def objects(origin: Path) -> int:
    return len(list((origin.parent / "store").glob("files/md5/*/*")))


def test_archives_stay_where_they_are_unless_asked_and_are_fetched_again_when_read(
    shared: Path, toy: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    name_downloads(toy)
    # otherwise `left` would be the same bytes as an archive
    (toy / "left.sh").write_text("sed s/^/left/ got-a > left\n")
    assert reproduce(push=True, record="branch", return_state=True).is_completed()
    assert objects(shared) == 2
    (branch,) = branches(shared)
    clone = tmp_path_factory.mktemp("clone")
    git("clone", "--quiet", "--branch", branch, str(shared), str(clone))
    with chdir(clone):
        (clone / "left.sh").write_text("sed s/^/left/ got-a > left\n")
        assert not any(stage.stale for stage in read_plan(missing_is_fine=True).stages)
        # nothing reads the archives: nothing is made
        assert reproduce(pull=True, return_state=True).is_completed()
        assert not (clone / "got-a").exists()
        (clone / "left.sh").write_text("sed s/^/right/ got-a > left\n")
        stale = [stage.name for stage in read_plan(missing_is_fine=True).stages if stage.stale]
        assert stale == ["download@a", "download@b", "left"]
        state = reproduce(pull=True, return_state=True)
        assert state.is_completed(), state.message
        assert (clone / "join").read_text() == "right1\n2\n"
    assert reproduce(push=True, push_raw=True, return_state=True).is_completed()
    assert objects(shared) == 4


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_what_an_interrupted_run_had_finished_is_pushed_and_recorded(
    shared: Path, toy: Path, prefect_api: str, number: signal.Signals
) -> None:
    (toy / "left.sh").write_text("touch begun; sleep 600\n")
    process = subprocess.Popen(
        [sys.executable, "-m", "stages.flow", "--push", "--record", "branch"],
        env=os.environ | {"PYTHONPATH": str(ROOT), "PREFECT_API_URL": prefect_api},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    # `left` sleeps; the other branch is done and sent
    sent = [f"get@{one} | {count} file" for one, count in (("a", 1), ("b", 1))]
    lines = iter(process.stdout.readline, "")
    while sent:
        line = next(lines)
        sent = [start for start in sent if not line.startswith(start)]
    while not (toy / "begun").exists():
        assert process.poll() is None
    process.send_signal(number)
    rest = process.stdout.read()
    process.wait()
    (branch,) = branches(shared)
    assert f"the run was ended from outside; finished and recorded on branch {branch}" in rest
    recorded = git("-C", str(shared), "show", f"{branch}:dvc.lock")
    assert "get@a" in recorded and "get@b" in recorded and "left" not in recorded
    assert objects(shared) == 2
    assert "interrupted" in git("-C", str(shared), "log", "-1", "--format=%B", branch)


def test_what_could_not_be_pushed_is_not_recorded_either(shared: Path) -> None:
    run = Run(read_plan())
    run.stages["get@a"].outcome = "Ran"
    where = Destination(push=True, record="branch", release="none")
    said = publish.record_interrupted(run, where)
    assert said == "not recorded, for get@a could not be pushed any more"
    assert branches(shared) == []


def test_parameters_of_a_run_that_cannot_start_are_taken_back(toy: Path) -> None:
    before = (toy / "params.yaml").read_bytes()
    for options in ({"targets": ["nothing"]}, {"push": True}):
        state = reproduce(set=["rate=0.5"], record="none", return_state=True, **options)
        assert state.is_failed()
        assert (toy / "params.yaml").read_bytes() == before


def test_what_has_nowhere_to_go_is_said_before_anything_runs(toy: Path) -> None:
    state = reproduce(push=True, return_state=True)
    assert "push needs a DVC remote" in str(state.message)
    state = reproduce(record="branch", return_state=True)
    assert "recording the run needs a Git repository" in str(state.message)
    state = reproduce(release="patch", return_state=True)
    assert "release needs push and record=branch" in str(state.message)
    assert not (toy / "got-a").exists()
