"""Archives: what is read, and what is refused with which words."""

import gzip
import io
import os
import pickle
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from yolo.data.archives.reader import Archives, Limits
from yolo.errors import UserError

MEMBERS = {
    "train/cat/1.jpg": b"cat one",
    "train/dog/1.jpg": b"dog one" * 300,
    "val/cat/2.jpg": b"",
}


@pytest.fixture(autouse=True)
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Temporary files go here, so that what is left behind can be seen."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    yield folder


def write_tar(path: Path, members: dict[str, bytes], mode: str = "w") -> Path:
    with tarfile.open(path, mode) as tar:  # type: ignore[call-overload]
        folder = tarfile.TarInfo("train")
        folder.type = tarfile.DIRTYPE
        tar.addfile(folder)
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return path


def write_zip(path: Path, members: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", method) as archive:
        archive.mkdir("train")
        for name, data in members.items():
            archive.writestr(name, data)
    return path


def write_folder(path: Path, members: dict[str, bytes]) -> Path:
    for name, data in members.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(data)
    return path


def make(kind: str, folder: Path, members: dict[str, bytes]) -> Path:
    match kind:
        case "tar":
            return write_tar(folder / "set.tar", members)
        case "tar.gz":
            return write_tar(folder / "set.tar.gz", members, "w:gz")
        case "tgz named tar":
            return write_tar(folder / "set.tar", members, "w:gz")
        case "zip":
            return write_zip(folder / "set.zip", members)
        case "stored zip":
            return write_zip(folder / "set.zip", members, zipfile.ZIP_STORED)
        case "folder of archives":
            (folder / "raw").mkdir()
            (folder / "raw" / "checksums.json").write_text("{}")
            names = sorted(members)
            write_tar(folder / "raw" / "a.tar", {n: members[n] for n in [*names[:1], *names[2:]]})
            write_zip(folder / "raw" / "b.zip", {n: members[n] for n in names[:2]})
            return folder / "raw"
        case _:
            return write_folder(folder / "plain", members)


KINDS = ["tar", "tar.gz", "tgz named tar", "zip", "stored zip", "folder of archives", "folder"]


@pytest.mark.parametrize("kind", KINDS)
def test_names_are_sorted_and_contents_come_back(kind: str, tmp_path: Path) -> None:
    with Archives(make(kind, tmp_path, MEMBERS)) as archives:
        assert archives.names() == ["train/cat/1.jpg", "train/dog/1.jpg", "val/cat/2.jpg"]
        assert {name: archives.read(name) for name in archives.names()} == MEMBERS


@pytest.mark.parametrize("kind", KINDS)
def test_threads_and_pickled_copies_read_the_same(kind: str, tmp_path: Path) -> None:
    members = {f"{n:03}.bin": bytes([n]) * (n * 50) for n in range(100)}
    with Archives(make(kind, tmp_path, members)) as archives:
        copy = pickle.loads(pickle.dumps(archives))
        names = archives.names() * 5
        with ThreadPoolExecutor(8) as pool:
            assert list(pool.map(archives.read, names)) == [members[name] for name in names]
        assert [copy.read(name) for name in names] == [members[name] for name in names]


def test_forked_processes_do_not_disturb_each_other(tmp_path: Path) -> None:
    members = {f"{n:03}.bin": bytes([n]) * 5000 for n in range(50)}
    with Archives(write_zip(tmp_path / "set.zip", members)) as archives:
        archives.read("000.bin")
        child = os.fork()
        if child == 0:
            try:
                right = all(archives.read(name) == members[name] for name in archives.names() * 4)
                os._exit(0 if right else 1)
            finally:
                os._exit(1)
        for name in archives.names() * 4:
            assert archives.read(name) == members[name]
        assert os.waitpid(child, 0)[1] == 0


def test_leading_dots_and_doubled_slashes_are_cleaned(tmp_path: Path) -> None:
    with Archives(write_tar(tmp_path / "set.tar", {"./train//cat/./1.jpg": b"x"})) as archives:
        assert archives.names() == ["train/cat/1.jpg"]
        assert archives.read("train/cat/1.jpg") == b"x"


def test_backslashes_of_windows_zips_are_separators(tmp_path: Path) -> None:
    with Archives(write_zip(tmp_path / "set.zip", {"train\\cat\\1.jpg": b"x"})) as archives:
        assert archives.names() == ["train/cat/1.jpg"]


def test_the_inflated_copy_is_removed_by_the_process_that_made_it(
    tmp_path: Path, scratch: Path
) -> None:
    with Archives(write_tar(tmp_path / "set.tar.gz", MEMBERS, "w:gz")) as archives:
        pickle.loads(pickle.dumps(archives)).names()
        assert len(list(scratch.iterdir())) == 1
    assert list(scratch.iterdir()) == []


def test_archive_beside_folders_is_just_a_file(tmp_path: Path) -> None:
    write_folder(tmp_path / "plain", MEMBERS)
    write_zip(tmp_path / "plain" / "original.zip", {"a": b"b"})
    with Archives(tmp_path / "plain") as archives:
        assert archives.names() == ["original.zip", *sorted(MEMBERS)]


def test_links_in_a_folder_are_followed_and_loops_end(tmp_path: Path) -> None:
    write_folder(tmp_path / "elsewhere", {"cat/1.jpg": b"far"})
    (tmp_path / "plain").mkdir()
    (tmp_path / "plain" / "train").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "loop").symlink_to(tmp_path / "elsewhere")
    with Archives(tmp_path / "plain") as archives:
        assert archives.names() == ["train/cat/1.jpg"]
        assert archives.read("train/cat/1.jpg") == b"far"


def test_folders_that_several_links_lead_to_are_read_each_time(tmp_path: Path) -> None:
    write_folder(tmp_path, {"2007/JPEGImages/1.jpg": b"one", "2012/Annotations/1.xml": b"two"})
    (tmp_path / "2012" / "JPEGImages").symlink_to(tmp_path / "2007" / "JPEGImages")
    (tmp_path / "2007" / "back").symlink_to(tmp_path)
    with Archives(tmp_path) as archives:
        assert archives.names() == [
            "2007/JPEGImages/1.jpg",
            "2012/Annotations/1.xml",
            "2012/JPEGImages/1.jpg",
        ]


def test_broken_links_and_pipes_in_a_folder_are_not_skipped(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "plain", MEMBERS)
    (folder / "gone.jpg").symlink_to("nowhere")
    with pytest.raises(UserError, match=r"gone\.jpg is a broken link or no plain file"):
        Archives(folder)
    (folder / "gone.jpg").unlink()
    os.mkfifo(folder / "pipe")
    with pytest.raises(UserError, match="pipe is a broken link or no plain file"):
        Archives(folder)


def test_a_folder_that_cannot_be_listed_is_not_skipped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_folder(tmp_path / "plain", MEMBERS)
    scandir = os.scandir

    def refuse(path: str) -> object:
        if str(path).endswith("cat"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(UserError, match="train/cat cannot be read: Permission denied"):
        Archives(folder)


def test_same_file_in_two_archives_counts_once(tmp_path: Path) -> None:
    write_tar(tmp_path / "a.tar", {"x": b"same", "y": b"1"})
    write_zip(tmp_path / "b.zip", {"x": b"same", "z": b"2"})
    with moved(tmp_path) as archives:
        assert archives.names() == ["x", "y", "z"]


def moved(folder: Path) -> Archives:
    """Archives of `folder` alone, without the scratch folder beside them."""
    raw = folder / "raw"
    raw.mkdir()
    for file in [*folder.glob("*.tar"), *folder.glob("*.zip")]:
        file.rename(raw / file.name)
    return Archives(raw)


def test_two_different_files_of_one_name_are_refused(tmp_path: Path) -> None:
    write_tar(tmp_path / "a.tar", {"x": b"this"})
    write_tar(tmp_path / "b.tar", {"x": b"that"})
    with pytest.raises(UserError, match=r"a\.tar and .*b\.tar: two different files are named x"):
        moved(tmp_path)


def link(kind: bytes) -> tarfile.TarInfo:
    info = tarfile.TarInfo("train/link")
    info.type = kind
    info.linkname = "/etc/passwd"
    return info


@pytest.mark.parametrize(
    ("member", "words"),
    [
        (tarfile.TarInfo("../outside"), r"set\.tar: member '\.\./outside' would lie outside"),
        (tarfile.TarInfo("train/../../x"), "would lie outside"),
        (tarfile.TarInfo("/etc/passwd"), r"member '/etc/passwd' would lie outside"),
        (link(tarfile.SYMTYPE), r"set\.tar: member train/link is a link"),
        (link(tarfile.LNKTYPE), "is a link"),
        (link(tarfile.CHRTYPE), "is a device"),
        (link(tarfile.FIFOTYPE), "is a device"),
        (tarfile.TarInfo("line\nbreak"), "not plain text"),
        (tarfile.TarInfo("caf\udce9.jpg"), "not plain text"),
    ],
)
def test_hostile_tar_members_are_refused(
    member: tarfile.TarInfo, words: str, tmp_path: Path
) -> None:
    with tarfile.open(tmp_path / "set.tar", "w", errors="surrogateescape") as tar:
        tar.addfile(tarfile.TarInfo("train/good.jpg"))
        tar.addfile(member)
    with pytest.raises(UserError, match=words):
        Archives(tmp_path / "set.tar")


@pytest.mark.parametrize("name", ["../outside", "/etc/passwd", "..\\outside", "a/../../b"])
def test_hostile_zip_names_are_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="would lie outside"):
        Archives(write_zip(tmp_path / "set.zip", {name: b""}))


def test_link_in_a_zip_is_refused(tmp_path: Path) -> None:
    info = zipfile.ZipInfo("link")
    info.external_attr = 0o120777 << 16
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as archive:
        archive.writestr(info, "/etc/passwd")
    with pytest.raises(UserError, match="link is a link"):
        Archives(tmp_path / "set.zip")


def test_encrypted_zip_is_refused(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "set.zip", {"a": b"b"})
    data = bytearray(path.read_bytes())
    data[data.rindex(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(data)
    with pytest.raises(UserError, match="encrypted"):
        Archives(path)


@pytest.mark.parametrize("kind", ["zip", "tar.gz"])
def test_decompression_bomb_is_refused_without_being_unpacked(
    kind: str, tmp_path: Path, scratch: Path
) -> None:
    bomb = tmp_path / f"bomb.{kind}"
    if kind == "zip":
        write_zip(bomb, {"big": bytes(70 << 20)})
    else:
        with gzip.open(bomb, "wb", compresslevel=6) as file:
            for _ in range(70):
                file.write(bytes(1 << 20))
    with pytest.raises(UserError, match="inflates to more than 200 times its size"):
        Archives(bomb)
    assert list(scratch.iterdir()) == []


def test_zip_member_that_inflates_beyond_its_stated_size_is_damaged(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "set.zip", {"a": bytes(10000)})
    data = bytearray(path.read_bytes())
    struct.pack_into("<I", data, data.rindex(b"PK\x01\x02") + 24, 10)
    struct.pack_into("<I", data, data.rindex(b"PK\x01\x02") + 16, zlib.crc32(bytes(10)))
    path.write_bytes(data)
    with Archives(path) as archives, pytest.raises(UserError, match="member a is damaged"):
        archives.read("a")


def test_flipped_byte_in_a_zip_is_noticed(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "set.zip", {"a": b"content"}, zipfile.ZIP_STORED)
    path.write_bytes(path.read_bytes().replace(b"content", b"contemt"))
    with Archives(path) as archives, pytest.raises(UserError, match=r"set\.zip: member a is dam"):
        archives.read("a")


@pytest.mark.parametrize("kind", ["tar", "tar.gz", "zip"])
@pytest.mark.parametrize("share", [0.02, 0.4, 0.7, 0.95])
def test_truncated_archive_is_refused(kind: str, share: float, tmp_path: Path) -> None:
    members = {f"{n}.bin": os.urandom(3000) for n in range(20)}
    path = make(kind, tmp_path, members)
    data = path.read_bytes()
    end = len(data) if kind != "tar" else data.rindex(members["19.bin"]) + 3000
    path.write_bytes(data[: int(end * share)])
    with pytest.raises(UserError, match=rf"set\.{kind}.*(truncated|damaged)"):
        Archives(path)


def test_tar_cut_exactly_between_two_members_is_refused(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "set.tar", {"a": bytes(512), "b": bytes(512)})
    path.write_bytes(path.read_bytes()[: 512 * 3])
    with pytest.raises(UserError, match="truncated or damaged at byte 1536"):
        Archives(path)


def test_damaged_header_in_the_middle_does_not_hide_the_rest(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "set.tar", {"a": b"1", "b": b"2"})
    data = bytearray(path.read_bytes())
    data[3 * 512 + 10] ^= 255
    path.write_bytes(data)
    with pytest.raises(UserError, match="damaged at byte 1536"):
        Archives(path)


def test_joined_tars_are_refused(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "set.tar", {"a": b"1"})
    path.write_bytes(path.read_bytes() * 2)
    with pytest.raises(UserError, match="goes on after its end mark"):
        Archives(path)


@pytest.mark.parametrize("content", [b"", b"this is no archive\n" * 100, b"<html>no</html>"])
@pytest.mark.parametrize("name", ["set.tar", "set.tar.gz", "set.zip"])
def test_other_content_under_an_archives_name_is_refused(
    content: bytes, name: str, tmp_path: Path
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=f"{name} is not a readable archive"):
        Archives(tmp_path / name)


@pytest.mark.parametrize("kind", [tarfile.REGTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.XHDTYPE])
def test_a_tar_header_of_an_impossible_size_is_refused(kind: bytes, tmp_path: Path) -> None:
    member = tarfile.TarInfo("a.jpg")
    member.type = kind
    header = bytearray(member.tobuf(tarfile.USTAR_FORMAT))
    header[124:136] = b"\x80" + (1 << 87).to_bytes(11, "big")
    header[148:156] = b"%06o\0 " % tarfile.calc_chksums(bytes(header))[0]  # pyright: ignore
    (tmp_path / "set.tar").write_bytes(header + bytes(10240))
    with pytest.raises(UserError, match=r"set\.tar"):
        Archives(tmp_path / "set.tar")


@pytest.mark.parametrize(("field", "at"), [("compressed size", 20), ("offset", 42)])
def test_a_zip_member_beyond_the_archive_is_refused(field: str, at: int, tmp_path: Path) -> None:
    path = write_zip(tmp_path / "set.zip", {"a.jpg": b"content" * 9})
    data = bytearray(path.read_bytes())
    start = data.rindex(b"PK\x01\x02") + at
    data[start : start + 4] = (0x7FFFFFF0).to_bytes(4, "little")
    path.write_bytes(data)
    with pytest.raises(UserError, match=r"set\.zip"), Archives(path) as archives:
        archives.read("a.jpg")


def test_names_in_a_zip_without_the_flag_for_utf_8_are_read(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "set.zip", {"pièce.jpg": b"content"})
    data = bytearray(path.read_bytes())
    for header, flags in ((b"PK\x03\x04", 7), (b"PK\x01\x02", 9)):
        data[data.index(header) + flags] &= 0xF7
    path.write_bytes(data)
    with Archives(path) as archives:
        assert archives.names() == ["pièce.jpg"]


@pytest.mark.parametrize("name", ["/dev/null", "a" * 300])
def test_a_path_that_cannot_be_a_set_is_named(name: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=name):
        Archives(tmp_path / name)


def test_missing_path_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"nowhere\.tar does not exist"):
        Archives(tmp_path / "nowhere.tar")


def test_archive_of_an_unread_kind_is_not_skipped(tmp_path: Path) -> None:
    (tmp_path / "raw").mkdir()
    write_tar(tmp_path / "raw" / "a.tar", {"a": b""})
    (tmp_path / "raw" / "b.rar").write_bytes(b"Rar!")
    with pytest.raises(UserError, match=r"b\.rar is of a kind that is not read"):
        Archives(tmp_path / "raw")


@pytest.mark.parametrize("kind", KINDS)
def test_limits_hold(kind: str, tmp_path: Path) -> None:
    path = make(kind, tmp_path, MEMBERS)
    with pytest.raises(UserError, match="more than 2 files"):
        Archives(path, Limits(members=2))
    with Archives(path, Limits(member_bytes=100)) as archives:
        assert archives.read("train/cat/1.jpg") == b"cat one"
        with pytest.raises(UserError, match=r"1\.jpg has 2100 bytes; the limit for one file is 10"):
            archives.read("train/dog/1.jpg")


def test_unknown_name_is_an_error(tmp_path: Path) -> None:
    with (
        Archives(make("tar", tmp_path, MEMBERS)) as archives,
        pytest.raises(UserError, match=r"has no file train/cat/2\.jpg"),
    ):
        archives.read("train/cat/2.jpg")


def test_real_archive_reads_as_tarfile_does(real_data: Path) -> None:
    path = real_data / "bccd.tar"
    with Archives(path) as archives, tarfile.open(path) as tar:
        expected = {m.name: m for m in tar.getmembers() if m.isfile()}
        assert archives.names() == sorted(expected)
        for name in archives.names()[::50]:
            assert archives.read(name) == tar.extractfile(expected[name]).read()  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("encoding", "names"),
    [
        ("gbk", ["图片/猫在睡觉01.jpg", "图片/狗在跑步02.jpg", "标注/猫在睡觉01.xml"]),
        ("cp932", ["画像/ねこ01.jpg", "画像/いぬのさんぽ02.jpg"]),
        ("utf-8", ["été/forêt.jpg"]),
        ("cp437", ["été/forêt.jpg", "Straße.jpg"]),
    ],
)
def test_names_that_programs_write_in_their_own_encoding(
    tmp_path: Path, encoding: str, names: list[str]
) -> None:
    path = tmp_path / "set.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for number, name in enumerate(names):
            archive.writestr("ABC"[number] * len(name.encode(encoding)), name)
    data = path.read_bytes()
    for number, name in enumerate(names):
        raw = name.encode(encoding)
        data = data.replace(b"ABC"[number : number + 1] * len(raw), raw)
    path.write_bytes(data)
    with Archives(path) as files:
        assert files.names() == sorted(names)


def test_a_tar_in_a_tar_is_a_folder(tmp_path: Path) -> None:
    inner = write_tar(tmp_path / "cat.tar", {"1.jpg": b"one", "2.jpg": b"two"}).read_bytes()
    path = write_tar(tmp_path / "all.tar", {"cat.tar": inner, "dog.tar": inner, "notes": b"n"})
    with Archives(path) as files:
        assert files.names() == ["cat/1.jpg", "cat/2.jpg", "dog/1.jpg", "dog/2.jpg", "notes"]
        assert files.read("dog/2.jpg") == b"two"


@pytest.mark.parametrize("damage", [lambda tar: tar[:700], lambda tar: b"no tar at all" * 100])
def test_a_damaged_tar_in_a_tar_is_named(tmp_path: Path, damage) -> None:
    inner = write_tar(tmp_path / "cat.tar", {"1.jpg": b"one" * 500}).read_bytes()
    path = write_tar(tmp_path / "all.tar", {"cat.tar": damage(inner)})
    with pytest.raises(UserError, match=r"all\.tar: member cat\.tar"):
        Archives(path)


def test_a_path_that_leads_outside_is_refused_in_a_tar_in_a_tar(tmp_path: Path) -> None:
    inner = write_tar(tmp_path / "cat.tar", {"../1.jpg": b"one"}).read_bytes()
    path = write_tar(tmp_path / "all.tar", {"cat.tar": inner})
    with pytest.raises(UserError, match="would lie outside"):
        Archives(path)


def test_limits_count_the_members_of_a_tar_in_a_tar(tmp_path: Path) -> None:
    inner = write_tar(tmp_path / "cat.tar", {f"{n}.jpg": b"" for n in range(5)}).read_bytes()
    path = write_tar(tmp_path / "all.tar", {"cat.tar": inner})
    with pytest.raises(UserError, match=r"limits\.archive\.members"):
        Archives(path, Limits(members=4))


def test_a_zip_that_has_lost_a_part_is_refused(tmp_path: Path) -> None:
    whole = write_zip(tmp_path / "set.zip", {"1.jpg": b"one" * 50}, zipfile.ZIP_STORED).read_bytes()
    # the table of contents then counts from before the beginning
    (tmp_path / "set.zip").write_bytes(whole[:4] + whole[60:])
    with pytest.raises(UserError, match=r"1\.jpg would lie before or behind the archive"):
        Archives(tmp_path / "set.zip")
