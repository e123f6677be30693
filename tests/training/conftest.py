"""Fixtures of the tests of training."""

import pytest
from accelerate.state import AcceleratorState


@pytest.fixture(autouse=True)
def fresh_accelerator():
    """Accelerate keeps one state per process; each training here is a process of its own."""
    yield
    AcceleratorState._reset_state(reset_partial_state=True)
