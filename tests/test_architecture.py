"""The shape of the project: who imports whom, and what `dvc.yaml` declares of each stage."""

import ast
import subprocess
import sys
from pathlib import Path
from typing import Any

import grimp
import pytest
from declared_inputs import READ_BY_NO_STAGE, inputs_of, leaves
from ruamel.yaml import YAML

from stages.project import deps, preset
from yolo.params.base import parse, read_document
from yolo.params.root import Params

ROOT = Path(__file__).resolve().parent.parent
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
# inside yolo: a package may import those of its own rank and lower ones
RANKS = {
    "files": 0,
    "errors": 0,
    "class_names": 0,
    "runtime": 0,
    "params": 1,
    "detection": 1,
    "versions": 1,
    "data": 2,
    "model": 3,
    "metrics": 4,
    "training": 5,
    "evaluation": 6,
    "inference": 7,
    "inspection": 7,
    "hub": 8,
    "commands": 9,
    "cli": 10,
}
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


def test_imports_inside_the_library_point_one_way(imports: grimp.ImportGraph) -> None:
    wrong = []
    for importer in sorted(m for m in imports.modules if m.startswith("yolo.")):
        for imported in sorted(imports.find_modules_directly_imported_by(importer)):
            if imported.startswith("stages"):
                wrong.append(f"{importer} imports {imported}: the library knows no stages")
            elif imported.startswith("yolo."):
                ranks = RANKS[importer.split(".")[1]], RANKS[imported.split(".")[1]]
                if ranks[1] > ranks[0]:
                    wrong.append(f"{importer} imports {imported}, which is above it")
    assert not wrong, "\n".join(wrong)


def test_every_package_of_the_library_has_a_rank() -> None:
    found = {path.stem for path in (ROOT / "yolo").iterdir() if not path.name.startswith("_")}
    assert found == set(RANKS)


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


@pytest.mark.parametrize(
    "stage", ["download", "validate", "pretrain", "extract_backbone", "detect_train", "evaluate"]
)
def test_code_among_the_deps_is_what_the_script_imports(
    stage: str, pipeline: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    right = deps.code_of_stages()[stage]
    listed = [dep for dep in pipeline[stage]["deps"] if deps.is_code(dep)]
    add = "".join(f"\n  + - {dep}" for dep in right if dep not in listed)
    remove = "".join(f"\n  - - {dep}" for dep in listed if dep not in right)
    assert listed == right, f"`make deps` would change stage {stage} of dvc.yaml:{add}{remove}"


def test_exempt_modules_exist() -> None:
    for module in deps.EXEMPT:
        assert (ROOT / Path(*module.split("."))).with_suffix(".py").is_file(), module


def test_regenerating_the_deps_changes_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    assert deps.regenerated() == Path("dvc.yaml").read_text()


@pytest.mark.parametrize(
    "stage", ["download", "validate", "pretrain", "extract_backbone", "detect_train", "evaluate"]
)
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
