"""What it costs a training to keep its newest state at an S3 address (`YOLO_RUNS=s3://…`).

    .venv/bin/python -m benchmarks.uploads [--mib 8 128] [--rounds 5]

An upload runs in a thread beside the training, at most every `YOLO_UPLOAD_MINUTES`. It can slow the
training down by the processor time that it takes: hashing the file, and sending it. So this
measures the processor time of this process for one upload (the median of `--rounds`, each size in
turn) to an S3 server in another process on loopback, and divides it by the time between two
uploads. Waiting for the network takes no processor time. Other programs on the machine hardly
change processor time, which is why it is used and not the clock.

`--mib`: sizes of states. `yolov1 inspect model` shows a network's parameters; a state holds each
one twice (weight and momentum), three times with a moving average, in 4 bytes.
"""

import argparse
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import requests

from yolo.runtime.settings import Runtime
from yolo.runtime.state_store import StateStore

BUCKET = "states"
MIB = 1 << 20


@contextmanager
def s3_server() -> Iterator[str]:
    """An S3 server in a process of its own, with an empty bucket; yields its address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    program = Path(sys.executable).with_name("moto_server")
    address = f"http://127.0.0.1:{port}"
    server = subprocess.Popen(
        [program, "-H", "127.0.0.1", "-p", port],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        deadline = time.monotonic() + 120
        while True:
            try:
                requests.put(f"{address}/{BUCKET}", timeout=60)
                break
            except requests.ConnectionError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.2)
        yield address
    finally:
        server.terminate()
        server.wait()


def main() -> None:
    """Print a row for each size."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mib", type=int, nargs="+", default=[8, 128])
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    between = 60 * Runtime().upload_minutes
    taken: dict[int, list[float]] = {size: [] for size in options.mib}
    with tempfile.TemporaryDirectory() as folder, s3_server() as address:
        os.environ |= {
            "AWS_ENDPOINT_URL": address,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_DEFAULT_REGION": "us-east-1",
        }
        store = StateStore(f"s3://{BUCKET}", "benchmark/0", "0")
        for number in range(options.rounds + 1):
            for size in options.mib:
                state = Path(folder) / "state.pt"
                with state.open("wb") as file:
                    for _ in range(size):
                        file.write(os.urandom(MIB))
                begun = time.process_time()
                store.upload(state, number)
                if number:  # the first round connects
                    taken[size].append(time.process_time() - begun)
    print(f"{'state':>10}  {'processor time':>14}  share of {between:.0f} s   spread")
    for size, seconds in taken.items():
        median = statistics.median(seconds)
        print(
            f"{size:>6} MiB  {median:>12.2f} s  {median / between:>14.3%}   "
            f"{min(seconds):.2f} to {max(seconds):.2f} s, n = {len(seconds)}"
        )


if __name__ == "__main__":
    main()
