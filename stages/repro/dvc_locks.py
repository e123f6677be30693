"""DVC's record of who reads and writes what: explained, and cleared of dead processes.

DVC notes in `.dvc/tmp/rwlock` which process works on which path, and trusts a note while a process
of that number exists. A stale note can block DVC for ever: when another process has got the number
since (in a container they start at 1 each time), or when a kill has cut the file short. The other
lock, `.dvc/tmp/lock`, ends with its holder.
"""

import json
import os
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any

import psutil

from yolo.files import replacing

_RECORD = Path(".dvc/tmp/rwlock")


def release_stale(root: Path) -> list[str]:
    """Remove the notes of processes that are gone from DVC's record; return what was removed.

    A note stays while its process may still be at work.
    """
    path = root / _RECORD
    if not path.exists():
        return []
    from dvc.lock import make_lock

    with make_lock(str(path.with_suffix(".lock")), tmp_dir=str(path.parent)):
        try:
            record = json.loads(path.read_text(encoding="utf-8"))
            notes = list(_notes(record))
        except (ValueError, TypeError, KeyError, AttributeError):
            return _drop_damaged(root, path)
        dead = {note["pid"] for _, note in notes if not _may_be_at_work(note["pid"], path)}
        if not dead:
            return []
        record["write"] = {
            target: note
            for target, note in record.get("write", {}).items()
            if note["pid"] not in dead
        }
        readers = {
            target: [note for note in entries if note["pid"] not in dead]
            for target, entries in record.get("read", {}).items()
        }
        record["read"] = {target: entries for target, entries in readers.items() if entries}
        with replacing(path) as temporary:
            temporary.write_text(json.dumps(record), encoding="utf-8")
    held: dict[tuple[int, str], list[str]] = {}
    for target, note in notes:
        if note["pid"] in dead:
            held.setdefault((note["pid"], note["cmd"]), []).append(target)
    return [
        f"released {_some(targets)}: process {pid} (`{cmd}`) ended without giving back what it held"
        for (pid, cmd), targets in held.items()
    ]


def explain(root: Path) -> str:
    """Who is at work in the project according to DVC's record, and what to do; empty: nobody."""
    path = root / _RECORD
    try:
        notes = list(_notes(json.loads(path.read_text(encoding="utf-8"))))
    except FileNotFoundError:
        return ""
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return f"{path} was cut short by a kill; when no run is active here, remove it: rm {path}"
    targets: dict[int, list[str]] = {}
    for target, note in notes:
        targets.setdefault(note["pid"], []).append(Path(target).name)
    lines = []
    for pid, names in targets.items():
        busy = _some(names)
        if _may_be_at_work(pid, path):
            lines.append(
                f"process {pid} ({_describe(pid)}) works on {busy}: wait for it, or end it"
            )
        else:
            lines.append(f"process {pid} held {busy} and is gone; the next run releases it")
    return "\n".join(lines)


def _some(targets: list[str], shown: int = 3) -> str:
    """The first few targets (those being written come first), and how many more there are."""
    own = list(dict.fromkeys(targets))
    more = f" and {len(own) - shown} more" if len(own) > shown else ""
    return ", ".join(own[:shown]) + more


def _notes(record: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each path with who reads or writes it."""
    for target, note in record.get("write", {}).items():
        yield target, {"pid": int(note["pid"]), "cmd": str(note["cmd"])}
    for target, entries in record.get("read", {}).items():
        for note in entries:
            yield target, {"pid": int(note["pid"]), "cmd": str(note["cmd"])}


def _may_be_at_work(pid: int, record: Path) -> bool:
    """Whether a process of that number is alive and older than the record's last change."""
    try:
        return psutil.Process(pid).create_time() <= record.stat().st_mtime
    except (psutil.NoSuchProcess, FileNotFoundError):
        return False
    except psutil.AccessDenied:
        return True


def _drop_damaged(root: Path, path: Path) -> list[str]:
    """Remove an unreadable record unless another DVC works in this project."""
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            others = process.pid != os.getpid() and Path(process.cwd()).is_relative_to(root)
            if others and any("dvc" in word for word in process.cmdline()):
                return [f"{path} is damaged, and process {process.pid} works here: left as it is"]
    path.unlink(missing_ok=True)
    return [f"{path} was cut short by a kill and has been removed"]


def _describe(pid: int) -> str:
    try:
        process = psutil.Process(pid)
        since = datetime.fromtimestamp(process.create_time()).strftime("%d %b %H:%M")
        return f"`{' '.join(process.cmdline())[:80]}`, since {since}"
    except psutil.Error:
        return "unknown"
