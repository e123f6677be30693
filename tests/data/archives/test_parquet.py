"""Parquet files of a Hugging Face data set: listed, fetched, read as an ImageFolder."""

import hashlib
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from faulty_server import Fault, serving

from yolo.data.archives.reader import Archives
from yolo.data.download.descriptor import Revision
from yolo.data.download.fetch import Patience, fetch_all
from yolo.data.download.huggingface import parquet_files
from yolo.errors import UserError

JPEG, PNG = b"\xff\xd8\xff pretended", b"\x89PNG pretended"
REVISION = "0123456789abcdef0123456789abcdef01234567"
CLASSES = ["bonnet, poke bonnet", "green mamba", "1/2"]


def write(path: Path, rows: list[tuple[bytes | None, object]], names: list[str] | None) -> Path:
    image = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    table = pa.table(
        {
            "image": pa.array([{"bytes": data, "path": "x.jpg"} for data, _ in rows], image),
            "label": pa.array([label for _, label in rows]),
        }
    )
    if names is not None:
        features = {"label": {"names": names, "_type": "ClassLabel"}}
        about = json.dumps({"info": {"features": features}})
        table = table.replace_schema_metadata({"huggingface": about})
    path.parent.mkdir(exist_ok=True)
    pq.write_table(table, path, row_group_size=2)
    return path


def test_rows_are_files_in_the_folders_of_split_and_class(tmp_path: Path) -> None:
    raw = tmp_path / "raw"
    write(raw / "train-00000-of-00002.parquet", [(JPEG, 1), (PNG, 0), (b"RIFF2", 1)], CLASSES)
    write(raw / "train-00001-of-00002.parquet", [(JPEG + b"3", 2)], CLASSES)
    write(raw / "validation-00000-of-00001.parquet", [(JPEG + b"4", 0)], CLASSES)
    with Archives(raw) as archives:
        assert {name: archives.read(name) for name in archives.names()} == {
            "train/1_2/00001-of-00002-000000.jpg": JPEG + b"3",
            "train/bonnet, poke bonnet/00000-of-00002-000001.png": PNG,
            "train/green mamba/00000-of-00002-000000.jpg": JPEG,
            "train/green mamba/00000-of-00002-000002.webp": b"RIFF2",
            "validation/bonnet, poke bonnet/00000-of-00001-000000.jpg": JPEG + b"4",
        }


def test_without_class_names_the_numbers_are_the_folders(tmp_path: Path) -> None:
    with Archives(write(tmp_path / "train.parquet", [(JPEG, 7), (JPEG, 12)], None)) as archives:
        assert archives.names() == ["train/0007/000000.jpg", "train/0012/000001.jpg"]


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([(JPEG, 0), (None, 1)], "row 1 lacks its image or its label"),
        ([(JPEG, 0), (JPEG, None)], "row 1 lacks its image or its label"),
        ([(JPEG, 3)], "row 0 has label 3; there are 3 classes"),
        ([(JPEG, -1)], "row 0 has label -1"),
    ],
)
def test_wrong_rows_are_named(
    rows: list[tuple[bytes | None, object]], words: str, tmp_path: Path
) -> None:
    path = write(tmp_path / "train.parquet", rows, CLASSES)
    with pytest.raises(UserError, match=rf"train\.parquet: {words}"):
        Archives(path)


def test_a_row_without_its_image_struct_is_named(tmp_path: Path) -> None:
    image = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    table = pa.table({"image": pa.array([None], image), "label": pa.array([0])})
    pq.write_table(table, tmp_path / "train.parquet")
    with pytest.raises(UserError, match="row 0 lacks its image or its label"):
        Archives(tmp_path / "train.parquet")


def test_other_columns_are_refused(tmp_path: Path) -> None:
    pq.write_table(pa.table({"text": ["a"], "label": [0]}), tmp_path / "train.parquet")
    with pytest.raises(UserError, match=r"train\.parquet has no column image or img;"):
        Archives(tmp_path / "train.parquet")


def test_a_truncated_file_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "train.parquet", [(JPEG, 0)] * 50, CLASSES)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(UserError, match=r"train\.parquet is not a readable parquet file"):
        Archives(path)


def test_a_revision_is_listed_with_sums_and_fetched(tmp_path: Path) -> None:
    data = write(tmp_path / "train.parquet", [(JPEG, 0)], CLASSES).read_bytes()
    lfs = {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data), "pointerSize": 130}
    about = {
        "id": "someone/set",
        "sha": REVISION,
        "siblings": [
            {"rfilename": "README.md", "size": 3},
            {"rfilename": "data/train.parquet", "size": len(data), "lfs": lfs},
        ],
    }
    files = {
        f"api/datasets/someone/set/revision/{REVISION}": json.dumps(about).encode(),
        f"datasets/someone/set/resolve/{REVISION}/data/train.parquet": data,
    }
    with serving(files) as server:
        revision = Revision(repo="someone/set", revision=REVISION)
        archives = parquet_files(revision, endpoint=server.address)
        assert [(a.name, a.sha256, a.size) for a in archives] == [
            ("train.parquet", lfs["sha256"], len(data))
        ]
        server.faults = [Fault(send=100)]
        (path,) = fetch_all(archives, tmp_path / "downloads", Patience(sleep=lambda _: None))
    assert path.read_bytes() == data


def test_a_revision_that_is_not_there_is_named() -> None:
    with serving({}) as server, pytest.raises(UserError, match=f"someone/set at {REVISION} could"):
        parquet_files(Revision(repo="someone/set", revision=REVISION), endpoint=server.address)


@pytest.mark.parametrize(("image", "label"), [("img", "fine_label"), ("img", "label")])
def test_columns_have_other_names_too(tmp_path: Path, image: str, label: str) -> None:
    """As CIFAR's on Hugging Face."""
    table = pa.table({image: pa.array([{"bytes": JPEG}]), label: pa.array([3])})
    pq.write_table(table, tmp_path / "test-00000-of-00001.parquet")
    with Archives(tmp_path) as files:
        assert files.names() == ["test/0003/00000-of-00001-000000.jpg"]


@pytest.mark.parametrize("name", ["data/train-00000.parquet", "default/train/0000.parquet"])
def test_a_repository_of_parquet_files_beside_a_readme(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.parent.mkdir(parents=True)
    (tmp_path / "README.md").write_text("a card")
    (tmp_path / ".gitattributes").write_text("*.parquet")
    pq.write_table(pa.table({"image": pa.array([{"bytes": JPEG}]), "label": pa.array([0])}), path)
    with Archives(tmp_path) as files:
        (found,) = files.names()
    assert found.startswith("train/0000/")
