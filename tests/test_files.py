"""Files that appear whole or not at all."""

import hashlib
import os
import subprocess

import pytest

from yolo.files import digest, replacing, replacing_folder, write_json


def test_a_file_appears_when_the_block_ends(tmp_path):
    path = tmp_path / "new" / "file"
    with replacing(path) as temporary:
        temporary.write_text("whole")
        assert not path.exists()
    assert path.read_text() == "whole"
    assert [entry.name for entry in path.parent.iterdir()] == ["file"]


def test_a_failure_keeps_the_old_file_and_leaves_nothing(tmp_path):
    path = tmp_path / "file"
    path.write_text("old")
    with pytest.raises(RuntimeError), replacing(path) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert path.read_text() == "old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]


def test_a_folder_is_replaced_whole(tmp_path):
    folder = tmp_path / "folder"
    for content in ("first", "second"):
        with replacing_folder(folder) as temporary:
            (temporary / content).write_text(content)
    assert [entry.name for entry in folder.iterdir()] == ["second"]


def test_what_killed_processes_have_left_is_removed(tmp_path):
    with subprocess.Popen(["true"]) as ended:
        pass
    left, others = tmp_path / f".folder.{ended.pid}.tmp", tmp_path / f".folder.{os.getppid()}.tmp"
    left.mkdir()
    others.mkdir()
    with replacing_folder(tmp_path / "folder"):
        assert not left.exists()
        assert others.exists()


def test_a_failure_keeps_the_old_folder_and_leaves_nothing(tmp_path):
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "old").touch()
    with pytest.raises(RuntimeError), replacing_folder(folder) as temporary:
        (temporary / "new").touch()
        raise RuntimeError
    assert [entry.name for entry in tmp_path.rglob("*")] == ["folder", "old"]


def test_json_bytes_do_not_depend_on_the_order_of_keys(tmp_path):
    write_json(tmp_path / "a", {"b": 1, "a": 2})
    write_json(tmp_path / "b", {"a": 2, "b": 1})
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_json_refuses_numbers_that_are_none(tmp_path):
    with pytest.raises(ValueError, match="Out of range"):
        write_json(tmp_path / "a", {"map": float("nan")})
    assert not list(tmp_path.iterdir())


def test_digest_is_the_hash_of_the_content(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"content" * 400_000)
    assert digest(path) == hashlib.sha256(path.read_bytes()).hexdigest()
    assert digest(path, "md5") == hashlib.md5(path.read_bytes()).hexdigest()
