"""What the process does with memory that it has freed."""

import platform
import resource

import numpy as np
import pytest

from yolo.runtime.malloc import keep_freed


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc is told to keep memory")
def test_memory_that_was_freed_is_used_again_without_a_page_fault() -> None:
    def faults_of_an_update() -> int:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        np.ones(100_000_000, np.uint8)
        return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

    keep_freed()
    faults_of_an_update()
    # more than the 32 MB up to which glibc would learn to keep it by itself
    assert faults_of_an_update() == 0
