"""Stop this run when it is cancelled on the Prefect server, even without a worker to relay it.

Only a living worker passes a cancellation on. A run from the command line has none, and a worker
may have been killed. Such a run would train on, so it asks the server.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.runtime import flow_run

from stages.repro.command import Running

_SECONDS = 5.0


class Watch:
    """Knows whether the run has been cancelled on the server, or declared dead there."""

    def __init__(self) -> None:
        self._seen, self._done = threading.Event(), threading.Event()

    @property
    def cancelled(self) -> bool:
        """True once the server says so."""
        return self._seen.is_set()

    def _look(self, client: SyncPrefectClient, run_id: UUID, running: Running) -> None:
        while not self._done.wait(_SECONDS):
            try:
                state = client.read_flow_run(run_id).state
            except Exception:
                # a server that does not answer says nothing about the run
                continue
            if state and (state.is_cancelling() or state.is_final()):
                self._seen.set()
                running.end_all()
                return

    @contextmanager
    def over(self, running: Running) -> Iterator[None]:
        """End all that `running` runs when the current flow run is cancelled in the block."""
        # made here, because Prefect keeps the server's address in this thread's context
        with get_client(sync_client=True) as client:
            arguments = client, UUID(str(flow_run.id)), running
            threading.Thread(target=self._look, args=arguments, daemon=True).start()
            try:
                yield
            finally:
                # not waited for: it may be asking a server that hangs
                self._done.set()
