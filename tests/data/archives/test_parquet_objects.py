"""Parquet files of images with boxes, in the shapes that data sets have."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from yolo.data.archives.reader import Archives
from yolo.errors import UserError

JPEG = b"\xff\xd8\xff pretended"


def write(path: Path, rows: list[Any], features: Any = None, **columns: list) -> Path:
    images = [{"bytes": JPEG, "path": "x.jpg"}] * len(rows)
    table = pa.table({"image": images, "objects": rows, **columns})
    about = json.dumps({"info": {"features": {"objects": features}}})
    pq.write_table(table.replace_schema_metadata({"huggingface": about}), path)
    return path


def rows_of(path: Path) -> list[dict]:
    with Archives(path) as files:
        names = files.names()
        assert "train/000000.jpg" in names
        return [json.loads(files.read(name)) for name in names if name.endswith(".objects.json")]


NAMES = {"names": ["cat", "dog"], "_type": "ClassLabel"}


@pytest.mark.parametrize(
    "features",
    [
        {"feature": {"bbox": {"length": 4}, "category": NAMES}, "_type": "Sequence"},
        {"bbox": {"_type": "List"}, "category": {"feature": NAMES, "_type": "List"}},
        [{"bbox": {"length": 4}, "category": NAMES}],
    ],
)
def test_classes_are_called_as_any_version_of_the_schema_says(
    tmp_path: Path, features: Any
) -> None:
    rows = [{"bbox": [[1.0, 2.0, 3.0, 4.0]], "category": [1]}, {"bbox": [], "category": []}]
    assert rows_of(write(tmp_path / "train.parquet", rows, features)) == [
        {"boxes": [[1.0, 2.0, 3.0, 4.0]], "classes": ["dog"]},
        {"boxes": [], "classes": []},
    ]


def test_a_list_of_objects_is_read_like_an_object_of_lists(tmp_path: Path) -> None:
    rows = [[{"bbox": [1, 2, 3, 4], "label": "cat", "iscrowd": 1}]]
    path = write(tmp_path / "train.parquet", rows, width=[40], height=[30])
    assert rows_of(path) == [
        {"boxes": [[1, 2, 3, 4]], "classes": ["cat"], "crowds": [1], "size": "40x30"}
    ]


def test_numbers_without_names_and_unknown_numbers(tmp_path: Path) -> None:
    rows = [{"bbox": [[1.0, 2.0, 3.0, 4.0]] * 2, "category": [1, 7]}]
    assert rows_of(write(tmp_path / "train.parquet", rows))[0]["classes"] == ["1", "7"]
    named = write(tmp_path / "train.parquet", rows, {"category": NAMES})
    assert rows_of(named)[0]["classes"] == ["dog", ""]


@pytest.mark.parametrize("row", [{"bbox": [[1.0] * 4]}, {"category": [1]}, {"points": [1.0]}])
def test_objects_without_boxes_or_classes_are_an_error(tmp_path: Path, row: dict) -> None:
    with pytest.raises(UserError, match=r"train\.parquet: row 0: objects has .*needs one of bbox"):
        Archives(write(tmp_path / "train.parquet", [row]))


def test_a_row_without_its_image_is_named(tmp_path: Path) -> None:
    image = pa.array([None], pa.struct([("bytes", pa.binary()), ("path", pa.string())]))
    objects = [{"bbox": [[1.0] * 4], "category": [0]}]
    pq.write_table(pa.table({"image": image, "objects": objects}), tmp_path / "train.parquet")
    with pytest.raises(UserError, match="row 0 lacks its image"):
        Archives(tmp_path / "train.parquet")
