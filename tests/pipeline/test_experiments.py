"""Metrics and experiments of DVC are tables that a person can read: 120 columns, plain names."""

import json
from collections import Counter

import pytest
from project_copy import Project

from yolo.params.base import read_document

WIDTH = 120


def widest(table: str) -> int:
    return max(len(line.rstrip()) for line in table.splitlines())


def names(project: Project) -> list[str]:
    """Every number of every metrics file, dotted where it is nested."""
    shown = json.loads(project.run("dvc", "metrics", "show", "--json"))
    files = shown[""]["data"]
    assert not [path for path, found in files.items() if "error" in found]
    return [name for found in files.values() for name in found["data"]]


def test_the_headline_numbers_are_few_and_fit(first_run: tuple[Project, dict[str, str]]) -> None:
    project, _ = first_run
    found = Counter(names(project))
    assert found.total() <= 12
    assert found == {
        "images": 2,
        "objects": 1,
        "top1": 1,
        "voc07_map": 1,
        "ci_lo": 1,
        "ci_hi": 1,
        "voc_map": 1,
        "coco_ap": 1,
    }
    assert widest(project.run("dvc", "metrics", "show")) <= WIDTH
    assert widest(project.run("dvc", "metrics", "diff", "--all", "HEAD")) <= WIDTH


def test_the_details_are_one_command_away(first_run: tuple[Project, dict[str, str]]) -> None:
    project, _ = first_run
    shown = project.run("dvc", "metrics", "show", "reports/detect_train/details.json")
    assert "voc07_map" in shown and "coord" in shown


@pytest.mark.slow
def test_experiments_are_queued_compared_applied_and_kept(project: Project) -> None:
    project.git("config", "user.name", "Test")
    project.git("config", "user.email", "test@localhost")
    key = "evaluate.nms_iou"
    project.run("dvc", "exp", "run", "-S", f"{key}=0.4", "--name", "strict")
    project.git("checkout", "--quiet", "--", ".")
    project.run("dvc", "exp", "run", "--queue", "-S", f"{key}=0.45,0.55")
    project.run("dvc", "exp", "run", "--run-all")
    listed = project.run("dvc", "exp", "list", "--name-only").split()
    assert len(listed) == 3 and "strict" in listed

    # wide enough for rich to cut nothing off
    table = project.run(
        "dvc", "exp", "show", "--only-changed", "--no-pager", "--drop", "State|Executor",
        COLUMNS="1000",
    )  # fmt: skip
    assert key in table and "strict" in table
    assert widest(table) <= WIDTH
    assert "…" not in table
    # a narrow terminal gets the same table
    narrow = project.run(
        "dvc", "exp", "show", "--only-changed", "--no-pager", "--drop", "State|Executor",
        COLUMNS=str(WIDTH),
    )  # fmt: skip
    assert narrow.split() == table.split()

    runs = project.run("python", "-m", "stages.cli", "runs")
    assert f"{key}: 0.5 → 0.4" in runs and "baseline" in runs
    assert widest(runs) <= WIDTH
    for name in listed:
        assert name in runs
    assert "no difference" not in runs and "not evaluated" not in runs

    project.run("dvc", "exp", "apply", "strict")
    assert read_document(project.root / "params.yaml")["evaluate"]["nms_iou"] == 0.4
    assert project.stale() == set()
    project.run("dvc", "exp", "branch", "strict", "strict-nms")
    assert "strict-nms" in project.git("branch", "--list")
