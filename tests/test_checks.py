"""The hosted checks and the commit hook run targets of the Makefile, no commands of their own."""

import re
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from test_architecture import ORDER, STAGES_ORDER

ROOT = Path(__file__).resolve().parent.parent


def document(name: str) -> Any:
    return YAML(typ="safe", pure=True).load(ROOT / name)


def targets() -> set[str]:
    return set(re.findall(r"^([a-z][a-z-]*):", (ROOT / "Makefile").read_text(), re.MULTILINE))


def test_the_commit_hook_calls_targets() -> None:
    (repo,) = document(".pre-commit-config.yaml")["repos"]
    called = {hook["entry"] for hook in repo["hooks"]}
    assert called == {"make deps", "make lint"}
    assert {entry.removeprefix("make ") for entry in called} <= targets()


def test_the_hosted_checks_call_lint_and_test() -> None:
    job = document(".github/workflows/ci.yaml")["jobs"]["check"]
    called = job["strategy"]["matrix"]["target"]
    assert called == ["lint", "test"]
    assert set(called) <= targets()
    steps = [step["run"] for step in job["steps"] if "run" in step]
    assert "make ${{ matrix.target }}" in steps
    locked = re.search(r"^VERSIONS := (.+)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert locked
    newest, *_, lowest = locked[1].split()
    assert job["strategy"]["matrix"]["python"] == [lowest, newest]


def test_the_lock_is_for_every_python_and_platform() -> None:
    lock = (ROOT / "requirements.lock").read_text()
    assert "://" not in lock
    pinned = re.findall(r"^(\S+)==\S+(.*) \\$", lock, re.MULTILINE)
    markers = {name: marker for name, marker in pinned}
    assert "sys_platform == 'linux'" in markers["triton"]
    assert "sys_platform == 'win32'" in markers["pywin32"]
    assert "python_full_version < '3.12'" in markers["importlib-metadata"]
    assert not markers["torch"].strip()


def test_the_documented_order_of_imports_is_the_tested_one() -> None:
    text = (ROOT / "docs/architecture.md").read_text()
    library, scripts = re.findall(r"^(?:yolo|stages):(.+(?:\n +<.+)*)", text, re.MULTILINE)

    def tiers(line: str) -> list[tuple[str, ...]]:
        return [tuple(re.findall(r"[\w ]*\w", tier)) for tier in re.split(r"\s*<\s*", line.strip())]

    assert [tuple(map(str.strip, tier)) for tier in tiers(library)] == list(ORDER)
    shown = [tuple(map(str.strip, tier)) for tier in tiers(scripts)]
    stages = [tier for tier in STAGES_ORDER if "evaluate" not in tier]
    assert [tier for tier in shown if tier != ("the six scripts",)] == stages
