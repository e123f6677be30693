"""Packing: the bytes of a tar depend on names and contents alone."""

import tarfile
from pathlib import Path

from yolo.data.download.tar_writer import write_tar

LONG = "folder/" * 30 + "name.jpg"
MEMBERS = [("b.txt", b"second first"), ("übung/ß.jpg", b""), (LONG, b"x" * 600)]


def test_the_same_members_give_the_same_bytes_with_nothing_of_this_machine(tmp_path: Path) -> None:
    write_tar(tmp_path / "one.tar", MEMBERS)
    write_tar(tmp_path / "two.tar", iter(MEMBERS))
    assert (tmp_path / "one.tar").read_bytes() == (tmp_path / "two.tar").read_bytes()
    with tarfile.open(tmp_path / "one.tar") as tar:
        read = [(m.name, tar.extractfile(m).read()) for m in tar.getmembers()]  # type: ignore[union-attr]
        assert read == MEMBERS
        assert {(m.mtime, m.uid, m.gid, m.uname, m.gname, m.mode) for m in tar.getmembers()} == {
            (0, 0, 0, "", "", 0o644)
        }
