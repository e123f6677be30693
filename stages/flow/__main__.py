"""`python -m stages.flow`: the flow as a command."""

import os
import sys
from pathlib import Path


def _set_up_prefect() -> None:
    """Our lines go to the terminal, Prefect's to its server's log, its data to `runs/`."""
    os.environ.setdefault("PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL", "CRITICAL")
    profiles = Path.home() / ".prefect" / "profiles.toml"
    if "PREFECT_HOME" not in os.environ and profiles.exists():
        # A server that the user has chosen counts, wherever the temporary one keeps its database.
        os.environ.setdefault("PREFECT_PROFILES_PATH", str(profiles))
    os.environ.setdefault("PREFECT_HOME", str(Path("runs/prefect").absolute()))
    Path(os.environ["PREFECT_HOME"]).mkdir(parents=True, exist_ok=True)


if __name__ == "__main__":
    # Prefect reads its settings when it is imported.
    _set_up_prefect()
    from stages.flow.flow import main

    sys.exit(main())
