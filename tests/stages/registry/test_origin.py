"""What a weights file was made of, from a repository whose dvc.lock names its bytes."""

import json
import subprocess

import pytest
import torch

from stages.registry import ledger
from stages.registry.origin import origin, text
from stages.registry.versions import SCORES
from yolo.files import digest
from yolo.model.network import weights


@pytest.fixture
def repository(tmp_path):
    """A commit without the weights, one with them, and one with others."""

    def git(*arguments):
        who = ["-c", "user.name=Test", "-c", "user.email=test@localhost"]
        subprocess.run(["git", *who, *arguments], cwd=tmp_path, check=True, capture_output=True)

    def commit(md5, score):
        (tmp_path / "dvc.lock").write_text(
            "stages:\n  detect_train:\n    deps:\n"
            "    - {path: data/clean/detection, md5: aaaa.dir}\n"
            "    - {path: yolo/detection, md5: bbbb.dir}\n"
            f"    outs:\n    - {{path: models/detector.safetensors, md5: {md5}}}\n"
        )
        (tmp_path / SCORES["detector"][0]).write_text(
            json.dumps(
                {
                    "voc07_map": score,
                    "interval_95": {"voc07_map": {"low": score - 0.1, "high": score + 0.1}},
                }
            )
        )
        git("add", "--all")
        git("commit", "--quiet", "--message", "A run")

    git("init", "--quiet")
    (tmp_path / "reports/evaluate").mkdir(parents=True)
    (tmp_path / ".gitignore").write_text("*.safetensors")
    path = tmp_path / "detector.safetensors"
    parts = {"kind": "detector", "parameters": {"seed": 7}, "data": {"data/x": "cccc"}}
    weights.write(path, {"a": torch.zeros(1)}, parts)
    commit("0" * 32, 0.1)
    rows = [
        ledger.Row("abcd", "detect_train", "f00d", "NVIDIA H100", "90.0", "0.05", "Failed"),
        ledger.Row("abcd", "detect_train", "f00d", "NVIDIA H100", "120.5", "0.07", "Ran"),
    ]
    (tmp_path / ledger.FILE).write_text(ledger.extended(None, rows))
    commit(digest(path, "md5"), 0.5)
    git("tag", "detector@v0.3.0")
    head = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    commit("1" * 32, 0.9)
    return tmp_path, path, head.stdout.strip()


def test_a_weights_file_finds_its_commit(repository):
    root, path, commit = repository
    own = origin(path, root)
    assert (own.commit, own.stage) == (commit, "detect_train")
    assert (own.metric, own.score, own.interval) == ("voc07_map", 0.5, (0.4, 0.6))
    assert own.versions == ("detector@v0.3.0",)
    assert (own.device, own.seconds) == ("NVIDIA H100", 210.5)
    assert own.code == {"yolo/detection": "bbbb.dir"}
    assert own.data == {"data/clean/detection": "aaaa.dir"}
    shown = text(own)
    for part in (
        commit,
        "50.0 % (95 %: 40.0 to 60.0)",
        "detector@v0.3.0",
        "210 s on NVIDIA H100",
        "parameters:\n  seed: 7",
        "cccc",
    ):
        assert part in shown


def test_a_weights_file_from_elsewhere_still_shows_its_card(repository, tmp_path_factory):
    root, path, _ = repository
    weights.write(path, {"a": torch.ones(1)}, {"kind": "detector", "parameters": {"seed": 8}})
    own = origin(path, root)
    assert own.commit is None and own.card["parameters"] == {"seed": 8}
    assert "no commit here" in text(own)
    assert origin(path, tmp_path_factory.mktemp("empty")).commit is None


def test_the_ledger_only_grows_and_survives_a_union_of_branches(repository):
    root, _, _ = repository
    before = (root / ledger.FILE).read_text()
    row = ledger.Row("ef", "evaluate", "", "", "5.0", "", "Ran")
    after = ledger.extended(before, [row])
    assert after.startswith(before)
    assert ledger.parse(before + after)[-1] == row
    assert ledger.last_of_stages(root)["detect_train"].seconds == "210.5"
