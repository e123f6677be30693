"""Make a deliberately wrong copy of a module, to see that the checks notice."""

from pathlib import Path
from types import ModuleType


def mutant(module: ModuleType, right: str, wrong: str) -> ModuleType:
    """A copy of `module` whose source has `wrong` where it has `right`."""
    source = Path(module.__file__).read_text()
    assert source.count(right) == 1, f"{right!r} is not found once in {module.__name__}"
    copy = ModuleType(module.__name__)
    exec(compile(source.replace(right, wrong), f"mutant of {module.__file__}", "exec"), vars(copy))
    return copy
