"""One training in several processes: those that a launcher started, or that the stage starts.

`torchrun` and `accelerate launch` start processes and tell each its rank. `YOLO_PROCESSES` makes
the stage itself start that many on this machine, so that `dvc repro` and the flow need no other
command.
"""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING

from yolo.errors import BUDGET_SPENT, PREEMPTED, Stopped, UserError
from yolo.runtime import settings as runtime
from yolo.training.trainer.stopping import LAUNCHER

if TYPE_CHECKING:
    from accelerate import PartialState

_RANK = "RANK"
_OTHER_LAUNCHERS = ("PMI_SIZE", "OMPI_COMM_WORLD_SIZE", "MV2_COMM_WORLD_SIZE")
_POLL_SECONDS = 0.1
_GRACE_SECONDS = 30.0
_WAIT = timedelta(hours=6)
"""How long a process waits for another, which may be validating."""


def spread(stage: str, main: Callable[[], None]) -> Callable[[], None]:
    """`main` itself, or what runs it in `YOLO_PROCESSES` processes as `python -m <stage>`."""

    def start() -> None:
        settings = runtime.from_environment()
        _refuse_half_a_launch()
        if settings.processes == 1 or _RANK in os.environ:
            main()
        else:
            _start(stage, settings)

    return start


def join(settings: runtime.Runtime) -> "PartialState":
    """Meet the other processes, if there are any."""
    from accelerate import PartialState

    from yolo.runtime.device import pick_device

    state = PartialState(cpu=pick_device(settings.device).type == "cpu", timeout=_WAIT)
    started = int(os.environ.get("WORLD_SIZE", "1"))
    if state.num_processes != started:
        raise UserError(
            f"{started} processes were started and Accelerate sees {state.num_processes}: "
            "they would all train the same thing"
        )
    return state


def _refuse_half_a_launch() -> None:
    """`accelerate launch --cpu --num_processes 2` starts one process and does not say so.

    It is known by the meeting point that it gives to several processes, without their ranks.
    """
    is_launched = "ACCELERATE_MIXED_PRECISION" in os.environ and "MASTER_ADDR" in os.environ
    if is_launched and not any(name in os.environ for name in (_RANK, *_OTHER_LAUNCHERS)):
        raise UserError(
            "accelerate launch was asked for several processes and has started one: on a CPU it "
            "needs MPI for more. Use `torchrun --nproc_per_node N -m stages.<stage>`, or set "
            "YOLO_PROCESSES=N"
        )


def _start(stage: str, settings: runtime.Runtime) -> None:
    """Run the stage in several processes; forward signals; end all when one fails."""
    count = settings.processes
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    common = os.environ | {
        "WORLD_SIZE": str(count),
        "LOCAL_WORLD_SIZE": str(count),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "YOLO_THREADS": str(_threads(settings)),
        LAUNCHER: str(os.getpid()),
    }
    children: list[subprocess.Popen[bytes]] = []
    told: list[int] = []

    def forward(number: int, _: object) -> None:
        told.append(number)
        for child in children:
            if child.poll() is None:
                child.send_signal(number)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, forward)
    for rank in range(count):
        own = common | {_RANK: str(rank), "LOCAL_RANK": str(rank)}
        children.append(subprocess.Popen([sys.executable, "-m", f"stages.{stage}"], env=own))
    statuses = _wait(children)
    for status in (PREEMPTED, BUDGET_SPENT):
        if status in statuses:
            # the main process has said why
            raise Stopped("", status)
    if told and any(status < 0 for status in statuses):
        raise Stopped(
            "told to stop before the training had begun; resume with the same command", PREEMPTED
        )
    if any(statuses):
        raise UserError(f"the processes of the training ended with {statuses}; see above for why")


def _wait(children: list[subprocess.Popen[bytes]]) -> list[int]:
    """Exit statuses; once one has failed the others have a while to end by themselves."""
    deadline = float("inf")
    while any(child.poll() is None for child in children):
        # a process that stopped as told may have to wait until the main one has sent the state
        failed = (child.poll() not in (None, 0, PREEMPTED, BUDGET_SPENT) for child in children)
        if deadline == float("inf") and any(failed):
            deadline = time.monotonic() + _GRACE_SECONDS
        if time.monotonic() > deadline:
            for child in children:
                child.kill()
        time.sleep(_POLL_SECONDS)
    return [child.returncode for child in children]


def _threads(settings: runtime.Runtime) -> int:
    """Threads of each process: those that were asked for, else an equal part of the cores."""
    if os.environ.get("YOLO_THREADS"):
        return settings.threads
    return max(1, settings.threads // settings.processes)
