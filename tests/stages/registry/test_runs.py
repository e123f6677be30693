"""`yolov1 runs` and `yolov1 compare` on small runs, made by the real Git and DVC."""

import itertools
import json
import os
import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from stages.cli import app
from stages.registry import ledger
from stages.registry.runs import rows
from yolo.data.store.clean_set import DETECTION_SCHEMA, Writer, split_path, write_classes
from yolo.errors import UserError

PIPELINE = """\
stages:
  validate:
    cmd: mkdir -p data/clean && cp -r made/clean data/clean/detection
    deps: [made/clean]
    outs: [data/clean/detection]
  evaluate:
    cmd: mkdir -p reports/evaluate && cp -r made/detections reports/evaluate/detections
    deps: [made/detections, data/clean/detection, yolo/code.py]
    params: [evaluate, detect_train]
    outs: [reports/evaluate/detections]
"""
PARAMS = {"evaluate": {"nms_iou": 0.5}, "detect_train": {"seed": 0, "frozen_stages": 0}}
HALF = 6 / 11
"""AP of 2007 when two of four objects are found and nothing else."""
ALL, SOME = range(4), range(2)


_SECONDS = itertools.count(1_700_000_000)
"""Dates of commits, each later than the one before: rows are in the order of their dates."""


def git(*arguments: str) -> str:
    who = ["-c", "user.name=Test", "-c", "user.email=test@localhost"]
    done = subprocess.run(
        ["git", *who, *arguments],
        env=os.environ | {"GIT_COMMITTER_DATE": f"@{next(_SECONDS)} +0000"},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


def write_clean(folder: Path, images: Sequence[str]) -> None:
    """A test split with a cat in each image."""
    write_classes(folder, ("cat",))
    with Writer(split_path(folder, "test"), DETECTION_SCHEMA) as writer:
        for name in images:
            writer.append(
                {
                    "name": name,
                    "image": b"not read",
                    "width": 40,
                    "height": 40,
                    "boxes": np.array([[1, 1, 20, 20]]),
                    "labels": [0],
                    "difficult": [False],
                    "truncated": [False],
                }
            )


def write_detections(folder: Path, found: Sequence[int]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    lines = [f"{image} 0.{9 - image} 1 1 20 20\n" for image in found]
    (folder / "comp4_det_test_cat.txt").write_text("".join(lines))


Run = Callable[..., str]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Function that runs the pipeline with changed parameters, commits, and returns the commit."""
    from dvc.repo import Repo

    monkeypatch.chdir(tmp_path)
    git("init", "--quiet", "--initial-branch=main")
    Repo.init(str(tmp_path)).close()
    Path("yolo").mkdir()
    Path("yolo/code.py").write_text("")
    Path("dvc.yaml").write_text(PIPELINE)
    write_clean(Path("made/clean"), "0123")

    def run_and_commit(
        found: Sequence[int] = SOME,
        score: float | None = HALF,
        costs: Sequence[ledger.Row] = (),
        **changes: Mapping[str, object],
    ) -> str:
        params = {block: values | changes.get(block, {}) for block, values in PARAMS.items()}
        Path("params.yaml").write_text(json.dumps(params))
        write_detections(Path("made/detections"), found)
        with Repo() as repo:
            repo.reproduce()
        details: dict = {} if score is None else {
            "voc07_map": score,
            "interval_95": {"voc07_map": {"low": score - 0.1, "high": score + 0.1}},
        }  # fmt: skip
        Path("reports/evaluate/details.json").write_text(json.dumps(details))
        if costs:
            own = Path(ledger.FILE)
            own.write_text(ledger.extended(own.read_text() if own.is_file() else None, costs))
        git("add", "--all")
        git("commit", "--quiet", "--allow-empty", "--message", "Run")
        return git("rev-parse", "HEAD")

    return run_and_commit


def experiment(name: str, commit: str) -> None:
    """Name a commit as DVC names its experiments."""
    base = git("rev-parse", f"{commit}^")
    git("update-ref", f"refs/exps/{base[:2]}/{base[2:]}/{name}", commit)


def call(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


def cost(stage: str, seconds: str, price: str) -> ledger.Row:
    return ledger.Row("0" * 40, stage, "", "cpu", seconds, price, "ran")


def test_a_row_has_what_a_run_changed_gained_and_cost(run: Run) -> None:
    base = run(costs=[cost("evaluate", "5", "0.05")])
    better = run(
        ALL,
        1.0,
        costs=[cost("detect_train", "60", "1.25"), cost("evaluate", "5", "0.25")],
        evaluate={"nms_iou": 0.4},
    )
    git("branch", "runs/2026-11-28", better)
    git("tag", "detector@v0.1.0", better)
    git("reset", "--quiet", "--hard", base)
    first, second = rows()
    assert (first.names, first.commits, first.changes) == (("HEAD",), (base,), {})
    assert (first.seconds, first.price) == (5, 0.05)
    assert second.names == ("runs/2026-11-28", "detector@v0.1.0")
    assert second.changes == {"evaluate.nms_iou": (0.5, 0.4)}
    assert second.score == 1
    assert second.interval == pytest.approx((0.9, 1.1))
    assert second.difference == pytest.approx(1 - HALF)
    assert second.difference_interval is not None
    low, high = second.difference_interval
    assert 0 <= low <= 1 - HALF <= high <= 1
    # not the baseline's own five seconds
    assert (second.seconds, second.price) == (65, 1.5)

    text = call("runs").stdout
    assert "evaluate.nms_iou: 0.5 → 0.4" in text
    assert "54.5 [44.5, 64.5]" in text and "+45.5 [" in text
    assert max(map(len, text.splitlines())) <= 120
    shown = json.loads(call("runs", "--baseline", "detector@v0.1.0", "--json").stdout)
    # what is not listed anywhere but as the baseline
    assert [row["names"] for row in shown] == [["detector@v0.1.0", "runs/2026-11-28"]]


def test_runs_of_several_seeds_are_one_row(run: Run) -> None:
    base = run(score=0.6)
    for seed, score, found in ((1, 0.5, SOME), (2, 0.7, ALL)):
        experiment(f"seed-{seed}", run(found, score, detect_train={"seed": seed}))
        git("reset", "--quiet", "--hard", base)
    # the same parameters by other code are another matter
    Path("yolo/code.py").write_text("# new\n")
    experiment("new-code", run(score=0.6))
    git("reset", "--quiet", "--hard", base)
    first, seeds, other = rows()
    assert (first.score, first.deviation) == (0.6, None)
    assert seeds.names == ("seed-1", "seed-2")
    assert seeds.score == pytest.approx(0.6)
    assert seeds.deviation == pytest.approx(0.1)
    assert seeds.interval is None
    assert seeds.difference == pytest.approx((1 - HALF) / 2)
    assert seeds.changes == {"detect_train.seed": (0, [1, 2])}
    assert (other.names, other.changes, other.deviation) == (("new-code",), {}, None)
    assert "2 seeds" in call("runs").stdout and "60.0 ± 10.0" in call("runs").stdout


def test_an_out_that_the_cache_lacks_is_named_in_the_row(run: Run) -> None:
    base = run()
    experiment("gone", run(ALL, 1.0, evaluate={"nms_iou": 0.4}))
    git("reset", "--quiet", "--hard", base)
    tree = json.loads(lost_object("gone", "reports/evaluate/detections").read_text())
    object_of(tree[0]["md5"]).unlink()
    (_, row) = rows()
    assert (row.score, row.difference) == (1, None)
    assert "reports/evaluate/detections of gone is not in the cache" in row.note
    assert "no difference: reports/evaluate/detections of gone" in call("runs").stdout
    failed = call("compare", "HEAD", "gone")
    assert isinstance(failed.exception, UserError)
    assert "not in the cache" in str(failed.exception)


def lost_object(name: str, out: str) -> Path:
    from stages.registry import revisions

    return object_of(revisions.read((name,), revisions.commit_of(name)).hashes[out])


def object_of(md5: str) -> Path:
    return Path(".dvc/cache/files/md5", md5[:2], md5[2:])


def test_scores_on_other_images_are_not_compared(run: Run) -> None:
    base = run()
    shutil.rmtree("made/clean")
    write_clean(Path("made/clean"), "012")
    experiment("fewer", run(range(2), 0.5))
    git("reset", "--quiet", "--hard", base)
    (_, row) = rows()
    assert row.difference is None
    assert row.note.startswith("HEAD and fewer were scored on different test splits")


def test_another_training_split_does_not_matter(run: Run) -> None:
    base = run()
    write_classes(Path("made/clean"), ("cat",))
    Path("made/clean/train.arrow").write_bytes(b"not read")
    experiment("more", run(ALL, 1.0))
    git("reset", "--quiet", "--hard", base)
    assert rows()[1].difference == pytest.approx(1 - HALF)


def test_a_run_without_scores_is_a_row_too(run: Run) -> None:
    base = run()
    experiment("no-score", run(SOME, None, evaluate={"nms_iou": 0.3}))
    git("reset", "--quiet", "--hard", base)
    (_, row) = rows()
    assert (row.score, row.interval) == (None, None)
    assert "not evaluated" in call("runs").stdout


def test_compare_takes_revisions_and_folders(run: Run) -> None:
    base = run()
    experiment("better", run(ALL, 1.0, evaluate={"nms_iou": 0.4}))
    git("reset", "--quiet", "--hard", base)
    write_detections(Path("mine"), ALL)
    for names in (("HEAD", "better"), (base[:9], "mine"), ("main", "better")):
        shown = json.loads(call("compare", *names, "--json").stdout)
        assert shown["voc07_map"]["a"] == pytest.approx(HALF)
        assert shown["voc07_map"]["b"] == 1
    failed = call("compare", "HEAD", "nowhere")
    assert "nowhere is neither a folder nor an experiment" in str(failed.exception)


def test_without_a_repository_it_is_one_message(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    failed = call("runs")
    assert isinstance(failed.exception, UserError)
