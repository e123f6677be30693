"""The code that a stage depends on, found by its imports."""

import io
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from stages.project import deps


class Imports:
    """An import graph from a mapping."""

    def __init__(self, **imports: list[str]) -> None:
        self._imports = {name.replace("__", "."): found for name, found in imports.items()}

    def find_modules_directly_imported_by(self, module: str) -> set[str]:
        return set(self._imports.get(module, []))


def test_imports_are_followed_but_not_through_exempt_modules() -> None:
    graph = Imports(
        stages__pretrain=["stages.common.entry", "yolo.training.trainer.trainer"],
        stages__common__entry=["yolo.params.root"],
        yolo__training__trainer__trainer=[
            "yolo.runtime.progress",
            "yolo.training.trainer.schedule",
        ],
        yolo__training__trainer__schedule=["yolo.training.trainer.trainer"],
    )
    assert deps.closure(graph, "stages.pretrain") == {
        "stages.pretrain",
        "yolo.training.trainer.trainer",
        "yolo.training.trainer.schedule",
    }


def test_what_an_exempt_module_imports_counts_when_something_else_imports_it() -> None:
    graph = Imports(
        stages__pretrain=["stages.common.entry", "yolo.files"],
        stages__common__entry=["yolo.files"],
    )
    assert deps.closure(graph, "stages.pretrain") == {"stages.pretrain", "yolo.files"}


def test_packages_are_left_out() -> None:
    graph = Imports(stages__pretrain=["yolo", "yolo.data", "yolo.files"])
    assert deps.closure(graph, "stages.pretrain") == {"stages.pretrain", "yolo.files"}


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A project with a package of two modules."""
    folder = tmp_path / "yolo" / "detection"
    folder.mkdir(parents=True)
    for name in ("__init__", "loss", "boxes"):
        (folder / f"{name}.py").touch()
    return tmp_path


def test_a_package_that_is_used_whole_is_listed_as_a_folder(package: Path) -> None:
    modules = {"yolo.detection.loss", "yolo.detection.boxes"}
    assert deps.code_of("pretrain", modules, package) == ["yolo/detection"]


def test_a_package_that_is_used_in_part_is_listed_by_modules(package: Path) -> None:
    modules = {"yolo.detection.loss"}
    assert deps.code_of("pretrain", modules, package) == ["yolo/detection/loss.py"]


def test_a_stage_may_accept_a_module_that_it_does_not_use(package: Path) -> None:
    modules = {"yolo.detection.boxes"}
    assert deps.code_of("evaluate", modules, package) == ["yolo/detection"]


def test_a_package_with_packages_below_is_no_folder_of_its_modules(package: Path) -> None:
    (package / "yolo/detection/more").mkdir()
    (package / "yolo/detection/more/__init__.py").touch()
    modules = {"yolo.detection.loss", "yolo.detection.boxes"}
    assert len(deps.code_of("pretrain", modules, package)) == 2


def test_data_and_comments_stay_and_code_is_replaced() -> None:
    text = (
        "stages:\n  train:\n    # why\n    cmd: python -m stages.train\n    deps:\n      - data\n"
        "      - yolo/old.py\n      - ${item.source}\n    outs:\n      - model\n"
    )
    yaml = YAML()
    yaml.indent(mapping=2, sequence=4, offset=2)
    buffer = io.StringIO()
    yaml.dump(deps.with_code(yaml.load(text), {"train": ["stages/train.py"]}), buffer)
    assert buffer.getvalue() == text.replace("      - yolo/old.py\n", "").replace(
        "source}\n", "source}\n      - stages/train.py\n"
    )
