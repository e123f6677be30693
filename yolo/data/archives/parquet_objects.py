"""Parquet files of images with boxes, as Hugging Face publishes them, seen as files in folders."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from yolo.data.archives.parquet import split_and_shard, suffix_of
from yolo.errors import UserError

ENDING = ".objects.json"
_BATCH = 64
_BOXES = ("bbox", "bboxes", "boxes")
_CLASSES = ("category", "categories", "label", "labels", "category_id", "class", "class_id", "name")
_CROWDS = ("is_crowd", "iscrowd", "crowd")


def has_objects(path: Path) -> bool:
    """Whether the table has a column of objects; False also for a file that cannot be read."""
    import pyarrow
    import pyarrow.parquet

    try:
        return "objects" in pyarrow.parquet.read_schema(path).names
    except (pyarrow.ArrowException, OSError):
        return False


def files(path: Path) -> Iterator[tuple[str, bytes]]:
    """Yield `<split>/<shard and row>.jpg`, the encoded image, and `….objects.json` of each row.

    The latter holds `boxes`, `classes` and, where the table has them, `crowds` and `size`;
    `yolo.data.formats.hf_objects` reads it. The split is the file's name up to the first hyphen; a
    class is called by the name that the schema gives it (data type ClassLabel), else by its number.

    Raises:
        UserError: unreadable file, no column `image` (with `bytes`), no column of boxes or classes
            in `objects`, a row without its image.
    """
    import pyarrow
    import pyarrow.parquet

    split, shard = split_and_shard(path)
    row = 0
    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            features = _features(file.schema_arrow.metadata or {})
            columns = ["image.bytes", "objects", "width", "height"]
            for batch in file.iter_batches(_BATCH, columns=columns):
                if "image" not in batch.schema.names:
                    raise UserError(f"{path} lacks the column image.bytes")
                for record in batch.to_pylist():
                    where = f"{path}: row {row}"
                    data = (record["image"] or {}).get("bytes")
                    if not isinstance(data, bytes):
                        raise UserError(f"{where} lacks its image")
                    number = f"{shard}-{row:06}" if shard else f"{row:06}"
                    yield f"{split}/{number}{suffix_of(data)}", data
                    objects = _objects(record, features, where)
                    yield f"{split}/{number}{ENDING}", json.dumps(objects, default=str).encode()
                    row += 1
    except (pyarrow.ArrowException, OSError, UnicodeError) as error:
        raise UserError(f"{path} is not a readable parquet file ({error}); get it again") from None


def _objects(record: Mapping[str, Any], features: Any, where: str) -> dict[str, Any]:
    """The row's objects, whether the table holds a struct of lists or a list of structs."""
    objects = record["objects"]
    if isinstance(objects, list):
        keys = dict.fromkeys(key for one in objects for key in one or ())
        objects = {key: [(one or {}).get(key) for one in objects] for key in keys}
    objects = objects or {}
    boxes, classes, crowds = (_column(objects, names) for names in (_BOXES, _CLASSES, _CROWDS))
    if objects and (boxes is None or classes is None):
        raise UserError(
            f"{where}: objects has {', '.join(objects)}; it needs one of {', '.join(_BOXES)} and "
            f"one of {', '.join(_CLASSES)}"
        )
    key, values = classes or ("", [])
    names = _names(_find(features, key))
    found = {
        "boxes": (boxes or ("", []))[1],
        "classes": [_class_name(names, value) for value in values],
    }
    if crowds is not None:
        found["crowds"] = [int(value or 0) for value in crowds[1]]
    if record.get("width") and record.get("height"):
        found["size"] = f"{record['width']}x{record['height']}"
    return found


def _column(objects: Mapping[str, Any], names: tuple[str, ...]) -> tuple[str, list[Any]] | None:
    return next(((name, list(objects[name] or ())) for name in names if name in objects), None)


def _class_name(names: list[str], value: Any) -> str:
    if not isinstance(value, int) or not names:
        return "" if value is None else str(value)
    # An unknown number has no name, which validation finds.
    return names[value] if 0 <= value < len(names) else ""


def _features(metadata: Mapping[bytes, bytes]) -> Any:
    """What the schema says of the objects."""
    try:
        return json.loads(metadata[b"huggingface"])["info"]["features"]["objects"]
    except (KeyError, TypeError, ValueError):
        return None


def _find(features: Any, key: str) -> Any:
    """The value of the outermost `key`, wherever the versions of `datasets` put it."""
    waiting = [features]
    while waiting:
        found = waiting.pop(0)
        if isinstance(found, dict):
            if key in found:
                return found[key]
            waiting += found.values()
        elif isinstance(found, list):
            waiting += found
    return None


def _names(feature: Any) -> list[str]:
    names = _find(feature, "names")
    return [str(name) for name in names] if isinstance(names, list) else []
