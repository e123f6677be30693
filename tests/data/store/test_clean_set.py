import pickle
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from yolo.data.store import clean_set
from yolo.data.store.clean_set import (
    CLASSIFICATION_SCHEMA,
    DETECTION_SCHEMA,
    CleanSet,
    Split,
    Writer,
    split_path,
    write_classes,
)
from yolo.errors import UserError


def detection_record(number: int) -> dict:
    objects = number % 3
    return {
        "name": f"VOC2007/{number:06}",
        "image": bytes([number % 256]) * (number + 1),
        "width": 500 + number,
        "height": 375,
        "boxes": [[1.0, 2.0, 3.5, number + i] for i in range(objects)],
        "labels": list(range(objects)),
        "difficult": [i == 1 for i in range(objects)],
        "truncated": [i == 0 for i in range(objects)],
    }


def write_detection(path: Path, records: int) -> Split:
    with Writer(path, DETECTION_SCHEMA) as writer:
        for number in range(records):
            writer.append(detection_record(number))
    return Split(path)


@pytest.mark.parametrize("records", [0, 1, 64, 65, 200])
def test_detection_records_come_back_as_written(tmp_path: Path, records: int) -> None:
    split = write_detection(tmp_path / "train.arrow", records)
    assert len(split) == records
    for number in range(records):
        objects = number % 3
        assert split.name(number) == f"VOC2007/{number:06}"
        assert bytes(split.image(number)) == bytes([number % 256]) * (number + 1)
        assert split.size(number) == (500 + number, 375)
        assert split.boxes(number).shape == (objects, 4)
        assert split.boxes(number).dtype == np.float32
        assert split.boxes(number).tolist() == [[1.0, 2.0, 3.5, number + i] for i in range(objects)]
        assert split.labels(number).dtype == np.int32
        assert split.labels(number).tolist() == list(range(objects))
        assert split.difficult(number).dtype == bool
        assert split.difficult(number).tolist() == [False, True][:objects]
        assert split.truncated(number).tolist() == [True, False][:objects]


def test_classification_records_come_back_as_written(tmp_path: Path) -> None:
    path = tmp_path / "val.arrow"
    with Writer(path, CLASSIFICATION_SCHEMA) as writer:
        for number in range(3):
            writer.append(
                {"name": f"n/{number}", "image": b"x", "width": 8, "height": 9, "label": number}
            )
    split = Split(path)
    assert [split.label(i) for i in range(3)] == [0, 1, 2]
    assert split.label(-1) == 2
    with pytest.raises(IndexError):
        split.label(3)
    with pytest.raises(UserError, match="no column boxes"):
        split.boxes(0)


def test_boxes_are_a_copy_that_may_be_changed(tmp_path: Path) -> None:
    split = write_detection(tmp_path / "train.arrow", 3)
    split.boxes(2)[:] = 0
    assert split.boxes(2)[0].tolist() == [1.0, 2.0, 3.5, 2.0]


def test_same_records_give_same_bytes(tmp_path: Path) -> None:
    write_detection(tmp_path / "a.arrow", 100)
    write_detection(tmp_path / "b.arrow", 100)
    assert (tmp_path / "a.arrow").read_bytes() == (tmp_path / "b.arrow").read_bytes()


def test_an_error_while_writing_leaves_no_file(tmp_path: Path) -> None:
    with (
        pytest.raises(RuntimeError),
        Writer(tmp_path / "train.arrow", DETECTION_SCHEMA) as writer,
    ):
        writer.append(detection_record(0))
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []


def test_a_record_with_a_wrong_field_is_refused(tmp_path: Path) -> None:
    with (
        pytest.raises(ValueError, match="label"),
        Writer(tmp_path / "train.arrow", DETECTION_SCHEMA) as writer,
    ):
        writer.append({"name": "a", "label": 1})


def test_a_pickled_split_opens_the_same_file(tmp_path: Path) -> None:
    split = write_detection(tmp_path / "train.arrow", 70)
    pickled = pickle.dumps(split)
    assert len(pickled) < 1000
    assert pickle.loads(pickled).name(69) == "VOC2007/000069"


def test_threads_may_share_a_split(tmp_path: Path) -> None:
    split = write_detection(tmp_path / "train.arrow", 200)
    with ThreadPoolExecutor(4) as pool:
        names = list(pool.map(split.name, range(200)))
    assert names == [f"VOC2007/{number:06}" for number in range(200)]


def test_opening_a_large_split_takes_no_time(tmp_path: Path) -> None:
    path = tmp_path / "train.arrow"
    rows = [
        {"name": str(i), "image": bytes(200_000), "width": 1, "height": 1, "label": 0}
        for i in range(64)
    ]
    batch = pa.RecordBatch.from_pylist(rows, CLASSIFICATION_SCHEMA)
    with pa.ipc.new_file(str(path), CLASSIFICATION_SCHEMA) as file:
        for _ in range(20):
            file.write_batch(batch)
    started = time.perf_counter()
    split = Split(path)
    assert time.perf_counter() - started < 0.05
    assert len(split) == 1280


def write_sharded(
    folder: Path, records: int, monkeypatch: pytest.MonkeyPatch, per_file: int = 128
) -> Split:
    monkeypatch.setattr(clean_set, "RECORDS_PER_FILE", per_file)
    clean_set.write_split(
        folder, "train", DETECTION_SCHEMA, records, map(detection_record, range(records))
    )
    return CleanSet(write_folder(folder)).split("train")


def write_folder(folder: Path) -> Path:
    write_classes(folder, ("cat",))
    return folder


@pytest.mark.parametrize(
    ("records", "files"),
    [
        (0, ["train.arrow"]),
        (128, ["train.arrow"]),
        (129, ["train-00000-of-00002.arrow", "train-00001-of-00002.arrow"]),
        (400, [f"train-{number:05}-of-00004.arrow" for number in range(4)]),
    ],
)
def test_a_large_split_is_several_files_that_read_as_one(
    records: int, files: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    split = write_sharded(tmp_path, records, monkeypatch)
    assert sorted(path.name for path in tmp_path.glob("*.arrow")) == files
    assert len(split) == records
    assert [split.name(number) for number in range(records)] == [
        f"VOC2007/{number:06}" for number in range(records)
    ]
    for number in range(0, records, 37):
        assert bytes(split.image(number)) == bytes([number % 256]) * (number + 1)
        assert split.labels(number).tolist() == list(range(number % 3))
    if records:
        assert split.name(-1) == f"VOC2007/{records - 1:06}"
    again = pickle.loads(pickle.dumps(split))
    assert len(again) == records
    with pytest.raises(IndexError):
        split.name(records)


def test_a_file_of_a_split_that_is_missing_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_sharded(tmp_path, 400, monkeypatch)
    (tmp_path / "train-00003-of-00004.arrow").unlink()
    with pytest.raises(UserError, match=r"not exactly the 4 files of train.*00003-of-00004"):
        Split(tmp_path / "train.arrow")


def test_a_file_that_is_too_short_is_found_when_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    split = write_sharded(tmp_path, 400, monkeypatch)
    write_detection(tmp_path / "train-00001-of-00004.arrow", 100)
    with pytest.raises(UserError, match=r"00001-of-00004\.arrow is damaged.*100 records, not 128"):
        split.name(130)


def test_too_few_records_are_no_split(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="train should have 5 records"):
        clean_set.write_split(
            tmp_path, "train", DETECTION_SCHEMA, 5, map(detection_record, range(4))
        )


def test_opening_many_files_takes_no_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_sharded(tmp_path, 1600, monkeypatch, per_file=16)
    started = time.perf_counter()
    assert len(Split(tmp_path / "train.arrow")) == 1600
    assert time.perf_counter() - started < 0.05


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"train\.arrow does not exist.*dvc repro"):
        Split(tmp_path / "train.arrow")


@pytest.mark.parametrize("content", [b"", b"ARROW1", b"not an arrow file" * 100])
def test_a_file_that_is_no_arrow_file_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "train.arrow").write_bytes(content)
    with pytest.raises(UserError, match=r"train\.arrow is damaged"):
        Split(tmp_path / "train.arrow")


def test_a_truncated_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "train.arrow"
    write_detection(path, 200)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(UserError, match=r"train\.arrow is damaged"):
        Split(path)


def test_a_table_of_something_else_is_named(tmp_path: Path) -> None:
    table = pa.table({"x": [1]})
    with pa.ipc.new_file(str(tmp_path / "train.arrow"), table.schema) as file:
        file.write_table(table)
    with pytest.raises(UserError, match="columns x"):
        Split(tmp_path / "train.arrow")


def test_a_clean_set_has_classes_and_splits(tmp_path: Path) -> None:
    write_classes(tmp_path, ("cat", "dog"))
    write_detection(split_path(tmp_path, "train"), 5)
    clean = CleanSet(tmp_path)
    assert clean.classes == ("cat", "dog")
    assert len(clean.split("train")) == 5
    with pytest.raises(UserError, match=r"val\.arrow does not exist"):
        clean.split("val")


@pytest.mark.parametrize("content", [None, "", "[]", "{}"])
def test_a_missing_or_damaged_class_list_is_named(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "classes.json").write_text(content)
    with pytest.raises(UserError, match=r"classes\.json"):
        CleanSet(tmp_path)
