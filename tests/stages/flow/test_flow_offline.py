"""The flow talks to its own server and to nobody else."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
# in every Python that the flow starts: who is called is written down, and refused unless loopback
GUARD = """
import os, socket
connect = socket.socket.connect
def guarded(self, address):
    host = address[0] if isinstance(address, tuple) else "local"
    if self.family in (socket.AF_INET, socket.AF_INET6) and host not in ("127.0.0.1", "::1"):
        with open(os.environ["CALLS"], "a") as calls:
            calls.write(f"{host}\\n")
        raise ConnectionRefusedError(f"{host} is refused")
    return connect(self, address)
socket.socket.connect = guarded
lookup = socket.getaddrinfo
def guarded_lookup(host, *rest, **more):
    if host not in (None, "localhost", "127.0.0.1", "::1", b"127.0.0.1", b"localhost", "0.0.0.0"):
        with open(os.environ["CALLS"], "a") as calls:
            calls.write(f"{host}\\n")
        raise socket.gaierror(f"{host} is refused")
    return lookup(host, *rest, **more)
socket.getaddrinfo = guarded_lookup
"""


@pytest.mark.parametrize(
    "configured", [True, pytest.param(False, marks=pytest.mark.slow)], ids=["server", "temporary"]
)
def test_nothing_leaves_the_machine(
    toy: Path,
    configured: bool,
    prefect_api: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    guard = tmp_path_factory.mktemp("guard")
    (guard / "sitecustomize.py").write_text(GUARD)
    calls = guard / "calls"
    calls.touch()
    kept = {
        name: value
        for name, value in os.environ.items()
        # those that a user would not have set
        if name not in ("DO_NOT_TRACK", "DVC_NO_ANALYTICS", "PREFECT_SERVER_ANALYTICS_ENABLED")
    }
    environment = {"PYTHONPATH": f"{guard}{os.pathsep}{ROOT}", "CALLS": str(calls)}
    environment |= {"PREFECT_API_URL": prefect_api} if configured else {}
    done = subprocess.run(
        [sys.executable, "-m", "stages.flow"],
        env=kept | environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert (toy / "join").read_text() == "1\n2\n"
    assert calls.read_text() == ""


def test_the_guard_refuses(tmp_path: Path) -> None:
    """Else the test above could not fail."""
    (tmp_path / "sitecustomize.py").write_text(GUARD)
    done = subprocess.run(
        [sys.executable, "-c", "import urllib.request as u; u.urlopen('http://a.invalid')"],
        env=os.environ | {"PYTHONPATH": str(tmp_path), "CALLS": str(tmp_path / "calls")},
        capture_output=True,
        text=True,
    )
    assert "a.invalid is refused" in done.stderr
    assert (tmp_path / "calls").read_text() == "a.invalid\n"
