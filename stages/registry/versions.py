"""The released models of a project: the Git tags `NAME@vX.Y.Z` and the files of their commits."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from stages.repro.git import git, read_at
from yolo.errors import UserError
from yolo.versions import standing

SCORES = {
    "detector": ("reports/evaluate/details.json", "voc07_map"),
    "backbone": ("reports/pretrain/details.json", "top1"),
    "classifier": ("reports/pretrain/details.json", "top1"),
}
"""Kind of a weights file → the file that says how good it is, and the number there."""
DATA = {"detector": "data/clean/detection", "backbone": "data/clean/classification"}
"""Artifact of `dvc.yaml` → the data that it was trained on."""
STAGES_OF_RELEASE = {
    "detector": ("detect_train", "evaluate", "validate@detection"),
    "backbone": ("extract_backbone",),
}
"""Artifact → the stages whose outs a release pushes: weights, evaluation, clean data. With these,
`dvc repro --pull --allow-missing evaluate` runs on any machine."""


@dataclass(frozen=True)
class Released:
    """One version of a model."""

    model: str
    version: str
    """`v1.2.0`."""
    date: str
    """Day of the release."""
    commit: str
    metric: str
    """`voc07_map` of a detector, `top1` of the classifier that a backbone was cut from."""
    score: float | None
    interval: tuple[float, float] | None
    """95 % interval of the score; a detector's alone."""
    data: str
    """Title or path of the data set."""
    data_hash: str | None
    """MD5 of the clean data in `dvc.lock`."""
    weights_hash: str | None
    """MD5 of the weights file in `dvc.lock`."""

    @property
    def tag(self) -> str:
        """Name of the Git tag."""
        return f"{self.model}@{self.version}"


def released(root: Path = Path(), model: str | None = None) -> list[Released]:
    """The versions of one model or of all, each model's in ascending order."""
    tags = git("tag", "--list", f"{model or '*'}@v*", root=root).split()
    return [_describe(root, tag) for tag in standing(tags)]


def artifact_paths(root: Path = Path()) -> dict[str, str]:
    """Name → path of the models that `dvc.yaml` declares."""
    document = YAML(typ="safe", pure=True).load(root / "dvc.yaml")
    return {name: entry["path"] for name, entry in document.get("artifacts", {}).items()}


def data_source(params: dict[str, Any], data: str) -> str:
    """`data.<set>.source` of the set that lies under `data`."""
    return str(params["data"][Path(data).name]["source"])


def _describe(root: Path, tag: str) -> Released:
    model, _, version = tag.partition("@")
    commit = git("rev-parse", f"{tag}^{{commit}}", root=root)
    date = git("for-each-ref", "--format=%(creatordate:short)", f"refs/tags/{tag}", root=root)
    file, metric = SCORES.get(model, ("", ""))
    metrics = json.loads(read_at(commit, file, root) or "{}") if file else {}
    hashes = out_hashes(read_at(commit, "dvc.lock", root) or "")
    paths = YAML(typ="safe", pure=True).load(read_at(commit, "dvc.yaml", root) or "{}")
    weights = paths.get("artifacts", {}).get(model, {}).get("path", "")
    data = DATA.get(model, "")
    return Released(
        model=model,
        version=version,
        date=date,
        commit=commit,
        metric=metric,
        score=metrics.get(metric),
        interval=interval_of(metrics, metric),
        data=_data_title(root, commit, data) if data else "",
        data_hash=hashes.get(data),
        weights_hash=hashes.get(weights),
    )


def interval_of(details: Mapping[str, Any], metric: str) -> tuple[float, float] | None:
    """The 95 % interval of a number in `details.json`, if it has one with two ends."""
    bounds = details.get("interval_95", {}).get(metric)
    if not bounds or None in (bounds["low"], bounds["high"]):
        return None
    return bounds["low"], bounds["high"]


def out_hashes(lock: str) -> dict[str, str]:
    """Path → MD5 of every out in the text of a `dvc.lock`."""
    document = YAML(typ="safe", pure=True).load(lock) or {}
    return {
        out["path"]: out["md5"]
        for stage in document.get("stages", {}).values()
        for out in stage.get("outs", [])
        if "md5" in out
    }


def _data_title(root: Path, commit: str, data: str) -> str:
    params = YAML(typ="safe", pure=True).load(read_at(commit, "params.yaml", root) or "{}")
    try:
        source = data_source(params, data)
    except (KeyError, TypeError):
        return ""
    descriptor = read_at(commit, source, root) if source.endswith((".yaml", ".yml")) else None
    if descriptor is None:
        return source
    return str(YAML(typ="safe", pure=True).load(descriptor).get("title", source))


def table(versions: list[Released]) -> str:
    """One line per version."""
    if not versions:
        return "no model has been released; `yolov1 release detector --bump minor` releases one"
    width = max(len(own.tag) for own in versions)
    lines = []
    for own in versions:
        score = score_text(own.metric, own.score, own.interval)
        hashed = f" [{own.data_hash[:8]}]" if own.data_hash else ""
        lines.append(f"{own.tag:<{width}}  {own.date}  {score}  {own.data}{hashed}")
    return "\n".join(lines)


def score_text(
    metric: str | None, score: float | None, interval: tuple[float, float] | None
) -> str:
    """`voc07_map 86.6 % (95 %: 84.3 to 89.2)`; empty without a score."""
    if metric is None or score is None:
        return ""
    bounds = f" (95 %: {100 * interval[0]:.1f} to {100 * interval[1]:.1f})" if interval else ""
    return f"{metric} {percent(score)}{bounds}"


def percent(share: float | None) -> str:
    """`86.6 %` for 0.866; `undefined` without a value."""
    return "undefined" if share is None else f"{100 * share:.1f} %"


def expect_artifact(model: str, root: Path = Path()) -> str:
    """Path of a declared model; `UserError` naming those that there are."""
    paths = artifact_paths(root)
    if model not in paths:
        raise UserError(
            f"no model is named {model!r}; dvc.yaml declares: {', '.join(sorted(paths)) or 'none'}"
        )
    return paths[model]
