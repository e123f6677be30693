"""Parameters of one run, and its record in Git."""

import subprocess
from pathlib import Path

import pytest

from stages.flow.record import apply_overrides, commit_results, with_overrides
from stages.repro.plan import read_plan
from yolo.errors import UserError


def git(*arguments: str) -> str:
    who = ["-c", "user.name=Test", "-c", "user.email=test@localhost"]
    return subprocess.run(
        ["git", *who, *arguments], check=True, capture_output=True, text=True
    ).stdout.strip()


@pytest.fixture
def in_git(toy: Path) -> Path:
    git("init", "--quiet", "--initial-branch=main")
    git("add", "--all")
    git("commit", "--quiet", "--message", "State")
    return toy


def test_a_parameter_is_set_and_the_rest_stays(toy: Path) -> None:
    apply_overrides(toy, ["rate=0.5", "block.name=x"])
    assert (toy / "params.yaml").read_text() == "rate: 0.5\nblock:\n  size: 1\n  name: x\n"


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("rat=0.5", "cannot set rat=0.5: .*rat"),
        ("rate=0.1,0.2", "one run takes one value"),
        ("no.yaml:rate=1", "cannot set no.yaml:rate=1"),
    ],
)
def test_a_wrong_override_is_an_error_and_changes_nothing(
    toy: Path, override: str, message: str
) -> None:
    before = (toy / "params.yaml").read_text()
    with pytest.raises(UserError, match=message):
        apply_overrides(toy, [override])
    assert (toy / "params.yaml").read_text() == before


def test_overrides_for_a_look_are_taken_back(toy: Path) -> None:
    before = (toy / "params.yaml").read_text()
    with with_overrides(toy, ["rate=0.5"]):
        assert "rate: 0.5" in (toy / "params.yaml").read_text()
    assert (toy / "params.yaml").read_text() == before


def test_results_are_committed_beside_the_checkout(
    in_git: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a machine where nobody told Git a name; nothing that is not the run's goes along."""
    monkeypatch.setenv("HOME", str(in_git / "empty"))
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    monkeypatch.setenv("GIT_CONFIG_SYSTEM", "/dev/null")
    (in_git / "dvc.lock").write_text("schema: '2.0'\n")
    (in_git / "params.yaml").write_text("rate: 0.5\n")
    (in_git / "source-a").write_text("edited by the user\n")
    plan = read_plan()
    before = git("status", "--short")
    commit = commit_results(plan, "runs/2026-11-24", "A run", {"cards/x.md": "X"})
    assert git("status", "--short") == before
    assert git("rev-parse", "--abbrev-ref", "HEAD") == "main"
    assert git("rev-parse", "runs/2026-11-24") == commit
    assert git("diff", "--name-only", "main", commit).split() == [
        "cards/x.md",
        "dvc.lock",
        "params.yaml",
    ]
    assert git("show", f"{commit}:params.yaml") == "rate: 0.5"
