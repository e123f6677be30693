"""Job templates of work pools: Prefect's default of a type, with our values laid over it.

    python -m stages.flow.job_template TYPE OUT

writes the template of `cloud/TYPE.json` for `prefect work-pool create --base-job-template OUT`.
"""

import json
import sys
from importlib import resources
from pathlib import Path
from typing import Any

from stages.common.entry import run
from yolo.errors import UserError
from yolo.files import replacing

CLOUD = Path(__file__).resolve().parents[2] / "cloud"


def default_template(kind: str) -> dict[str, Any]:
    """The base job template that the installed Prefect has for a type of work pool.

    Raises `UserError` for a type that it does not know.
    """
    # the server's API would ask Prefect's registry on the Internet first
    data = resources.files("prefect.server.api") / "collections_data/views"
    text = (data / "aggregate-worker-metadata.json").read_text(encoding="utf-8")
    workers = {name: one for group in json.loads(text).values() for name, one in group.items()}
    if kind not in workers:
        raise UserError(f"Prefect knows no work pool type {kind!r}, only {', '.join(workers)}")
    return workers[kind]["default_base_job_configuration"]


def overlay(base: Any, ours: Any) -> Any:
    """Lay `ours` over `base`: objects key by key, lists item by item, anything else replaces."""
    if isinstance(base, dict) and isinstance(ours, dict):
        return base | {key: overlay(base.get(key), value) for key, value in ours.items()}
    if isinstance(base, list) and isinstance(ours, list):
        both = [overlay(*pair) for pair in zip(base, ours, strict=False)]
        return [*both, *base[len(both) :], *ours[len(both) :]]
    return ours


def job_template(kind: str) -> dict[str, Any]:
    """The template of the pool `gpu-KIND`."""
    ours = json.loads((CLOUD / f"{kind}.json").read_text(encoding="utf-8"))
    return overlay(default_template(kind), ours)


def main() -> None:
    """Write one template."""
    kind, out = sys.argv[1:]
    with replacing(Path(out)) as temporary:
        temporary.write_text(json.dumps(job_template(kind), indent=2), encoding="utf-8")


if __name__ == "__main__":
    run(main)
