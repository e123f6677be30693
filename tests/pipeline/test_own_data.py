"""Own data under version control, as a DVC user keeps it."""

from pathlib import Path

import pytest
from project_copy import Project
from ruamel.yaml import YAML
from small_sets import voc_set, write_tar

SETS = {"train": [f"a{n}" for n in range(12)], "val": ["b1", "b2"], "test": ["c1", "c2"]}
VALIDATE = "validate@detection"


def set_source(project: Project, source: str) -> None:
    yaml = YAML()
    path = project.root / "params.yaml"
    document = yaml.load(path)
    document["data"]["detection"]["source"] = source
    yaml.dump(document, path)


@pytest.fixture
def own(project: Project) -> Project:
    """A project whose detection set is an archive that DVC keeps."""
    archive = project.root / "datasets" / "cats.tar"
    archive.parent.mkdir(exist_ok=True)
    write_tar(archive, voc_set(SETS))
    project.run("dvc", "add", "datasets/cats.tar")
    set_source(project, "datasets/cats.tar")
    project.commit()
    return project


def test_an_added_archive_is_validated_and_then_up_to_date(own: Project) -> None:
    assert own.repro(VALIDATE)[VALIDATE] == "ran"
    assert own.repro(VALIDATE)[VALIDATE] == "unchanged"
    assert "datasets/cats.tar" in own.git("check-ignore", "datasets/cats.tar")
    assert own.git("ls-files", "datasets").split()[-1] == "datasets/cats.tar.dvc"


def test_a_changed_archive_runs_the_stages_again(own: Project) -> None:
    own.repro(VALIDATE)
    write_tar(own.root / "datasets" / "cats.tar", voc_set({**SETS, "test": ["c1", "c3"]}))
    assert own.repro(VALIDATE)[VALIDATE] == "ran"


@pytest.mark.slow
def test_a_queued_experiment_finds_the_archive(own: Project) -> None:
    own.run("dvc", "exp", "run", "--queue", "-S", "evaluate.nms_iou=0.4")
    own.run("dvc", "exp", "run", "--run-all")
    assert "0.4" in own.run("dvc", "exp", "show", "--csv")


def test_an_imported_archive_is_a_source_too(project: Project, tmp_path: Path) -> None:
    archive = tmp_path / "cats.tar"
    write_tar(archive, voc_set(SETS))
    (project.root / "datasets").mkdir(exist_ok=True)
    project.run("dvc", "import-url", str(archive), "datasets/cats.tar")
    set_source(project, "datasets/cats.tar")
    assert project.repro(VALIDATE)[VALIDATE] == "ran"
