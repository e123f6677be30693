"""Run one command and end everything that it started when the starter is gone.

`stages.repro.command` runs this as a script, with the standard library alone so that it starts in
milliseconds: `python supervisor.py LIFELINE OUTPUT GRACE COMMAND...`. LIFELINE and OUTPUT are
inherited descriptors.

LIFELINE is the reading end of a pipe; only the starter holds the other end. However the starter
ends, SIGKILL included, the pipe closes, and the command is ended. A death signal (prctl) is not
enough: it depends on the *thread* that forked, and it reaches the command alone. DVC killed alone
leaves its trainer running.

OUTPUT is the reading end of the command's output. It stays open here because the starter may be
gone: otherwise a trainer that prints a line would die of a broken pipe before it saves its state.

The exit status is the command's, 128 + N when signal N killed it. It is given when nothing that the
command started is alive, so a stage that is started again meets no survivor.
"""

import contextlib
import ctypes
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

_PR_SET_CHILD_SUBREAPER = 36
_POLL_SECONDS = 0.05
_AGAIN_SECONDS = 1.0


def main() -> None:
    """Start the command, wait for its end or the starter's, end what is left."""
    lifeline, output, grace = int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
    command, starter = sys.argv[4:], os.getppid()
    _adopt_orphans()
    wake, waker = os.pipe()
    os.set_blocking(waker, False)
    signal.set_wakeup_fd(waker)
    for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: None)
    try:
        child = subprocess.Popen(command, process_group=0, stdin=subprocess.DEVNULL)
    except OSError as error:
        sys.exit(f"cannot start {command[0]}: {error.strerror}")
    _wait(child, lifeline, wake)
    _end(child, grace, lambda: _discard(output) if os.getppid() != starter else None)
    sys.exit(child.returncode if child.returncode >= 0 else 128 - child.returncode)


def _wait(child: subprocess.Popen[bytes], lifeline: int, wake: int) -> None:
    """Return when the child has ended, the starter has let go, or this process shall end."""
    while child.poll() is None:
        readable, _, _ = select.select([lifeline, wake], [], [])
        if lifeline in readable:
            return
        if set(os.read(wake, 64)) & {signal.SIGTERM, signal.SIGINT, signal.SIGHUP}:
            return


def _end(child: subprocess.Popen[bytes], grace: float, drain: Callable[[], None]) -> None:
    """Ask all that the command started to end; kill what is left after `grace` seconds."""
    for number, seconds in ((signal.SIGTERM, grace), (signal.SIGKILL, 10.0)):
        deadline = time.monotonic() + seconds
        asked: dict[int, float] = {}
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(child.pid, number)
        while _alive(child) and time.monotonic() < deadline:
            # Descendants become our children when their parents are gone. The signal is repeated,
            # because a child that a shell has just forked still has the shell's trap and may lose
            # it.
            for pid in set(_children()) - {child.pid}:
                if time.monotonic() >= asked.get(pid, 0.0) + _AGAIN_SECONDS:
                    asked[pid] = time.monotonic()
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, number)
            drain()
            time.sleep(_POLL_SECONDS)


def _discard(output: int) -> None:
    """Read the output that nobody else will read."""
    while select.select([output], [], [], 0)[0] and os.read(output, 1 << 16):
        pass


def _alive(child: subprocess.Popen[bytes]) -> bool:
    child.poll()
    for pid in _children():
        if pid != child.pid:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, os.WNOHANG)
    if _children():
        return True
    try:
        os.killpg(child.pid, 0)
    except (ProcessLookupError, PermissionError):
        return False
    return True


def _children() -> list[int]:
    """Process ids of this process's children (Linux; elsewhere the group alone is watched)."""
    pid = os.getpid()
    try:
        return [int(n) for n in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def _adopt_orphans() -> None:
    """Become the parent of descendants whose parents die, so that they can be ended and reaped."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


if __name__ == "__main__":
    main()
