"""When an interrupted training may go on."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest
from pathspec import GitIgnoreSpec
from pydantic import AliasPath, Field

from stages.training.fingerprint import contents, fingerprint, within
from yolo.params.base import View, parse

ROOT = Path(__file__).resolve().parents[3]


class Inputs(View):
    rate: float = Field(validation_alias=AliasPath("train", "rate"))


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "dvc.yaml").write_text(
        "stages:\n  train:\n    deps:\n      - data\n      - code.py\n"
    )
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "train.arrow").write_bytes(b"records")
    (tmp_path / "code.py").write_text("print()")
    return tmp_path


def current(rate=0.1):
    return fingerprint(parse(Inputs, {"train": {"rate": rate}}), contents("train"))


def test_touching_a_file_changes_nothing(project):
    before = current()
    os.utime(project / "code.py", (1, 1))
    assert current() == before


@pytest.mark.parametrize("changed", ["data/train.arrow", "data/new.arrow", "code.py"])
def test_another_content_is_another_training(project, changed):
    before = current()
    (project / changed).write_bytes(b"other")
    assert current() != before


def test_another_parameter_is_another_training(project):
    assert current(rate=0.1) != current(rate=0.2)


def test_the_sums_of_files_and_folders_are_found_among_those_of_the_deps(project):
    sums = contents("train")
    assert sums["code.py"] == hashlib.sha256(b"print()").hexdigest()
    assert list(within(sums, Path("data"))) == ["data/train.arrow"]
    assert within(sums, Path("dat")) == {}


LITTER = (
    "yolo/model/__pycache__/network.cpython-311.pyc",
    "yolo/model/.network.py.swp",
    "yolo/model/network.py~",
    "yolo/model/.#network.py",
    "yolo/model/#network.py#",
    "yolo/model/.DS_Store",
    "yolo/model/.ipynb_checkpoints/network-checkpoint.py",
    "yolo/model/4913",
    "yolo/.ruff_cache/content",
)


@pytest.fixture
def with_code(project):
    """A project whose training depends on a folder of code, with this project's .dvcignore."""
    (project / ".dvcignore").write_text((ROOT / ".dvcignore").read_text())
    (project / "dvc.yaml").write_text(
        "stages:\n  train:\n    cmd: echo done > out\n    deps:\n      - data\n      - yolo/model\n"
        "    outs:\n      - out\n"
    )
    (project / "yolo/model/templates").mkdir(parents=True)
    (project / "yolo/model/network.py").write_text("STRIDE = 16")
    (project / "yolo/model/templates/page.html").write_text("<p>")
    return project


@pytest.mark.parametrize("litter", LITTER)
def test_what_python_and_editors_leave_restarts_no_training(with_code, litter):
    before = current()
    (with_code / litter).parent.mkdir(exist_ok=True)
    (with_code / litter).write_bytes(b"left here")
    assert current() == before


@pytest.mark.parametrize("code", ["network.py", "new.py", "templates/page.html"])
def test_code_in_a_folder_is_another_training(with_code, code):
    before = current()
    (with_code / "yolo/model" / code).write_text("edited")
    assert current() != before


def test_dvc_counts_the_same_files_of_a_folder_as_the_fingerprint(with_code):
    def dvc(*words):
        command = [sys.executable, "-m", "dvc", *words]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    dvc("init", "--no-scm", "--quiet")
    (with_code / ".dvcignore").write_text((ROOT / ".dvcignore").read_text())
    dvc("repro", "--quiet")
    for litter in LITTER:
        (with_code / litter).parent.mkdir(exist_ok=True)
        (with_code / litter).write_bytes(b"left here")
    assert "up to date" in dvc("status")
    (with_code / "yolo/model/network.py").write_text("STRIDE = 32")
    assert "yolo/model" in dvc("status")


def test_no_tracked_file_of_the_code_is_ignored():
    """A file that counted for nobody could change results unseen."""
    command = ["git", "ls-files", "yolo", "stages"]
    tracked = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    spec = GitIgnoreSpec.from_lines((ROOT / ".dvcignore").read_text().splitlines())
    assert not [file for file in tracked.splitlines() if spec.match_file(file)]
