"""Fixtures of the tests that run the whole pipeline with the real DVC."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from project_copy import Project, copy_of_project


@pytest.fixture(scope="session")
def first_run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Project, dict[str, str]]:
    """The project after one `dvc repro`, committed, and what that did. Not to be changed."""
    project = copy_of_project(tmp_path_factory.mktemp("first"))
    done = project.repro()
    project.commit()
    return project, done


@pytest.fixture(scope="session")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Project]:
    """Make copies that have run nothing yet."""
    return lambda: copy_of_project(tmp_path_factory.mktemp("fresh"))


@pytest.fixture
def project(first_run: tuple[Project, dict[str, str]], tmp_path: Path) -> Project:
    """A copy of the project after its first run, to be changed at will."""
    root = tmp_path / "project"
    shutil.copytree(first_run[0].root, root, symlinks=True)
    return Project(root)
