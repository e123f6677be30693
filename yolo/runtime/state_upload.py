"""Sends the newest state of a training to a store while the training runs, and fetches it back."""

import json
import os
import secrets
import shutil
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from yolo.files import write_json
from yolo.runtime.settings import Runtime
from yolo.runtime.state_store import LEASE_SECONDS, StateStore, said

_OWNER = "owner.json"


class StateUploader:
    """Uploads `state` whenever it is new and an upload is due, in threads of its own.

    The training never waits for it. A failure is told once, and the upload is tried again.
    """

    def __init__(
        self,
        store: StateStore,
        state: Path,
        updates_of: Callable[[Path], int],
        *,
        every: float,
        is_sent: bool = False,
        lease: float = LEASE_SECONDS,
    ) -> None:
        """`updates_of`: number of updates done in a state file; `every`: seconds between the starts
        of two uploads; `is_sent`: the store holds the present state.
        """
        self._store, self._state, self._updates_of = store, state, updates_of
        self._every, self._tick = every, lease / 4
        self._sending = state.with_name(f".{state.name}.{os.getpid()}.upload.tmp")
        self._sent = _identity(state) if is_sent else None
        self._started = time.monotonic()
        self._is_away = self._is_lost = False
        self._closing, self._saying = threading.Event(), threading.Lock()
        self._threads = [
            threading.Thread(target=self._repeat, args=(step,), daemon=True)
            for step in (self._renew, self._upload_if_due)
        ]
        self._try("old trainings could not be removed", store.remove_old_trainings)
        for thread in self._threads:
            thread.start()

    def finish(self) -> None:
        """The training is finished: end the uploads and remove its states from the store."""
        self._end_threads()
        self._sent = _identity(self._state)
        if not self._is_lost:
            problem = "the states of the finished training could not be removed"
            self._try(problem, self._store.remove_states)

    def close(self) -> None:
        """Upload the last state if it is not there yet, and give the claim up."""
        self._end_threads()
        if self._is_lost:
            return
        if self._upload():
            self._try("the claim could not be given up", self._store.release)

    def _end_threads(self) -> None:
        self._closing.set()
        for thread in self._threads:
            thread.join()

    def _repeat(self, step: Callable[[], None]) -> None:
        while not self._closing.wait(self._tick):
            step()

    def _renew(self) -> None:
        if self._is_lost:
            return
        try:
            self._is_lost = not self._store.renew()
        except Exception as error:  # backends raise whatever their libraries do
            self._say_away(error)
            return
        if self._is_lost:
            _say(
                f"another machine has taken this training over in {self._store.shown}, because "
                "this one did not renew its claim; it goes on without uploads"
            )

    def _upload_if_due(self) -> None:
        if self._is_away or time.monotonic() - self._started >= self._every:
            self._upload()

    def _upload(self) -> bool:
        """Upload the state unless it was sent already; whether it is there now."""
        newest = _identity(self._state)
        if self._is_lost or newest == self._sent or newest is None:
            return not self._is_lost
        self._started = time.monotonic()
        try:
            # the training may replace its state meanwhile; this is the same file under another name
            self._sending.unlink(missing_ok=True)
            try:
                os.link(self._state, self._sending)
            except OSError:
                shutil.copyfile(self._state, self._sending)
            updates = self._updates_of(self._sending)
            self._store.upload(self._sending, updates)
        except Exception as error:  # backends raise whatever their libraries do
            self._say_away(error)
            return False
        finally:
            self._sending.unlink(missing_ok=True)
        self._sent = newest
        if self._is_away:
            self._is_away = False
            _say(f"{self._store.shown} answers again; it holds the state of batch {updates}")
        return True

    def _say_away(self, error: Exception) -> None:
        with self._saying:
            if self._is_away:
                return
            self._is_away = True
        _say(
            f"warning: the state could not be sent to {self._store.shown} ({said(error)}); the "
            f"training goes on, its state is kept in {self._state.parent}, and sending is tried "
            f"again every {self._tick:g} s"
        )

    def _try(self, problem: str, step: Callable[[], None]) -> None:
        try:
            step()
        except Exception as error:  # backends raise whatever their libraries do
            _say(f"warning: {problem} ({self._store.shown}: {said(error)})")


@contextmanager
def shared_states(
    settings: Runtime, stage: str, state: Path, updates_of: Callable[[Path], int]
) -> Iterator[StateUploader | None]:
    """Keep the state at `state` in the store of `YOLO_RUNS` too, if that is an address.

    Before the block this machine claims the training, and `state` becomes the newest whole state if
    the store holds a newer one. In the block new states are uploaded; after it, the last one.

    Args:
        settings: The runtime settings.
        stage: Name of the training's stage.
        state: The state file, in a folder named by the training's fingerprint.
        updates_of: Number of updates done in a state file.

    Raises:
        UserError: The store cannot be used, or another machine runs the training.
    """
    if settings.states is None:
        yield None
        return
    folder = state.parent
    store = StateStore(settings.states, f"{stage}/{folder.name}", _owner(folder))
    store.claim()
    fetched = store.fetch_newest(state, updates_of(state) if state.exists() else 0)
    if fetched is not None:
        _say(f"took the state of batch {fetched} from {store.shown}")
    uploader = StateUploader(
        store,
        state,
        updates_of,
        every=60 * settings.upload_minutes,
        is_sent=fetched is not None,
    )
    try:
        yield uploader
    finally:
        uploader.close()


def _owner(folder: Path) -> str:
    """A number for this machine's folder. After a kill, the same folder keeps its claim."""
    path, host = folder / _OWNER, socket.gethostname()
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        if found["host"] == host:
            return str(found["owner"])
    except (OSError, ValueError, KeyError, TypeError):
        pass
    owner = secrets.token_hex(4)
    write_json(path, {"host": host, "owner": owner})
    return owner


def _identity(path: Path) -> tuple[int, int] | None:
    """Identity of the file: each new state is another file."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_ino, found.st_mtime_ns


def _say(text: str) -> None:
    print(text, file=sys.stderr)
