"""Write tar archives whose bytes depend on names and contents alone."""

import io
import tarfile
from collections.abc import Iterable
from pathlib import Path


def write_tar(path: Path, members: Iterable[tuple[str, bytes]]) -> None:
    """Write `members` (name, content) in the order given: no times, owners or modes of files."""
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT, encoding="utf-8") as tar:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
            # tarfile would keep a kilobyte for each member
            tar.members = []  # type: ignore[attr-defined]
