"""Fixtures that every test may use."""

import os
from pathlib import Path

import pytest

# Telemetry and tracking stay off whatever a test starts.
os.environ.setdefault("YOLO_TRACKING", "disabled")
os.environ.setdefault("DO_NOT_TRACK", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")

ROOT = Path(__file__).resolve().parent.parent
FIXTURES = ROOT / "tests" / "fixtures"


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder of the real-image archives (`bccd.tar`, `voc-mini.tar`, ...)."""
    folder = os.environ.get("YOLO_REAL_DATA")
    if not folder:
        pytest.skip("set YOLO_REAL_DATA to the folder of real-image archives to run this test")
    return Path(folder)


@pytest.fixture(scope="session")
def original() -> Path:
    """Folder of numbers that the original program computed."""
    return FIXTURES
