"""Parquet files of images and labels, as Hugging Face publishes them, seen as an ImageFolder."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from yolo.errors import UserError

_BATCH = 64
_BEGINNINGS = {".png": b"\x89PNG", ".webp": b"RIFF", ".bmp": b"BM", ".gif": b"GIF8"}


def images(path: Path) -> Iterator[tuple[str, bytes]]:
    """Yield `<split>/<class>/<shard and row>.jpg` and the encoded bytes of each row.

    The split is the file's name up to the first hyphen; the class is called by the name that the
    schema gives to the label (data type ClassLabel), else by its number.

    Raises:
        UserError: unreadable file, no columns `image` (with `bytes`) and `label`, a row without.
    """
    import pyarrow
    import pyarrow.parquet

    split, _, shard = path.name.split(".")[0].partition("-")
    row = 0
    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            names = _class_names(file.schema_arrow.metadata or {})
            for batch in file.iter_batches(_BATCH, columns=["image.bytes", "label"]):
                if batch.num_columns != 2:
                    raise UserError(f"{path} lacks the columns image.bytes and label")
                for record in batch.to_pylist():
                    data, label = (record["image"] or {}).get("bytes"), record["label"]
                    if not isinstance(data, bytes) or label is None:
                        raise UserError(f"{path}: row {row} lacks its image or its label")
                    suffix = suffix_of(data)
                    number = f"{shard}-{row:06}" if shard else f"{row:06}"
                    yield f"{split}/{_class_name(names, label, path, row)}/{number}{suffix}", data
                    row += 1
    except (pyarrow.ArrowException, OSError, UnicodeError) as error:
        raise UserError(f"{path} is not a readable parquet file ({error}); get it again") from None


def suffix_of(data: bytes) -> str:
    """What a file of this content would be called, for it has no name."""
    return next((suffix for suffix, begin in _BEGINNINGS.items() if data.startswith(begin)), ".jpg")


def _class_names(metadata: dict[bytes, bytes]) -> list[str]:
    try:
        features: Any = json.loads(metadata[b"huggingface"])["info"]["features"]
        return features["label"]["names"]
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
