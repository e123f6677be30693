"""The code that each stage depends on: what its script imports, written into `dvc.yaml`.

    python -m stages.project.deps        # rewrite the lists
    python -m stages.project.deps --check

DVC hashes files and folders. A stage must list all code whose edit may change a byte of its outs,
and as little else as possible, or an edit reruns too little or too much. The code is the transitive
closure of the script's imports, those inside functions too, without what `EXEMPT` names. A package
is listed as a folder when the stage uses all of its modules, or when `ACCEPTED` names those that it
does not use; of other packages the modules are listed one by one.
"""

import io
import sys
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedSeq

from stages.common.entry import run
from stages.repro.changes import CODE, is_code
from yolo.errors import UserError
from yolo.files import replacing

EXEMPT: Mapping[str, str] = {
    "stages.common": "starts a script and its processes; checks parameters and passes them on",
    "yolo.class_names": "only refuses names that cannot be used",
    "yolo.data.validate.messages": "words of errors and warnings",
    "yolo.errors": "exceptions: a run that raises one has no outs",
    "yolo.evaluation.classifier": "draws a page of finished weights: an edit shows at the next "
    "training and must not cause one",
    "yolo.params": "parses params.yaml and refuses what is wrong; it has no defaults, so an edit "
    "that matters changes params.yaml, which DVC tracks",
    "yolo.runtime": "where and how fast, never what; tests hold that it changes no byte",
    "yolo.versions": "fetches released weights, whose bytes it checks by their sum",
    "yolo.training.monitoring": "prints, tracks and stops a failed training; is never read",
}
"""Packages and modules that cannot change an out, and why. What only they import is left out."""

ACCEPTED: Mapping[tuple[str, str], frozenset[str]] = {
    ("validate", "yolo/data/validate"): frozenset({"messages"}),
    ("evaluate", "yolo/detection"): frozenset({"loss", "targets"}),
    ("evaluate", "yolo/model/detector"): frozenset({"warm_start"}),
    ("evaluate", "yolo/evaluation/analysis"): frozenset({"comparison"}),
}
"""Folders that a stage lists although it does not use these modules of them.

An edit of such a module reruns the stage for nothing: minutes, and the outs keep their bytes. The
trainings take days and accept none.
"""

_PIPELINE = Path("dvc.yaml")


def code_of_stages(root: Path = Path()) -> dict[str, list[str]]:
    """Return for each stage of `dvc.yaml` the sorted folders and files of code it depends on."""
    graph = _import_graph()
    return {
        name: code_of(name, closure(graph, _script(stage)), root)
        for name, stage in _stages(_load(root / _PIPELINE)).items()
    }


def code_of(stage: str, modules: Iterable[str], root: Path = Path()) -> list[str]:
    """The sorted paths that cover `modules`: a folder where one may stand for its modules."""
    used: dict[Path, set[str]] = defaultdict(set)
    for module in modules:
        folder, _, name = module.rpartition(".")
        used[Path(*folder.split("."))].add(name)
    paths = []
    for folder, names in used.items():
        unused = modules_in(root / folder) - names
        if unused <= ACCEPTED.get((stage, folder.as_posix()), frozenset()):
            paths.append(folder.as_posix())
        else:
            paths += [(folder / f"{name}.py").as_posix() for name in names]
    return sorted(paths)


def modules_in(folder: Path) -> set[str]:
    """Names of the modules and packages right in a folder of code."""
    packages = {path.parent.name for path in folder.glob("*/__init__.py")}
    return packages | {path.stem for path in folder.glob("*.py") if path.stem != "__init__"}


def closure(graph: Any, module: str) -> set[str]:
    """Modules that `module` reaches by imports, itself too, without `EXEMPT` and packages."""
    reached, waiting = {module}, [module]
    while waiting:
        for imported in graph.find_modules_directly_imported_by(waiting.pop()):
            if imported not in reached and not is_exempt(imported):
                reached.add(imported)
                waiting.append(imported)
    return {name for name in reached if not Path(*name.split(".")).is_dir()}


def is_exempt(module: str) -> bool:
    """Whether `EXEMPT` names the module or a package that holds it."""
    return any(module == name or module.startswith(f"{name}.") for name in EXEMPT)


def with_code(document: Any, code: Mapping[str, Iterable[str]]) -> Any:
    """Put the code into the `deps` of each stage of a parsed `dvc.yaml`; data deps stay first."""
    for name, stage in _stages(document).items():
        data = [dep for dep in stage["deps"] if not is_code(dep)]
        stage["deps"] = CommentedSeq([*data, *code[name]])
    return document


def regenerated(root: Path = Path()) -> str:
    """Return the text of `dvc.yaml` with the lists that it should have."""
    buffer = io.StringIO()
    _yaml().dump(with_code(_load(root / _PIPELINE), code_of_stages(root)), buffer)
    return buffer.getvalue()


def _stages(document: Any) -> dict[str, Any]:
    """The stages by name; a group made by `foreach` counts once."""
    return {name: stage.get("do", stage) for name, stage in document["stages"].items()}


def _script(stage: Any) -> str:
    """The module that the stage's command runs: the word after `-m`."""
    words = stage["cmd"].split()
    return words[words.index("-m") + 1]


def _import_graph() -> Any:
    import grimp

    return grimp.build_graph(
        *CODE,
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
