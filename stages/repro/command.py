"""A command in its own process group: its output line by line, and its end with all it started."""

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

GRACE_SECONDS = 30.0
"""Time between SIGTERM and SIGKILL: a training writes its checkpoint at the next step."""
_SUPERVISOR = Path(__file__).with_name("supervisor.py")


class Process:
    """A running command under `stages.repro.supervisor`.

    The command ends at most `grace` seconds after this process, however this process ends.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        cwd: Path,
        env: Mapping[str, str],
        grace: float = GRACE_SECONDS,
    ):
        """Start `command` in `cwd` with exactly the environment `env`."""
        lifeline, self._hold = os.pipe()
        output, writer = os.pipe()
        self._output = os.fdopen(output, encoding="utf-8", errors="replace")
        self._lock = threading.Lock()
        # -I -S: nothing of the environment or of site-packages slows the start down
        supervisor = [sys.executable, "-I", "-S", str(_SUPERVISOR)]
        try:
            self._popen = subprocess.Popen(
                [*supervisor, str(lifeline), str(output), str(grace), *command],
                cwd=cwd,
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=writer,
                stderr=subprocess.STDOUT,
                pass_fds=[lifeline, output],
                start_new_session=True,
            )
        except BaseException:
            os.close(self._hold)
            self._output.close()
            raise
        finally:
            os.close(lifeline)
            os.close(writer)

    def lines(self) -> Iterator[str]:
        """Yield standard output and error, line by line, until nothing is alive to write more.

        A carriage return (a progress bar) ends a line as a line feed does.
        """
        with self._output:
            for line in self._output:
                yield line.rstrip()

    def end(self) -> None:
        """Ask the command and all that it started to end; returns at once."""
        with self._lock:
            if self._hold >= 0:
                os.close(self._hold)
                self._hold = -1

    def wait(self) -> int:
        """Wait until all of it has ended; return the exit status (128 + N for signal N)."""
        code = self._popen.wait()
        self.end()
        return code


class Running:
    """The commands that are running now; ending them all keeps new ones from starting."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._processes: set[Process] = set()
        self._closed = threading.Event()

    def run(
        self,
        command: Sequence[str],
        *,
        cwd: Path,
        env: Mapping[str, str],
        on_line: Callable[[str], None],
        time_out: float | None = None,
    ) -> int:
        """Run to the end, handing each line of output to `on_line`; return the exit status.

        Raises:
            InterruptedError: All is being ended.
            TimeoutError: It failed to end within `time_out` seconds and has been ended.
        """
        with self._lock:
            if self.ending:
                raise InterruptedError("all is being ended; nothing new is started")
            process = Process(command, cwd=cwd, env=env)
            self._processes.add(process)
        late = threading.Event()

        def end_late() -> None:
            late.set()
            process.end()

        timer = threading.Timer(time_out, end_late) if time_out is not None else None
        try:
            if timer:
                timer.daemon = True
                timer.start()
            for line in process.lines():
                on_line(line)
            code = process.wait()
            if late.is_set() and code:
                raise TimeoutError(f"not done after {time_out:g} s")
            return code
        finally:
            if timer:
                timer.cancel()
            process.end()
            process.wait()
            with self._lock:
                self._processes.discard(process)

    @property
    def ending(self) -> bool:
        """Whether all is being ended."""
        return self._closed.is_set()

    def pause(self, seconds: float) -> None:
        """Wait; raise `InterruptedError` at once when all is being ended."""
        if self._closed.wait(seconds):
            raise InterruptedError("all is being ended; nothing new is started")

    def end_all(self) -> None:
        """End every running command, wait for the last of them, and start no more."""
        with self._lock:
            self._closed.set()
            processes = list(self._processes)
        for process in processes:
            process.end()
        for process in processes:
            process.wait()
