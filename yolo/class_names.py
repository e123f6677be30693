"""What a class may be called: its name becomes part of file names, tables and pages."""

from collections.abc import Iterable

LONGEST = 200


def problem_with(names: Iterable[object]) -> str | None:
    """Why these cannot be the names of classes, in words; None when they can."""
    seen: set[str] = set()
    for name in names:
        if not isinstance(name, str) or not name.strip():
            return f"a class is called {name!r}"
        if len(name) > LONGEST:
            return f"the name of the class {name[:40]!r}… is longer than {LONGEST} letters"
        # the file system's separators, and what shows as something else on a terminal
        if set(name) & {"/", "\\"} or not name.isprintable():
            return f"the class {name!r} cannot be part of a file's name"
        if name in seen:
            return f"two classes are called {name!r}"
        seen.add(name)
    return None
