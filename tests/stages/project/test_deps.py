"""The code that a stage depends on, found by its imports."""

import io

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
        stages__pretrain=["stages.common.entry", "yolo.params.base"],
        stages__common__entry=["yolo.params.base"],
    )
    assert deps.closure(graph, "stages.pretrain") == {"stages.pretrain", "yolo.params.base"}


def test_packages_are_left_out() -> None:
    graph = Imports(stages__pretrain=["yolo", "yolo.params", "yolo.params.values"])
    assert deps.closure(graph, "stages.pretrain") == {"stages.pretrain", "yolo.params.values"}


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
