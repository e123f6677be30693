"""The Prefect flow over the real pipeline."""

import sys
from collections.abc import Callable

import pytest
from project_copy import Project

from yolo.params.base import read_document

FLOW = (sys.executable, "-m", "stages.flow")


def states(output: str) -> dict[str, str]:
    """What the flow's last lines say of each stage."""
    lines = output.rstrip().splitlines()[-8:]
    return {name: words for name, words in (line.split("  ", 1) for line in lines)}


def test_the_flow_makes_the_same_bytes_as_dvc_repro_in_another_folder(
    first_run: tuple[Project, dict[str, str]], fresh: Callable[[], Project]
) -> None:
    project = fresh()
    found = states(project.run(*FLOW))
    assert [words.split()[0] for words in found.values()] == ["ran"] * 8
    made = ("data/clean/**/*", "models/*", "reports/**/*")
    assert project.content(*made) == first_run[0].content(*made)
    # stages stand in the lock in the order in which they ended
    assert read_document(project.root / "dvc.lock") == read_document(first_run[0].root / "dvc.lock")


@pytest.mark.slow
def test_the_flow_runs_only_what_a_change_reaches_and_says_why(project: Project) -> None:
    project.change("evaluate.nms_iou", 0.3)
    output = project.run(*FLOW)
    assert "parameter evaluate.nms_iou: 0.5 → 0.3" in output
    found = {name: words.strip().split("  ")[0] for name, words in states(output).items()}
    assert found.pop("evaluate") == "ran"
    assert set(found.values()) == {"up to date"}
    assert project.stale() == set()
