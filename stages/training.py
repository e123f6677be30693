"""What the two training stages have in common: state, tracking and reports around the loop."""

import csv
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from stages.fingerprint import fingerprint
from yolo import runtime
from yolo.errors import Stopped
from yolo.files import digest, replacing, write_json
from yolo.params.document import View
from yolo.params.optimisation import Optimisation
from yolo.training.checkpoint import StateFolder
from yolo.training.loop import Result, Task, Training
from yolo.training.tracking import Tracker

_RUNS = Path("runs")
REPORTS = Path("reports")
_EXIT = "exit.json"


@contextmanager
def trained(
    stage: str,
    inputs: View,
    task: Task,
    optimisation: Optimisation,
    *,
    seed: int,
    validate_every: int,
    keep: str,
) -> Iterator[Result]:
    """Train and yield the result; when the block has written it, the training is finished.

    Killed at any moment, also in the block, the same command goes on from the last saved state.
    How the stage ended stands in `runs/<stage>/<fingerprint>/exit.json`.
    """
    settings = runtime.from_environment()
    folder = StateFolder(_RUNS / stage, fingerprint(stage, inputs))
    ending = folder.path / _EXIT
    ending.unlink(missing_ok=True)
    tracker = Tracker(folder.path, settings.tracking, stage, inputs.model_dump(mode="json"))
    try:
        training = Training(
            task,
            optimisation,
            seed=seed,
            validate_every=validate_every,
            folder=folder,
            runtime=settings,
            tracker=tracker,
        )
        result = training.run(keep)
        yield result
        write_reports(REPORTS / stage, result, task.metric)
        folder.finish()
        write_json(ending, {"status": 0, "process": os.getpid()})
    except Stopped as stopped:
        write_json(ending, {"status": stopped.status, "process": os.getpid()})
        raise
    finally:
        tracker.close()


def hashes(*paths: Path) -> dict[str, str]:
    """SHA-256 of files and of the files in folders: what the weights were made from."""
    files = [
        file for path in paths for file in (sorted(path.iterdir()) if path.is_dir() else [path])
    ]
    return {file.as_posix(): digest(file) for file in files}


def write_reports(folder: Path, result: Result, metric: str) -> None:
    """The learning curves for `dvc plots` and the numbers of the kept weights for `dvc metrics`."""
    kept = next(row for row in result.curves if row["batch"] == result.batch)
    write_json(folder / "metrics.json", _without_undefined(kept) | {"chosen_by": metric})
    with replacing(folder / "curves.csv") as temporary, temporary.open("w", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(result.curves[0]))
        writer.writeheader()
        writer.writerows(result.curves)


def _without_undefined(row: dict[str, float]) -> dict[str, float | str | None]:
    return {
        name: json.loads(f"{value:.6g}") if value == value else None for name, value in row.items()
    }
