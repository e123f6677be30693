"""A run releases its detector, or is refused; real pipeline, Git and DVC remotes in folders."""

import sys
from pathlib import Path

import pytest
from project_copy import Project

from yolo.files import digest

FLOW = (sys.executable, "-m", "stages.flow", "--push", "--record", "branch", "--release", "patch")
WEIGHTS = "models/detector.safetensors"
pytestmark = [pytest.mark.slow, pytest.mark.ci, pytest.mark.timeout(600)]


def test_a_run_releases_its_detector_only_if_it_may_take_the_place_of_the_newest(
    project: Project, tmp_path: Path
) -> None:
    project.run("dvc", "remote", "add", "--default", "store", str(tmp_path / "store"))
    project.commit()
    origin = tmp_path / "origin.git"
    project.run("git", "clone", "--quiet", "--bare", str(project.root), str(origin))
    project.git("remote", "add", "origin", str(origin))
    project.run("dvc", "push")

    def tags() -> list[str]:
        return project.git("-C", str(origin), "tag", "--list").split()

    def elsewhere(tag: str) -> str:
        out = tmp_path / tag
        cache = str(tmp_path / f"cache-{tag}")
        repo = ("--repo", str(origin), "--out", str(out))
        project.run("yolov1", "fetch", tag, *repo, XDG_CACHE_HOME=cache)
        return digest(out)

    project.change("detect_train.seed", 1)
    said = project.run(*FLOW)
    assert "nothing has been released yet" in said
    assert tags() == ["detector@v0.0.1"]
    first = digest(project.root / WEIGHTS)
    assert elsewhere("detector@v0.0.1") == first
    card = project.git("-C", str(origin), "show", "detector@v0.0.1:cards/detector-v0.0.1.md")
    assert first in card

    # a worker's clone: shallow, without tags
    worker = Project(tmp_path / "worker")
    address = ("--branch", "main", "--depth", "1", f"file://{origin}", str(worker.root))
    project.run("git", "clone", "--quiet", *address)
    worker.change("detect_train.seed", 2)
    said = worker.run(*FLOW, "--pull")
    assert "of detector@v0.0.1" in said and "not worse" in said
    assert tags() == ["detector@v0.0.1", "detector@v0.0.2"]
    assert elsewhere("detector@v0.0.2") == digest(worker.root / WEIGHTS) != first

    # refused, and the run is kept all the same
    worker.change("data.detection.classes", ["circle"])
    said = worker.run(*FLOW, "--pull")
    assert "no paired comparison with detector@v0.0.2 is possible" in said
    assert tags() == ["detector@v0.0.1", "detector@v0.0.2"]
    assert len(project.git("-C", str(origin), "branch", "--list", "runs/*").split()) == 3
