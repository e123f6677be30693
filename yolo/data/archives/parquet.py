"""Parquet files of images and labels, as Hugging Face publishes them, seen as an ImageFolder."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from yolo.errors import UserError

_BATCH = 64
_BEGINNINGS = {".png": b"\x89PNG", ".webp": b"RIFF", ".bmp": b"BM", ".gif": b"GIF8"}


_IMAGE, _LABEL = ("image", "img"), ("label", "fine_label", "labels")


def split_and_shard(path: Path) -> tuple[str, str]:
    """`data/train-00000-of-00017.parquet` → `train`, `00000-of-00017`.

    A file that only has a number (`default/train/0000.parquet`) belongs to the split of its folder.
    """
    stem = path.name.split(".")[0]
    split, _, shard = stem.partition("-")
    return (path.parent.name, stem) if split.isdigit() else (split, shard)


def column(schema: Any, names: Sequence[str], path: Path) -> str:
    """The first of `names` that the table has.

    Raises:
        UserError: It has none.
    """
    found = next((name for name in names if name in schema.names), None)
    if found is None:
        raise UserError(
            f"{path} has no column {' or '.join(names)}; its columns are {', '.join(schema.names)}"
        )
    return found


def images(path: Path) -> Iterator[tuple[str, bytes]]:
    """Yield `<split>/<class>/<shard and row>.jpg` and the encoded bytes of each row.

    The class is called by the name that the schema gives to the label (data type ClassLabel), else
    by its number.

    Raises:
        UserError: unreadable file, no column of images (`image` or `img`, bytes or a struct that
            has `bytes`) or of labels (`label`, `fine_label`), a row without.
    """
    import pyarrow
    import pyarrow.parquet

    split, shard = split_and_shard(path)
    row = 0
    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            schema = file.schema_arrow
            image, label = column(schema, _IMAGE, path), column(schema, _LABEL, path)
            names = _class_names(schema.metadata or {}, label)
            for batch in file.iter_batches(_BATCH, columns=[image, label]):
                for record in batch.to_pylist():
                    data = encoded(record[image])
                    if data is None or record[label] is None:
                        raise UserError(f"{path}: row {row} lacks its image or its label")
                    number = f"{shard}-{row:06}" if shard else f"{row:06}"
                    folder = _class_name(names, record[label], path, row)
                    yield f"{split}/{folder}/{number}{suffix_of(data)}", data
                    row += 1
    except (pyarrow.ArrowException, OSError, UnicodeError) as error:
        raise UserError(f"{path} is not a readable parquet file ({error}); get it again") from None


def encoded(value: Any) -> bytes | None:
    """The encoded image in a cell of a table; None when there is none."""
    data = value.get("bytes") if isinstance(value, dict) else value
    return data if isinstance(data, bytes) else None


def suffix_of(data: bytes) -> str:
    """What a file of this content would be called, for it has no name."""
    return next((suffix for suffix, begin in _BEGINNINGS.items() if data.startswith(begin)), ".jpg")


def _class_names(metadata: dict[bytes, bytes], label: str) -> list[str]:
    try:
        features: Any = json.loads(metadata[b"huggingface"])["info"]["features"]
        return features[label]["names"]
    except (KeyError, TypeError, ValueError):
        return []


def _class_name(names: list[str], label: Any, path: Path, row: int) -> str:
    if not isinstance(label, int):
        return str(label).replace("/", "_")
    if not names:
        return f"{label:04}"
    if not 0 <= label < len(names):
        raise UserError(f"{path}: row {row} has label {label}; there are {len(names)} classes")
    return names[label].replace("/", "_")
