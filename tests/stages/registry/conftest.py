"""Fixtures of the tests of released models."""

from pathlib import Path

import pytest
from released_project import Release, release_in


@pytest.fixture
def release(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Release:
    """A released detector; its project is the current folder, the user's cache is empty."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    made = release_in(tmp_path / "project")
    monkeypatch.chdir(made.root)
    return made
