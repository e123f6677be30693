"""Parameters for one run: `KEY=VALUE` written into `params.yaml`."""

from collections.abc import Iterator, Sequence
from contextlib import chdir, contextmanager
from pathlib import Path

from yolo.errors import UserError


def apply_overrides(root: Path, overrides: Sequence[str]) -> None:
    """Write `KEY=VALUE` (as `dvc exp run -S` takes it, also `FILE:KEY=VALUE`) into `params.yaml`.

    Raises `UserError` for a key that is not there, and for a sweep over several values.
    """
    from dvc.exceptions import DvcException
    from dvc.utils.cli_parse import to_path_overrides
    from dvc.utils.hydra import apply_overrides as write
    from dvc.utils.hydra import to_hydra_overrides

    with chdir(root):
        try:
            for path, entries in to_path_overrides(overrides).items():
                if any(entry.is_sweep_override() for entry in to_hydra_overrides(entries)):
                    raise UserError(f"{', '.join(entries)}: one run takes one value for a key")
                write(path, entries)
        except (DvcException, FileNotFoundError) as error:
            cause = error.__cause__ or error
            given = ", ".join(overrides)
            raise UserError(f"cannot set {given}: {str(cause).splitlines()[0]}") from None


@contextmanager
def with_overrides(root: Path, overrides: Sequence[str], *, keep: bool = False) -> Iterator[None]:
    """Apply overrides inside the block; with `keep` also after it, unless the block fails."""
    path = root / "params.yaml"
    before = path.read_bytes() if overrides else b""
    is_kept = False
    try:
        if overrides:
            apply_overrides(root, overrides)
        yield
        is_kept = keep
    finally:
        if overrides and not is_kept:
            path.write_bytes(before)
