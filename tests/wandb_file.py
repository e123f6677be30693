"""Read what W&B has written offline: its file of records (`run-ID.wandb`).

The file is a LevelDB log after a head of 7 bytes: blocks of 32 KiB, in them pieces of records, each
with a head of 7 bytes, sum, length and kind (1 whole, 2 first, 3 middle, 4 last).
"""

import json
import struct
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

_BLOCK, _HEAD = 32768, 7
_WHOLE, _LAST = 1, 4
_SECONDS = 60.0


def records(path: Path) -> list[Any]:
    """The records of a finished run. W&B's own process may write on when `finish` has returned."""
    deadline = time.monotonic() + _SECONDS
    while not (found := list(_written(path))) or not found[-1].HasField("exit"):
        assert time.monotonic() < deadline, f"{path} has no end"
        time.sleep(0.05)
    return found


def _written(path: Path) -> Iterator[Any]:
    from wandb.proto import wandb_internal_pb2

    data = path.read_bytes()
    assert data[:4] == b":W&B"
    place, whole = _HEAD, b""
    while place + _HEAD <= len(data):
        left = _BLOCK - place % _BLOCK
        if left < _HEAD:
            place += left
            continue
        _, length, kind = struct.unpack("<IHB", data[place : place + _HEAD])
        place += _HEAD
        whole += data[place : place + length]
        place += length
        if kind in (_WHOLE, _LAST):
            record: Any = wandb_internal_pb2.Record()
            record.ParseFromString(whole)
            whole = b""
            yield record


def config(path: Path) -> dict[str, Any]:
    """What the run was started with."""
    (run,) = (record.run for record in records(path) if record.HasField("run"))
    return {item.key: json.loads(item.value_json) for item in run.config.update}


def history(path: Path) -> list[dict[str, Any]]:
    """What was logged, a row per step; the keys of nested values are joined by dots."""
    return [
        {
            ".".join(item.nested_key) or item.key: json.loads(item.value_json)
            for item in record.history.item
        }
        for record in records(path)
        if record.HasField("history")
    ]
