"""What Weights & Biases wrote to an offline run: its file is LevelDB's log of protobuf records."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

_BLOCK, _FILE_HEADER, _RECORD_HEADER = 1 << 15, 7, 7


def offline_runs(folder: Path) -> list[Path]:
    """Files of the offline runs below `folder`, in the order of their start."""
    return sorted(
        folder.glob("wandb/offline-run-*/run-*.wandb"), key=lambda path: path.stat().st_mtime_ns
    )


def history(path: Path) -> list[dict[str, Any]]:
    """Rows that were logged."""
    return [
        {
            item.key or item.nested_key[0]: json.loads(item.value_json)
            for item in record.history.item
        }
        for record in _records(path)
        if record.WhichOneof("record_type") == "history"
    ]


def config(path: Path) -> dict[str, Any]:
    """Settings of the run."""
    found = {}
    for record in _records(path):
        for update in (*record.run.config.update, *record.config.update):
            found[update.key or update.nested_key[0]] = json.loads(update.value_json)
    return found


def _records(path: Path) -> Iterator[Any]:
    from wandb.proto import wandb_internal_pb2

    data, place, whole = path.read_bytes(), _FILE_HEADER, b""
    while place + _RECORD_HEADER <= len(data):
        left = _BLOCK - place % _BLOCK
        if left < _RECORD_HEADER:
            place += left
            continue
        length, kind = int.from_bytes(data[place + 4 : place + 6], "little"), data[place + 6]
        place += _RECORD_HEADER
        whole += data[place : place + length]
        place += length
        # 1: a whole record; 2, 3, 4: its first, middle and last piece
        if kind in (1, 4):
            yield wandb_internal_pb2.Record.FromString(whole)
            whole = b""
