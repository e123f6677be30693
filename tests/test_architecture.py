"""The shape of the project: who imports whom, and what `dvc.yaml` declares of each stage."""

import ast
import graphlib
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grimp
import pytest
from declared_inputs import READ_BY_NO_STAGE, inputs_of, leaves
from ruamel.yaml import YAML

from stages.project import deps, preset
from stages.repro.changes import is_code
from yolo.params.base import parse, read_document
from yolo.params.root import Params

ROOT = Path(__file__).resolve().parent.parent
STAGES = ("download", "validate", "pretrain", "extract_backbone", "detect_train", "evaluate")
BLOCKS = (
    "data",
    "limits",
    "model",
    "validate",
    "pretrain",
    "detect_train",
    "evaluate",
    "promotion",
)
# A package may import those of its own tier and of the tiers above it in this list.
ORDER = (
    ("files", "errors", "class_names", "nested", "runtime"),
    ("params", "detection", "versions"),
    ("data",),
    ("model",),
    ("metrics",),
    ("training",),
    ("evaluation",),
    ("inference", "inspection"),
    ("published",),
    ("hub",),
    ("commands",),
    ("cli",),
)
STAGES_ORDER = (
    ("common",),
    ("training", "repro"),
    ("registry", "project"),
    ("flow",),
    ("download", "validate", "pretrain", "extract_backbone", "detect_train", "evaluate"),
    ("cli",),
)
ORCHESTRATION = ("dvc", "prefect", "great_expectations", "wandb")
# the one file that may import it, inside a function
OPTIONAL = {
    "dvc": "yolo.versions",
    "great_expectations": "yolo.data.validate.expectations",
    "wandb": "yolo.training.monitoring.tracking",
    "distributed": "yolo.runtime.workers",
    "starlette": "yolo.inference.demo",
    "uvicorn": "yolo.inference.demo",
}


@pytest.fixture(scope="module")
def imports() -> grimp.ImportGraph:
    return grimp.build_graph("yolo", "stages", include_external_packages=True, cache_dir=None)


@pytest.fixture(scope="module")
def pipeline() -> dict[str, Any]:
    document = YAML(typ="safe", pure=True).load(ROOT / "dvc.yaml")
    return {name: stage.get("do", stage) for name, stage in document["stages"].items()}


def groups(name: str) -> tuple[str, ...]:
    stage = YAML(typ="safe", pure=True).load(ROOT / "dvc.yaml")["stages"][name]
    return ("classification", "detection") if "foreach" in stage else ()


def also(name: str, key: str) -> str:
    """What one member of a group reads besides the keys of all."""
    groups = YAML(typ="safe").load(ROOT / "dvc.yaml")["stages"][name].get("foreach")
    return groups[key]["also"] if isinstance(groups, dict) else ""


def package(module: str) -> str:
    """The package right above a module; a module of `yolo` or `stages` themselves is its own."""
    above = module.rpartition(".")[0]
    return module if above in ("yolo", "stages") else above


@pytest.fixture(scope="module")
def code_imports() -> dict[str, set[str]]:
    """What each module of ours imports, without packages and type-checking imports."""
    graph = grimp.build_graph("yolo", "stages", cache_dir=None, exclude_type_checking_imports=True)
    modules = {m for m in graph.modules if not (ROOT / Path(*m.split("."))).is_dir()}
    return {m: graph.find_modules_directly_imported_by(m) & modules for m in modules}


def test_imports_point_one_way(code_imports: dict[str, set[str]]) -> None:
    rank = {
        f"{top}.{name}": (top == "stages", number)
        for top, order in (("yolo", ORDER), ("stages", STAGES_ORDER))
        for number, tier in enumerate(order)
        for name in tier
    }
    first = {m: ".".join(m.split(".")[:2]) for m in code_imports}
    wrong = [
        f"{importer} imports {imported}, which is above it"
        for importer, found in sorted(code_imports.items())
        for imported in sorted(found)
        if rank[first[imported]] > rank[first[importer]]
    ]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize(("top", "order"), [("yolo", ORDER), ("stages", STAGES_ORDER)])
def test_every_package_has_a_place_in_the_order(top: str, order: tuple[tuple[str, ...]]) -> None:
    found = {path.stem for path in (ROOT / top).iterdir() if not path.name.startswith("_")}
    assert found == {name for tier in order for name in tier}


@pytest.mark.parametrize("of", [lambda module: module, package], ids=["modules", "packages"])
def test_no_circle(code_imports: dict[str, set[str]], of: Callable[[str], str]) -> None:
    above: dict[str, set[str]] = {of(module): set() for module in code_imports}
    for importer, found in code_imports.items():
        above[of(importer)] |= {of(imported) for imported in found} - {of(importer)}
    assert list(graphlib.TopologicalSorter(above).static_order())


def test_the_top_of_stages_holds_the_six_scripts_and_the_command_line() -> None:
    top = {path.stem for path in (ROOT / "stages").glob("*.py")} - {"__init__"}
    assert top == {*STAGES, "cli"}


def test_the_library_imports_orchestration_and_servers_only_in_named_files(
    imports: grimp.ImportGraph,
) -> None:
    wrong = [
        f"{importer} imports {package}"
        for package in {*ORCHESTRATION, *OPTIONAL}
        if package in imports.modules
        for importer in imports.find_modules_that_directly_import(package)
        if importer.startswith("yolo.") and importer != OPTIONAL.get(package)
    ]
    assert not wrong, "\n".join(wrong)


def test_importing_any_module_of_the_library_loads_no_orchestration() -> None:
    """Named files import theirs inside functions, never at module import time."""
    for module, package in ((m, p) for p, m in OPTIONAL.items()):
        tree = ast.parse((ROOT / Path(*module.split("."))).with_suffix(".py").read_text())
        for node in tree.body:
            if isinstance(node, ast.Import | ast.ImportFrom):
                assert package not in ast.unparse(node), f"{module} imports {package} at its top"


def test_packages_hold_only_a_docstring() -> None:
    """They are no deps of a stage: that is right only while there is no code in them.

    `yolo` itself offers `yolo.load`, which no stage uses.
    """
    for path in [ROOT / "stages/__init__.py", *(ROOT / "yolo").glob("*/**/__init__.py")]:
        body = ast.parse(path.read_text()).body
        assert len(body) == 1 and ast.get_docstring(ast.parse(path.read_text())), path


@pytest.mark.parametrize("stage", STAGES)
def test_deps_are_the_code_that_the_script_imports(
    stage: str,
    pipeline: dict[str, Any],
    code_imports: dict[str, set[str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The listed code covers the imports, and exceeds them by the accepted modules alone."""
    monkeypatch.chdir(ROOT)
    used = closure(code_imports, f"stages.{stage}")
    listed = [Path(dep) for dep in pipeline[stage]["deps"] if is_code(dep)]
    covered: set[str] = set()
    for path in listed:
        files = set(path.rglob("*.py") if path.is_dir() else [path])
        modules = {".".join(f.with_suffix("").parts) for f in files if f.name != "__init__.py"}
        assert modules & used, f"{stage} uses nothing of {path}"
        covered |= modules
    excess = {
        f"{folder.replace('/', '.')}.{module}"
        for (name, folder), modules in deps.ACCEPTED.items()
        if name == stage
        for module in modules
    }
    assert used <= covered, f"missing: {sorted(used - covered)}"
    assert covered - used == excess


def closure(imports: dict[str, set[str]], module: str) -> set[str]:
    """Modules that `module` reaches, itself too, without those that cannot change an out."""
    reached, waiting = {module}, [module]
    while waiting:
        new = {m for m in imports[waiting.pop()] if not deps.is_exempt(m)} - reached
        reached |= new
        waiting += new
    return reached


def test_dvc_yaml_lists_at_most_fifty_paths_of_code(pipeline: dict[str, Any]) -> None:
    assert sum(is_code(dep) for stage in pipeline.values() for dep in stage["deps"]) <= 50


def test_the_trainings_accept_no_code_that_they_do_not_use() -> None:
    assert {stage for stage, _ in deps.ACCEPTED} <= {"validate", "evaluate"}


def test_exempt_code_exists() -> None:
    for name in deps.EXEMPT:
        path = ROOT / Path(*name.split("."))
        assert path.is_dir() or path.with_suffix(".py").is_file(), name


def test_parameters_have_no_defaults_and_change_no_value() -> None:
    """They are exempt from the deps: only while every value comes from params.yaml as it stands.

    A validator may refuse; it returns the value it was given.
    """
    for path in sorted((ROOT / "yolo/params").glob("*.py")):
        for block in ast.walk(ast.parse(path.read_text())):
            if not isinstance(block, ast.ClassDef):
                continue
            for item in block.body:
                where = f"{path.name}: {block.name}: {ast.unparse(item)[:60]}"
                if isinstance(item, ast.FunctionDef):
                    returned = {
                        ast.unparse(node.value)
                        for node in ast.walk(item)
                        if isinstance(node, ast.Return) and node.value is not None
                    }
                    assert returned <= {"self", item.args.args[-1].arg}, where
                elif isinstance(item, ast.AnnAssign) and item.value is not None:
                    assert "default" not in ast.unparse(item.value), where
                    assert not isinstance(item.value, ast.Constant), where


def test_regenerating_the_deps_changes_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    assert deps.regenerated() == Path("dvc.yaml").read_text()


@pytest.mark.parametrize("stage", STAGES)
def test_declared_parameters_are_those_that_the_script_reads(
    stage: str, pipeline: dict[str, Any]
) -> None:
    for name, keys in inputs_of(stage, groups(stage)).items():
        key = name.partition("@")[2]
        declared = {
            p.replace("${key}", key).replace("${item.also}", also(stage, key))
            for p in pipeline[stage].get("params", [])
        }
        assert declared == keys, name


def test_the_whole_document_covers_every_block() -> None:
    document = read_document(ROOT / "params.yaml")
    fields = {field.alias or name for name, field in Params.model_fields.items()}
    assert set(document) == fields == set(BLOCKS)


def test_every_parameter_is_read_by_a_stage(pipeline: dict[str, Any]) -> None:
    read = {
        key
        for stage in pipeline
        for keys in inputs_of(stage, groups(stage)).values()
        for key in keys
    }
    document = read_document(ROOT / "params.yaml")
    unread = [
        leaf
        for leaf, _ in leaves(document)
        if not any(leaf == key or leaf.startswith(f"{key}.") for key in read)
        and leaf.partition(".")[0] not in READ_BY_NO_STAGE
    ]
    assert not unread


@pytest.mark.parametrize("name", preset.names(ROOT / "presets"))
def test_every_preset_is_valid(name: str, tmp_path: Path) -> None:
    preset.write(name, ROOT / "presets", tmp_path / "params.yaml")
    parse(Params, read_document(tmp_path / "params.yaml"))


def test_params_are_those_of_the_demo() -> None:
    expected = preset.compose("demo", ROOT / "presets")
    assert (ROOT / "params.yaml").read_text() == expected, "run `yolov1 preset demo`"


def test_help_answers_at_once() -> None:
    """The command line loads neither torch nor the orchestration for its help."""
    code = (
        "import sys; from stages import cli; "
        "print([m for m in ('torch','dvc','prefect','cv2','pyarrow') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
