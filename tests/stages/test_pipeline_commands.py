"""`yolov1 preset`, `yolov1 why` and what `make repro` prints last."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from stages.project import summary
from yolo.errors import UserError

ROOT = Path(__file__).resolve().parents[2]


def yolov1(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    code = f"import sys; sys.path.insert(0, {str(ROOT)!r}); from stages.cli import main; main()"
    return subprocess.run(
        [sys.executable, "-c", code, *arguments], cwd=cwd, capture_output=True, text=True
    )


def test_why_shows_what_is_stale(toy: Path) -> None:
    done = yolov1("why", "get", cwd=toy)
    assert done.returncode == 0
    assert done.stdout.splitlines()[0] == "get@a  stale"


def test_a_wrong_argument_is_one_message_and_status_1(toy: Path) -> None:
    done = yolov1("why", "nix", cwd=toy)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        "error: no stage is named 'nix'; the stages are: get@a, get@b, left, join\n"
    )


def test_preset_rewrites_the_parameters(tmp_path: Path) -> None:
    (tmp_path / "presets").mkdir()
    for name in ("base", "demo", "fast"):
        text = (ROOT / "presets" / f"{name}.yaml").read_text()
        (tmp_path / "presets" / f"{name}.yaml").write_text(text)
    assert yolov1("preset", "fast", cwd=tmp_path).returncode == 0
    assert "network: yolov1-fast" in (tmp_path / "params.yaml").read_text()
    done = yolov1("preset", "paper", cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr == "error: no preset is named 'paper'; there are: demo, fast\n"


def test_the_summary_gives_numbers_and_the_report(tmp_path: Path) -> None:
    metrics = {
        "voc07_map": 0.6123,
        "voc_map": None,
        "interval_95": {"voc07_map": {"low": 0.5, "high": 0.7}},
        "images": 200,
        "objects": 512,
    }
    for stage, values in (("evaluate", metrics), ("pretrain", {"top1": 0.9})):
        (tmp_path / stage).mkdir()
        (tmp_path / stage / "details.json").write_text(json.dumps(values))
    assert summary.summary(tmp_path).splitlines() == [
        "VOC07 mAP 61.2 % (95 %: 50.0 % to 70.0 %), VOC10+ mAP undefined: "
        "200 test images, 512 objects",
        "pre-training top-1 90.0 %",
        f"report: {tmp_path / 'evaluate' / 'report.html'}",
    ]


def test_without_a_run_the_summary_says_how_to_get_one(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="`make repro` runs the pipeline"):
        summary.summary(tmp_path)
