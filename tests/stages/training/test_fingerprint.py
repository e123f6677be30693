"""When an interrupted training may go on."""

import hashlib
import os
from pathlib import Path

import pytest
from pydantic import AliasPath, Field

from stages.training.fingerprint import contents, fingerprint, within
from yolo.params.base import View, parse


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
