"""How a stage itself says that it ended, whatever DVC made of it.

DVC answers 255 for every failure and dies of the signal that the stage survives long enough to save
its state, so the truth is in `runs/<stage>/<fingerprint>/exit.json`.
"""

import json
from pathlib import Path

_PATTERN = "*/exit.json"


class Ending:
    """Watch for what one attempt at a stage leaves behind."""

    def __init__(self, root: Path, stage: str):
        """Remember what earlier attempts left; call this before the attempt starts."""
        self._folder = root / "runs" / stage
        self._before = self._files()

    def status(self) -> int | None:
        """The status that this attempt left, or None: killed before it could say anything."""
        for path, written in self._files().items():
            if self._before.get(path) != written:
                try:
                    return int(json.loads(path.read_text(encoding="utf-8"))["status"])
                except (OSError, ValueError, KeyError, TypeError):
                    return None
        return None

    def _files(self) -> dict[Path, tuple[int, int]]:
        found = {}
        for path in self._folder.glob(_PATTERN):
            # the file is replaced, never written again: another i-node is another attempt
            state = path.stat()
            found[path] = (state.st_ino, state.st_mtime_ns)
        return found
