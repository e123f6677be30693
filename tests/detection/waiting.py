"""Notice operations for which the host would wait for the device."""

from collections.abc import Callable

from torch.autograd.profiler import profile

# reading a value, and results whose shape depends on values, such as those of masks
_WAITS = {"_local_scalar_dense", "nonzero", "masked_select", "equal", "is_nonzero", "_unique2"}


def waits(run: Callable[[], object]) -> set[str]:
    """Names of the operations in `run` that wait; fails when it runs none at all."""
    with profile() as recorded:
        run()
    operations = {event.name.removeprefix("aten::") for event in recorded.function_events}
    assert operations
    return operations & _WAITS
