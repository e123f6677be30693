"""A Prefect server for one flow run, when the user has configured none.

    python -m stages.flow.server

waits until the configured server answers; `prefect server start --background` returns earlier.
"""

import os
import socket
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

from stages.common.entry import run
from stages.repro.command import Process
from yolo.errors import UserError

_START_SECONDS = 120.0


class TemporaryServer:
    """A server on a free port of 127.0.0.1 with its database in `home`.

    Prefect's own temporary server would survive a killed flow.
    """

    def __init__(self, home: Path):
        """Start the process and return at once."""
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        home.mkdir(parents=True, exist_ok=True)
        self.url = f"http://127.0.0.1:{port}/api"
        command = [sys.executable, "-m", "uvicorn", "--factory", "--log-level", "error"]
        command += ["--host", "127.0.0.1", "--port", str(port)]
        environment = os.environ | {"PREFECT_HOME": str(home), "PREFECT_UI_ENABLED": "0"}
        # Prefect's own temporary server leaves out its periodic services by these
        environment |= {"PREFECT__SERVER_EPHEMERAL": "1", "PREFECT__SERVER_FINAL": "1"}
        self._process = Process(
            [*command, "prefect.server.api.server:create_app"],
            cwd=home,
            env=environment,
            grace=5.0,
        )
        self._output: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def wait(self) -> None:
        """Return when it answers; raise `UserError` with its last words when it does not."""
        if _until_it_answers(self.url, self._reader.is_alive):
            return
        words = "\n".join(self._output[-20:]) or f"no answer in {_START_SECONDS:.0f} s"
        raise UserError(f"the temporary Prefect server did not start: {words}")

    def end(self) -> None:
        """End the server and wait for it."""
        self._process.end()
        self._process.wait()

    def _read(self) -> None:
        for line in self._process.lines():
            self._output.append(line)


def _until_it_answers(url: str, may_still: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline and may_still():
        try:
            with urllib.request.urlopen(f"{url}/health", timeout=5):
                return True
        except urllib.error.HTTPError:
            # it wants a key, which Prefect's own client will show it
            return True
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)
    return False


def main() -> None:
    """Wait for the configured server."""
    from prefect.settings import PREFECT_API_URL

    url = PREFECT_API_URL.value()
    if url is None:
        raise UserError(
            "no Prefect server is set: export PREFECT_API_URL=http://127.0.0.1:4200/api (or your "
            "team's), and start one there with `prefect server start --background`"
        )
    if not _until_it_answers(url, lambda: True):
        raise UserError(f"the Prefect server {url} does not answer")


if __name__ == "__main__":
    run(main)
