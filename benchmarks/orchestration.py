"""What the flow costs when nothing is stale, against `dvc status`.

    PREFECT_API_URL=http://127.0.0.1:4200/api .venv/bin/python -m benchmarks.orchestration

Run in a project whose stages are up to date. With a server in `PREFECT_API_URL` the difference is
that of the flow; without one a server is started each time, which is shown apart.
"""

import argparse
import os
import re
import statistics
import subprocess
import sys
import time

GOAL = 5.0


def timed(command: list[str]) -> tuple[float, str]:
    started = time.monotonic()
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return time.monotonic() - started, done.stdout


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=5)
    repeats = parser.parse_args().repeats
    status, flow, server = [], [], []
    # side by side, so that another load of the machine meets both
    for _ in range(repeats):
        seconds, output = timed([sys.executable, "-m", "dvc", "status"])
        if "up to date" not in output:
            sys.exit("error: something is stale; `dvc repro` first")
        status.append(seconds)
        seconds, output = timed([sys.executable, "-m", "stages.flow"])
        started = re.search(r"server took ([\d.]+) s", output)
        server.append(float(started[1]) if started else 0.0)
        flow.append(seconds)
    base, whole, start = map(statistics.median, (status, flow, server))
    where = os.environ.get("PREFECT_API_URL") or "a temporary one"
    print(f"server: {where}; median of {repeats}")
    print(f"dvc status                  {base:6.2f} s")
    print(f"flow, nothing stale         {whole:6.2f} s")
    print(f"  of which server start     {start:6.2f} s")
    print(
        f"flow over dvc status        {whole - base - start:6.2f} s  (goal: at most {GOAL:.0f} s)"
    )


if __name__ == "__main__":
    main()
