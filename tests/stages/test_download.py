"""Stage `download`: what arrives in data/raw/<set>/, and that nothing half-written does."""

import hashlib
import json
import shutil
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from stages import download
from yolo.data.archives.reader import Archives
from yolo.errors import UserError

ROOT = Path(__file__).resolve().parents[2]
RAW = Path("data/raw/detection")
RECIPE = {
    "seed": 1,
    "classes": ["circle", "star"],
    "images": {"train": 3, "val": 2, "test": 1},
    "min_side": 48,
    "max_side": 64,
    "min_scale": 0.2,
    "max_scale": 0.5,
    "max_objects": 3,
}


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(source: str, monkeypatch: pytest.MonkeyPatch, key: str = "detection") -> None:
    document = YAML(typ="safe").load(ROOT / "presets" / "base.yaml")
    document["data"][key]["source"] = source
    YAML().dump(document, Path("params.yaml"))
    monkeypatch.setattr(sys, "argv", ["download", key])
    download.main()


def make_folder(path: Path) -> Path:
    for name in ("b/2.txt", "a/1.txt", "top.txt"):
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_text(name)
    return path


def left_behind() -> list[str]:
    """Everything below data/, which a failed stage must leave as it was."""
    return sorted(str(path) for path in Path("data").rglob("*") if path.is_file())


def sums() -> dict[str, dict[str, object]]:
    return json.loads((RAW / "checksums.json").read_text())


def test_a_recipe_becomes_an_archive(monkeypatch: pytest.MonkeyPatch) -> None:
    descriptor = {"title": "t", "licence": "l", "synthetic": "detection", "recipe": RECIPE}
    YAML().dump(descriptor, Path("shapes.yaml"))
    run("shapes.yaml", monkeypatch)
    first = (RAW / "shapes.tar").read_bytes()
    with Archives(RAW) as archives:
        assert len(archives.names()) == 6 * 2 + 4
    run("shapes.yaml", monkeypatch)
    assert (RAW / "shapes.tar").read_bytes() == first
    assert sums() == {
        "shapes.tar": {"sha256": hashlib.sha256(first).hexdigest(), "size": len(first)}
    }


@pytest.mark.parametrize("kind", ["tar", "tar.gz", "tgz", "zip"])
def test_a_local_archive_arrives_as_it_is(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    make_folder(Path("mine"))
    path = Path(f"my set.{kind}")
    if kind == "zip":
        shutil.make_archive("my set", "zip", "mine")
    else:
        with tarfile.open(path, "w" if kind == "tar" else "w:gz") as tar:
            tar.add("mine")
    run(str(path), monkeypatch)
    assert left_behind() == [f"{RAW}/checksums.json", f"{RAW}/my set.{kind}"]
    assert (RAW / path.name).read_bytes() == path.read_bytes()
    assert sums()[path.name]["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert not (RAW / path.name).samefile(path)


def test_a_folder_is_packed_the_same_whatever_its_dates(monkeypatch: pytest.MonkeyPatch) -> None:
    run(str(make_folder(Path("mine"))), monkeypatch)
    first = (RAW / "detection.tar").read_bytes()
    with tarfile.open(RAW / "detection.tar") as tar:
        assert tar.getnames() == ["a/1.txt", "b/2.txt", "top.txt"]
    shutil.copytree("mine", "again", copy_function=shutil.copyfile)
    run("again", monkeypatch)
    assert (RAW / "detection.tar").read_bytes() == first


def test_a_folder_of_archives_arrives_as_archives(monkeypatch: pytest.MonkeyPatch) -> None:
    make_folder(Path("mine"))
    Path("both").mkdir()
    shutil.make_archive("both/one", "tar", "mine", "a")
    shutil.make_archive("both/two", "zip", "mine", "b")
    run("both", monkeypatch)
    assert sorted(sums()) == ["one.tar", "two.zip"]
    with Archives(RAW) as archives:
        assert archives.names() == ["a/1.txt", "b/2.txt"]


def publish(path: Path, sha256: str | None) -> None:
    archive = {"name": "set.tar", "urls": [path.absolute().as_uri()], "sha256": sha256}
    YAML().dump({"title": "t", "licence": "l", "archives": [archive]}, Path("set.yaml"))


def test_a_published_archive_is_fetched_once(monkeypatch: pytest.MonkeyPatch) -> None:
    make_folder(Path("mine"))
    remote = Path(shutil.make_archive("remote", "tar", "mine"))
    data = remote.read_bytes()
    publish(remote, hashlib.sha256(data).hexdigest())
    run("set.yaml", monkeypatch)
    remote.unlink()
    # DVC removes outs before a run
    shutil.rmtree("data")
    run("set.yaml", monkeypatch)
    assert (RAW / "set.tar").read_bytes() == data
    assert left_behind() == [f"{RAW}/checksums.json", f"{RAW}/set.tar"]


def test_a_sum_that_nobody_knew_is_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    make_folder(Path("mine"))
    remote = Path(shutil.make_archive("remote", "tar", "mine"))
    publish(remote, None)
    run("set.yaml", monkeypatch)
    data = remote.read_bytes()
    expected = {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data)}
    assert sums() == {"set.tar": expected}


def test_a_wrong_checksum_leaves_no_out(monkeypatch: pytest.MonkeyPatch) -> None:
    make_folder(Path("mine"))
    publish(Path(shutil.make_archive("remote", "tar", "mine")), "0" * 64)
    with pytest.raises(UserError, match=r"checksum mismatch of set\.tar"):
        run("set.yaml", monkeypatch)
    assert left_behind() == []


def empty_zip(path: Path) -> None:
    zipfile.ZipFile(path, "w").close()


def truncated_tar(path: Path) -> None:
    whole = Path(shutil.make_archive("whole", "tar", make_folder(Path("mine"))))
    path.write_bytes(whole.read_bytes()[:3000])


@pytest.mark.parametrize(
    ("name", "make", "words"),
    [
        ("no.tar", lambda path: None, r"no\.tar does not exist; name a folder or an archive"),
        ("empty", lambda path: (path / "deep").mkdir(parents=True), "empty holds no files"),
        ("empty.tar", lambda path: tarfile.open(path, "w").close(), r"empty\.tar holds no files"),
        ("empty.zip", empty_zip, r"empty\.zip holds no files"),
        ("cut.tar", truncated_tar, r"cut\.tar is (truncated|not a readable archive)"),
        ("text.tar", lambda path: path.write_text("hello"), r"text\.tar is not a readable arch"),
        ("notes.txt", lambda path: path.write_text("hello"), r"notes\.txt is no archive by its"),
        ("no.yaml", lambda path: None, r"no\.yaml does not exist"),
    ],
)
def test_a_wrong_source_is_named_and_leaves_the_old_out(
    name: str, make, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(str(make_folder(Path("good"))), monkeypatch)
    before = left_behind()
    make(Path(name))
    with pytest.raises(UserError, match=words):
        run(name, monkeypatch)
    assert left_behind() == before


def test_a_full_disk_is_a_plain_message(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device", "x.tar")

    make_folder(Path("mine"))
    archive = shutil.make_archive("my", "tar", "mine")
    monkeypatch.setattr(download.shutil, "copyfile", fail)
    with pytest.raises(UserError, match=r"my\.tar: .*No space left on device"):
        run(archive, monkeypatch)
    assert left_behind() == []


def test_only_its_own_source_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    assert {
        key: [field.validation_alias.path for field in view.model_fields.values()]  # type: ignore[union-attr]
        for key, view in download.INPUTS.items()
    } == {
        "classification": [["data", "classification", "source"], ["limits", "archive"]],
        "detection": [["data", "detection", "source"], ["limits", "archive"]],
    }


def test_the_set_must_be_one_of_the_two(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["download", "segmentation"])
    with pytest.raises(UserError, match=r"stages\.download classification\|detection"):
        download.main()


@pytest.mark.parametrize("name", ["bccd.tar", "imagenet-mini.tar"])
def test_real_archives_arrive(name: str, real_data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(str(real_data / name), monkeypatch)
    listed = dict(
        line.split()[::-1] for line in (real_data / "SHA256SUMS").read_text().splitlines()
    )
    assert sums()[name]["sha256"] == listed[name]
