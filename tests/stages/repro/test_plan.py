"""What is stale and why, on a real DVC project."""

import subprocess
import sys
from pathlib import Path

import pytest

from stages.repro.plan import read_plan
from yolo.errors import UserError


def repro() -> None:
    subprocess.run([sys.executable, "-m", "dvc", "repro", "--quiet"], check=True)


def reasons() -> dict[str, list[str]]:
    return {s.name: [str(change) for change in s.changes] for s in read_plan().stages if s.stale}


def test_stages_come_after_those_above_them(toy: Path) -> None:
    plan = read_plan()
    assert [stage.name for stage in plan.stages] == ["get@a", "get@b", "left", "join"]
    assert {stage.name: stage.upstream for stage in plan.stages} == {
        "get@a": (),
        "get@b": (),
        "left": ("get@a",),
        "join": ("get@b", "left"),
    }
    assert all(str(stage.changes[0]) == "new: has no recorded run" for stage in plan.stages)


def test_targets_bring_what_is_above_them(toy: Path) -> None:
    assert [stage.name for stage in read_plan(["left"]).stages] == ["get@a", "left"]
    assert [stage.name for stage in read_plan(["get"]).stages] == ["get@a", "get@b"]


def test_an_unknown_target_is_an_error_that_names_the_stages(toy: Path) -> None:
    with pytest.raises(UserError, match=r"'nix'; the stages are: get@a, get@b, left, join"):
        read_plan(["nix"])


def test_names_do_not_depend_on_the_current_folder(
    toy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (toy / "inner").mkdir()
    monkeypatch.chdir(toy / "inner")
    assert [stage.name for stage in read_plan(["left"]).stages] == ["get@a", "left"]
    assert Path.cwd() == toy / "inner"


def test_no_project_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="not inside of a DVC repository"):
        read_plan()


def test_a_broken_pipeline_file_is_an_error(toy: Path) -> None:
    (toy / "dvc.yaml").write_text("stages: [\n")
    with pytest.raises(UserError, match=r"dvc\.yaml"):
        read_plan()


def test_reasons_name_keys_values_and_files(toy: Path) -> None:
    repro()
    assert reasons() == {}
    params = toy / "params.yaml"
    params.write_text("rate: 0.2\nblock:\n  size: 2\n  name: null\n")
    (toy / "source-b").write_text("3\n")
    (toy / "join").unlink()
    assert reasons() == {
        "get@b": ["data source-b: changed"],
        "left": ["parameter rate: 0.1 → 0.2", "parameter block.size: 1 → 2"],
        "join": ["out join: missing"],
    }
    params.write_text("rate: 0.1\nblock:\n  size: 1\n")
    pipeline = (toy / "dvc.yaml").read_text()
    (toy / "dvc.yaml").write_text(pipeline.replace("sh left.sh", "sh left.sh again"))
    assert reasons()["left"] == [
        "parameter block.name: null → absent",
        "command: changed in dvc.yaml",
    ]


def test_the_table_tells_what_may_become_stale(toy: Path) -> None:
    repro()
    (toy / "source-a").write_text("5\n")
    assert read_plan().table().splitlines() == [
        "get@a  stale",
        "         data source-a: changed",
        "get@b  up to date",
        "left   may become stale",
        "join   may become stale",
    ]
