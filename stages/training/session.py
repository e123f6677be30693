"""What the two training stages have in common: state, tracking and reports around the loop."""

import csv
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from stages.common.exit_status import FILE, write_ending
from stages.common.launch import join
from stages.training.fingerprint import contents, fingerprint, within
from yolo.errors import Stopped, UserError
from yolo.files import replacing, write_json, write_metrics
from yolo.params.base import View
from yolo.params.optimisation import Optimisation
from yolo.runtime import settings as runtime
from yolo.runtime.device import device_name, pick_device
from yolo.runtime.state_upload import shared_states
from yolo.training.monitoring.tracking import Tracker
from yolo.training.trainer.checkpoint import StateFolder, updates_of
from yolo.training.trainer.state import TrainResult
from yolo.training.trainer.stopping import note_signals
from yolo.training.trainer.task import Task
from yolo.training.trainer.trainer import Trainer

_REPORTS = Path("reports")


def train(
    stage: str,
    inputs: View,
    task: Task,
    optimisation: Optimisation,
    *,
    seed: int,
    validate_every: int,
    keep: str,
    made_of: Sequence[Path],
    save: Callable[..., None],
    headline: Sequence[str] = (),
) -> None:
    """Train; the main process loads the weights to keep into the network and lets `save` write it.

    `save` is given what the card of the weights says of their origin: `parameters`, and `data`, the
    sums of the files of `made_of`, which are among the `deps` of the stage. Then the training is
    finished. Killed at any moment, also in `save`, the same command goes on from the last saved
    state. How the stage ended stands in `exit.json` in the state's folder,
    `runs/<stage>/<fingerprint>/` (`YOLO_RUNS`).
    """
    note_signals()
    settings = runtime.from_environment()
    processes = join(settings)
    options: dict[str, Any] = {
        "seed": seed,
        "validate_every": validate_every,
        "runtime": settings,
    }
    if not processes.is_main_process:
        Trainer(task, optimisation, folder=None, tracker=None, **options).run(keep)
        return
    sums, parameters = contents(stage), inputs.model_dump(mode="json")
    folder = StateFolder(settings.runs / stage, fingerprint(inputs, sums))
    device = device_name(pick_device(settings.device))
    if processes.num_processes > 1:
        device = f"{processes.num_processes} x {device}"
    _note(folder.path, None, device)
    with shared_states(settings, stage, folder.state, updates_of) as shared:
        tracker = Tracker(folder.path, settings.tracking, stage, parameters)
        try:
            trainer = Trainer(task, optimisation, folder=folder, tracker=tracker, **options)
            result = trainer.run(keep)
            task.model.load_state_dict(result.weights, strict=False)
            save(parameters=parameters, data=within(sums, *made_of))
            write_reports(_REPORTS / stage, result.curves, result.batch, task.metric, headline)
            # Closing the tracker can take long. Killed then, the training still has its state.
            tracker.close()
            folder.finish()
            if shared is not None:
                shared.finish()
            _note(folder.path, 0, device)
        except (UserError, Stopped) as error:
            _note(folder.path, error.status if isinstance(error, Stopped) else 1, device)
            raise
        except OSError as error:
            _note(folder.path, 1, device)
            raise UserError(
                f"the results could not be written: {error}. When the disk is full, free some "
                "(`dvc gc --workspace`, older trainings in the folder of this one); then run the "
                "same command: it goes on from the last state"
            ) from None
        finally:
            tracker.close()
    print(_summary(stage, result, task, optimisation.batch, folder.path), file=sys.stderr)


def _note(folder: Path, status: int | None, device: str) -> None:
    try:
        write_ending(folder, status, device)
    except OSError as error:
        print(f"warning: {folder / FILE} could not be written: {error}", file=sys.stderr)


def _summary(stage: str, result: TrainResult, task: Task, batch: int, folder: Path) -> str:
    """Time, speed, the best moment, and where the files are."""
    kept = next(row for row in result.curves if row["batch"] == result.batch)
    speed = result.updates * batch / result.seconds
    return (
        f"{stage}: {result.updates} batches in {result.seconds:.0f} s, {speed:.1f} images/s, "
        f"validation included; kept is batch {result.batch}, "
        f"epoch {result.batch * batch / task.images:.1f}, {task.metric} {kept[task.metric]:.4f}; "
        f"curves: {_REPORTS / stage}, log: {folder}"
    )


def write_reports(
    folder: Path,
    curves: Sequence[Mapping[str, float]],
    batch: int,
    metric: str,
    headline: Sequence[str] = (),
) -> None:
    """Write the learning curves, and the numbers of the kept weights; those in `headline` are
    metrics for DVC, too.
    """
    kept = next(row for row in curves if row["batch"] == batch)
    write_json(folder / "details.json", _without_undefined(kept) | {"chosen_by": metric})
    if headline:
        write_metrics(folder / "metrics.json", {name: kept[name] for name in headline})
    with replacing(folder / "curves.csv") as temporary, temporary.open("w", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(curves[0]))
        writer.writeheader()
        writer.writerows(curves)


def _without_undefined(row: Mapping[str, float]) -> dict[str, float | str | None]:
    return {
        name: json.loads(f"{value:.6g}") if value == value else None for name, value in row.items()
    }
