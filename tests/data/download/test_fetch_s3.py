"""Archives in object stores: an S3 server on loopback."""

import hashlib
import io
import os
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import s3fs
from s3_server import AWS, s3_bucket

from yolo.data.download import remote_file
from yolo.data.download.descriptor import Archive
from yolo.data.download.fetch import Patience, fetch
from yolo.errors import UserError

BUCKET = "sets"


def packed() -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as tar:
        info = tarfile.TarInfo("train/cat/1.jpg")
        info.size = 700_000
        tar.addfile(info, io.BytesIO(os.urandom(info.size)))
    return file.getvalue()


DATA = packed()
SHA = hashlib.sha256(DATA).hexdigest()
PATIENCE = Patience(attempts=2, sleep=lambda seconds: None)


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A bucket that holds `voc/set.tar`; its address and account are in the environment."""
    with s3_bucket(BUCKET) as (client, endpoint):
        for name, value in {**AWS, "AWS_ENDPOINT_URL": endpoint}.items():
            monkeypatch.setenv(name, value)
        client.put_object(Bucket=BUCKET, Key="voc/set.tar", Body=DATA)
        s3fs.S3FileSystem.clear_instance_cache()
        yield
        s3fs.S3FileSystem.clear_instance_cache()


def test_an_archive_comes_from_s3(store: None, tmp_path: Path) -> None:
    wanted = Archive(name="set.tar", urls=[f"s3://{BUCKET}/voc/set.tar"], sha256=SHA)
    assert fetch(wanted, tmp_path, PATIENCE).read_bytes() == DATA
    assert [path.name for path in tmp_path.iterdir()] == ["set.tar"]


def test_what_has_arrived_from_s3_is_not_fetched_again(
    store: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, asked = remote_file._read, []

    def breaks_off(filesystem, path, start):
        asked.append(start)
        for chunk in real(filesystem, path, start):
            yield chunk
            if len(asked) == 1:
                raise remote_file.TransferError("connection lost")

    monkeypatch.setattr(remote_file, "_read", breaks_off)
    wanted = Archive(name="set.tar", urls=[f"s3://{BUCKET}/voc/set.tar"])
    assert fetch(wanted, tmp_path, PATIENCE).read_bytes() == DATA
    assert asked == [0, 1 << 16]


def test_an_object_that_is_not_there_is_said(store: None, tmp_path: Path) -> None:
    urls = [f"s3://{BUCKET}/voc/no.tar", f"s3://{BUCKET}/voc/set.tar"]
    wanted = Archive(name="set.tar", urls=urls, sha256=SHA)
    assert fetch(wanted, tmp_path, PATIENCE).read_bytes() == DATA
    (tmp_path / "set.tar").unlink()
    with pytest.raises(UserError, match=r"s3://sets/voc/no\.tar: there is no such file"):
        fetch(wanted.model_copy(update={"urls": urls[:1]}), tmp_path, PATIENCE)
