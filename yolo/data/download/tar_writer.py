"""Write tar archives whose bytes depend on names and contents alone."""

import io
import tarfile
from collections.abc import Iterable
from pathlib import Path


def write_tar(path: Path, members: Iterable[tuple[str, bytes | Path]]) -> None:
    """Write `members` in the order given: no times, owners or modes of files.

    A member is its name and its content, or the file that holds the content.
    """
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT, encoding="utf-8") as tar:
        for name, content in members:
            info = tarfile.TarInfo(name)
            if isinstance(content, Path):
                with content.open("rb") as file:
                    info.size = content.stat().st_size
                    tar.addfile(info, file)
            else:
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))
            # tarfile would keep a kilobyte for each member
            tar.members = []  # type: ignore[attr-defined]
