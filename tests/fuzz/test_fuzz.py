"""Damaged files of every kind are read or refused in words: no traceback, no hang, no bomb."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

FEW = 25
MANY = int(os.environ.get("FUZZ_CASES", "10000"))
DATA = (
    *("xml", "coco", "yolo_yaml", "txt", "csv", "imagenet_kit", "detections", "tar", "tar_gz"),
    *("zip", "parquet", "image", "params", "descriptor"),
)
NETWORKS = ("safetensors", "onnx", "darknet_cfg", "darknet_weights", "upload")
READERS = [f"fuzz_data.{name}" for name in DATA] + [f"fuzz_networks.{name}" for name in NETWORKS]
MOST_PROBLEMS = 20
TESTS = Path(__file__).resolve().parents[1]


def problems(names: list[str], count: int, folder: Path) -> list[str]:
    """What went wrong; a process that dies is started again behind the case that ended it."""
    for name in ("tmp", "work"):
        (folder / name).mkdir()
    found: list[str] = []
    first = 0
    while names and len(found) < MOST_PROBLEMS:
        starts = [f"{names[0]}={first}", *(f"{name}=0" for name in names[1:])]
        done = run(count, folder, starts)
        found += map(json.loads, done.stdout.splitlines())
        if done.returncode == 0:
            break
        assert (folder / "case").exists(), done.stderr[-3000:]
        name, case = (folder / "case").read_text().split("=")
        found.append(f"{name} {case}: ended with {done.returncode}: {done.stderr[-300:]}")
        names, first = names[names.index(name) :], int(case) + 1
    return found


def run(count: int, folder: Path, starts: list[str]) -> subprocess.CompletedProcess[str]:
    script = Path(__file__).with_name("fuzz_child.py")
    environment = {
        "PYTHONPATH": str(TESTS),
        "TMPDIR": str(folder / "tmp"),
        "YOLO_THREADS": "1",
        "OPENCV_LOG_LEVEL": "OFF",
    }
    return subprocess.run(
        [sys.executable, script, str(count), folder, *starts],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **environment},
    )


@pytest.mark.parametrize("module", ["fuzz_data", "fuzz_networks"])
def test_damaged_files_are_read_or_refused(module: str, tmp_path: Path) -> None:
    names = [name for name in READERS if name.startswith(module)]
    assert problems(names, FEW, tmp_path) == []


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("name", READERS)
def test_many_damaged_files_are_read_or_refused(name: str, tmp_path: Path) -> None:
    assert problems([name], MANY, tmp_path) == []
