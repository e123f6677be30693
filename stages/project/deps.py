"""The code that each stage depends on: what its script imports, written into `dvc.yaml`.

    python -m stages.project.deps        # rewrite the lists
    python -m stages.project.deps --check

DVC hashes files. A stage must list every file whose edit may change a byte of its outs, and none
besides, or an edit reruns too little or too much. The list is the transitive closure of the
script's imports, those inside functions too, without the modules of `EXEMPT`.
"""

import io
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedSeq

from stages.common.entry import run
from yolo.errors import UserError
from yolo.files import replacing

EXEMPT: Mapping[str, str] = {
    "stages.common.entry": "checks parameters, hands them over as they are, prints errors",
    "stages.common.exit_status": "says how a training ended, which only the flow reads",
    "stages.common.launch": "starts processes; what they compute does not depend on who did",
    "yolo.params.root": "only refuses wrong parameters; so do the blocks of other stages",
    "yolo.errors": "exceptions: a run that raises one has no outs",
    "yolo.runtime.progress": "prints",
    "yolo.runtime.meter": "prints",
    "yolo.data.validate.messages": "words of errors and warnings",
    "yolo.runtime.workers": "where and how fast; a test holds that it changes no byte",
    "yolo.runtime.settings": "where and how fast, by definition not what",
    "yolo.runtime.threads": "how fast; a test holds that it changes no result",
    "yolo.training.monitoring.console": "prints",
    "yolo.training.monitoring.nonfinite": "ends a training that has failed",
    "yolo.runtime.malloc": "how fast",
    "yolo.training.monitoring.failed_batch": "writes for inspection when a training has failed",
    "yolo.evaluation.classifier.report": "draws a page of finished weights: an edit shows at the "
    "next training, and must not cause one",
    "yolo.training.monitoring.tracking": "writes to runs/ and the tracker, is never read",
}
"""Modules that cannot change what is trained, and why. What only they import is left out too."""

PACKAGES = ("yolo", "stages")
_PIPELINE = Path("dvc.yaml")


def code_of_stages(root: Path = Path()) -> dict[str, list[str]]:
    """Return for each stage of `dvc.yaml` the sorted paths of the code that it depends on."""
    graph = _import_graph()
    return {
        name: sorted(path for module in closure(graph, _script(stage)) for path in _files(module))
        for name, stage in _stages(_load(root / _PIPELINE)).items()
    }


def closure(graph: Any, module: str) -> set[str]:
    """Modules that `module` reaches by imports, itself too, without `EXEMPT` and packages."""
    reached, waiting = {module}, [module]
    while waiting:
        for imported in graph.find_modules_directly_imported_by(waiting.pop()):
            if imported not in reached and imported not in EXEMPT:
                reached.add(imported)
                waiting.append(imported)
    return {name for name in reached if _path(name).name != "__init__.py"}


def with_code(document: Any, code: Mapping[str, Iterable[str]]) -> Any:
    """Put the code into the `deps` of each stage of a parsed `dvc.yaml`; data deps stay first."""
    for name, stage in _stages(document).items():
        data = [dep for dep in stage["deps"] if not is_code(dep)]
        stage["deps"] = CommentedSeq([*data, *code[name]])
    return document


def is_code(dep: str) -> bool:
    """Whether an entry of `deps` is a file of this project's packages."""
    return PurePosixPath(dep).parts[0] in PACKAGES


def regenerated(root: Path = Path()) -> str:
    """Return the text of `dvc.yaml` with the lists that it should have."""
    buffer = io.StringIO()
    _yaml().dump(with_code(_load(root / _PIPELINE), code_of_stages(root)), buffer)
    return buffer.getvalue()


def _stages(document: Any) -> dict[str, Any]:
    """The stages by name; a group made by `foreach` counts once."""
    return {name: stage.get("do", stage) for name, stage in document["stages"].items()}


def _script(stage: Any) -> str:
    """The module that the stage's command runs: what follows `-m`."""
    words = stage["cmd"].split()
    return words[words.index("-m") + 1]


def _files(module: str) -> list[str]:
    """The module's file, and the templates of its package."""
    path = _path(module)
    templates = (path.parent / "templates").glob("*")
    return [file.as_posix() for file in (path, *templates)]


def _path(module: str) -> Path:
    path = Path(*module.split("."))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def _import_graph() -> Any:
    import grimp

    return grimp.build_graph(
        *PACKAGES,
        exclude_type_checking_imports=True,
        cache_dir=None,
        include_external_packages=False,
    )


def _yaml() -> YAML:
    yaml = YAML()
    yaml.width = 10_000
    yaml.preserve_quotes = True
    yaml.indent(mapping=2, sequence=4, offset=2)
    return yaml


def _load(path: Path) -> Any:
    return _yaml().load(path)


def main() -> None:
    """Rewrite `dvc.yaml`, or with `--check` fail when that would change it."""
    text = regenerated()
    if text == _PIPELINE.read_text(encoding="utf-8"):
        print("dvc.yaml lists the code of every stage")
        return
    if sys.argv[1:] == ["--check"]:
        raise UserError("the deps in dvc.yaml are not what the stages import; run `make deps`")
    with replacing(_PIPELINE) as temporary:
        temporary.write_text(text, encoding="utf-8")
    print("dvc.yaml rewritten: deps as the stages import")


if __name__ == "__main__":
    run(main)
