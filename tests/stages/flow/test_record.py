"""The record of a run in Git."""

import subprocess
from pathlib import Path

import pytest

from stages.flow.record import commit_results
from stages.repro.plan import read_plan


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
