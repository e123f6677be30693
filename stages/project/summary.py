"""The last lines of `make repro`: the headline numbers and the path of the report."""

import json
from pathlib import Path
from typing import Any

from stages.common.entry import run
from stages.registry.versions import percent
from yolo.errors import UserError

REPORTS = Path("reports")


def summary(reports: Path = REPORTS) -> str:
    """Format the numbers of the last evaluation and pre-training.

    Raises `UserError` if the pipeline has not run.
    """
    found = _read(reports / "evaluate" / "details.json")
    trained = _read(reports / "pretrain" / "details.json")
    interval = found["interval_95"]["voc07_map"]
    bounds = f" (95 %: {percent(interval['low'])} to {percent(interval['high'])})"
    return "\n".join(
        [
            f"VOC07 mAP {percent(found['voc07_map'])}{bounds}, "
            f"VOC10+ mAP {percent(found['voc_map'])}: "
            f"{found['images']} test images, {found['objects']} objects",
            f"pre-training top-1 {percent(trained['top1'])}",
            f"report: {(reports / 'evaluate' / 'report.html').absolute()}",
        ]
    )


def _read(path: Path) -> dict[str, Any]:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path} does not exist; `make repro` runs the pipeline") from None


def main() -> None:
    """Print the summary."""
    print(summary())


if __name__ == "__main__":
    run(main)
