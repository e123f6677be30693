"""When an interrupted training may go on."""

import os

import pytest
from pydantic import AliasPath, Field

from stages.fingerprint import fingerprint
from yolo.params.document import View, parse


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
    return fingerprint("train", parse(Inputs, {"train": {"rate": rate}}))


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
