"""Which file of a folder makes a stage stale."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from stages.repro.plan import read_plan

PIPELINE = """\
stages:
  make:
    cmd: cp -r source made
    deps: [source]
    outs: [made]
  use:
    cmd: python yolo/part/tool.py > used
    deps: [made, yolo/part]
    outs: [used]
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A reproduced project whose stages read folders: data, an out, code."""
    for name, text in {
        ".dvc/config": "[core]\n    no_scm = true\n    analytics = false\n",
        ".dvcignore": "*.swp\n",
        ".gitignore": "/made\n/used\n/.dvc/tmp\n/.dvc/cache\n",
        "dvc.yaml": PIPELINE,
        "source/a.txt": "1\n",
        "source/b.txt": "2\n",
        "yolo/part/tool.py": "print(1)\n",
        "yolo/part/inner/deep.py": "",
        "yolo/part/old.py": "",
    }.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    monkeypatch.chdir(tmp_path)
    repro()
    return tmp_path


def repro() -> None:
    subprocess.run([sys.executable, "-m", "dvc", "repro", "--quiet"], check=True)


def git(*arguments: str) -> None:
    who = ["-c", "user.name=Test", "-c", "user.email=test@localhost"]
    subprocess.run(["git", *who, *arguments], check=True, capture_output=True)


def commit() -> None:
    git("init", "--quiet")
    git("add", "--all")
    git("commit", "--quiet", "--message", "State")


def reasons() -> dict[str, list[str]]:
    return {s.name: [str(change) for change in s.changes] for s in read_plan().stages if s.stale}


def edit_code(root: Path) -> None:
    (root / "yolo/part/inner/deep.py").write_text("x = 1\n")
    (root / "yolo/part/old.py").unlink()
    (root / "yolo/part/new.py").write_text("")
    (root / "yolo/part/.tool.py.swp").write_text("DVC and Git are told to ignore it")


def test_files_of_a_folder_in_the_cache_are_compared_one_by_one(project: Path) -> None:
    """DVC's cache has the list of files of an out; no Git is needed."""
    (project / "made/a.txt").unlink()
    (project / "made/a.txt").write_text("changed\n")
    (project / "made/c.txt").write_text("3\n")
    (project / "made/b.txt").unlink()
    expected = ["made/a.txt: changed", "made/b.txt: removed", "made/c.txt: new"]
    assert reasons() == {
        "make": [f"out {change}" for change in expected],
        "use": [f"data {change}" for change in expected],
    }


def test_files_of_a_code_folder_are_those_that_git_says_changed(project: Path) -> None:
    commit()
    edit_code(project)
    assert reasons() == {
        "use": [
            "code yolo/part/inner/deep.py: changed",
            "code yolo/part/new.py: new",
            "code yolo/part/old.py: removed",
        ]
    }


def test_a_commit_after_that_of_the_lock_counts_as_a_change(project: Path) -> None:
    commit()
    edit_code(project)
    git("add", "--all")
    git("commit", "--quiet", "--message", "Code alone")
    assert "code yolo/part/inner/deep.py: changed" in reasons()["use"]


def test_a_lock_that_is_not_committed_is_said_to_be_newer(project: Path) -> None:
    """Git then also lists what the last run has seen already."""
    commit()
    (project / "yolo/part/tool.py").write_text("print(2)\n")
    repro()
    (project / "yolo/part/inner/deep.py").write_text("x = 1\n")
    assert reasons()["use"] == [
        "code yolo/part/inner/deep.py: changed since the last commit of dvc.lock",
        "code yolo/part/tool.py: changed since the last commit of dvc.lock",
    ]


def test_a_project_in_a_folder_of_a_repository_has_its_own_paths(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inner = project / "inner"
    inner.mkdir()
    for path in list(project.iterdir()):
        if path != inner:
            shutil.move(path, inner / path.name)
    commit()
    monkeypatch.chdir(inner)
    edit_code(inner)
    assert "code yolo/part/inner/deep.py: changed" in reasons()["use"]


def test_without_cache_and_git_the_folder_is_named(project: Path) -> None:
    edit_code(project)
    assert reasons() == {"use": ["code yolo/part: changed"]}


def test_of_many_files_the_first_are_named_and_the_rest_counted(project: Path) -> None:
    for number in range(13):
        (project / f"made/x{number:02}.txt").write_text("")
    found = reasons()["make"]
    assert found[:2] == ["out made/x00.txt: new", "out made/x01.txt: new"]
    assert found[10:] == ["out made: 3 more files"]
