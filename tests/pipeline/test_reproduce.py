"""`dvc repro` and `dvc status` on the whole pipeline: what runs, and that nothing else does."""

import json
import shutil
from pathlib import Path

import pytest
from declared_inputs import READ_BY_NO_STAGE, inputs_of, leaves
from project_copy import Project

from yolo.params.base import read_document

STAGES = [
    "download@classification",
    "download@detection",
    "validate@classification",
    "validate@detection",
    "pretrain",
    "extract_backbone",
    "detect_train",
    "evaluate",
]
FirstRun = tuple[Project, dict[str, str]]


def readers() -> dict[str, set[str]]:
    """Keys of `params.yaml` that each stage reads, by DVC's name of the stage."""
    found = {}
    for name in ("download", "validate"):
        found |= inputs_of(name, ("classification", "detection"))
    for name in ("pretrain", "extract_backbone", "detect_train", "evaluate"):
        found |= inputs_of(name)
    return found


def other(value: object, key: str) -> object:
    """A value of another content; DVC compares, it does not validate."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int | float):
        return value + 1
    return f"other-{key.rpartition('.')[2]}"


def test_the_first_run_runs_every_stage_and_leaves_all_outs(first_run: FirstRun) -> None:
    project, done = first_run
    assert done == dict.fromkeys(STAGES, "ran")
    for out in (
        "models/classifier.safetensors",
        "models/backbone.safetensors",
        "models/detector.safetensors",
        "reports/evaluate/report.html",
        "reports/validate/detection/data_docs/index.html",
        "dvc.lock",
    ):
        assert (project.root / out).is_file(), out
    metrics = json.loads((project.root / "reports/evaluate/details.json").read_text())
    assert metrics["images"] == 6
    assert {"voc07_map", "voc_map", "per_class", "objects"} <= set(metrics)
    assert set(metrics["per_class"]) == {"circle", "square"}


def test_the_second_run_reruns_nothing(first_run: FirstRun) -> None:
    project, _ = first_run
    assert project.repro() == dict.fromkeys(STAGES, "unchanged")


def test_runtime_settings_make_nothing_stale(first_run: FirstRun) -> None:
    project, _ = first_run
    settings = {"YOLO_THREADS": "2", "YOLO_WORKERS": "1", "YOLO_MICRO_BATCH": "4"}
    output = project.run("dvc", "status", YOLO_TRACKING="offline", **settings)
    assert "up to date" in output


def test_each_key_makes_stale_exactly_the_stages_that_read_it(project: Project) -> None:
    path = project.root / "params.yaml"
    text = path.read_text()
    declared = readers()
    document = read_document(path)
    wrong = []
    with project.status() as ask:
        for key, value in leaves(document):
            expected = {
                stage
                for stage, keys in declared.items()
                if any(key == read or key.startswith(f"{read}.") for read in keys)
            }
            assert expected or key.partition(".")[0] in READ_BY_NO_STAGE, f"no stage reads {key}"
            project.change(key, other(value, key))
            found = ask()
            if found != expected:
                wrong.append(f"{key}: {sorted(found)} instead of {sorted(expected)}")
            path.write_text(text)
        assert ask() == set()
    assert not wrong, "\n".join(wrong)


def test_evaluation_alone_reruns_for_its_threshold_and_is_restored_after(project: Project) -> None:
    before = project.content("reports/evaluate/**/*")
    project.change("evaluate.nms_iou", 0.3)
    done = project.repro()
    assert {s for s in STAGES if done[s] == "ran"} == {"evaluate"}
    project.change("evaluate.nms_iou", 0.5)
    done = project.repro()
    assert done["evaluate"] == "restored"
    assert {s for s in STAGES if done[s] == "unchanged"} == set(STAGES) - {"evaluate"}
    assert project.content("reports/evaluate/**/*") == before


def test_the_detection_data_leaves_pretraining_alone_and_is_restored_after(
    project: Project,
) -> None:
    branch = {"validate@detection", "detect_train", "evaluate"}
    before = project.content("models/*", "data/clean/**/*", "reports/**/*")
    project.change("data.detection.splits.val", ["test"])
    project.change("data.detection.splits.test", ["val"])
    done = project.repro()
    assert {s for s in STAGES if done[s] == "ran"} == branch
    project.change("data.detection.splits.val", None)
    project.change("data.detection.splits.test", None)
    done = project.repro()
    assert {s for s in STAGES if done[s] == "restored"} == branch
    assert project.content("models/*", "data/clean/**/*", "reports/**/*") == before


def test_a_stage_whose_outs_come_out_equal_stops_the_rerun(project: Project) -> None:
    """An edit of code that changes no byte reruns its stage and nothing below."""
    script = project.root / "stages" / "extract_backbone.py"
    script.write_text(script.read_text() + "# a remark\n")
    assert project.stale() == {"extract_backbone"}
    done = project.repro()
    assert {s for s in STAGES if done[s] == "ran"} == {"extract_backbone"}


def test_new_content_of_a_local_archive_is_noticed(project: Project) -> None:
    own = project.root / "own.tar"
    shutil.copyfile(next((project.root / "data/raw/detection").glob("*.tar")), own)
    project.change("data.detection.source", "own.tar")
    stage = "download@detection"
    assert project.repro(stage) == {stage: "ran"}
    before = own.read_bytes()
    assert stage not in project.stale()

    (project.root / "remark.txt").write_text("new")
    project.run("tar", "--append", "--file", "own.tar", "remark.txt")
    assert stage in project.stale()
    assert project.repro(stage) == {stage: "ran"}
    own.write_bytes(before)
    assert project.repro(stage) == {stage: "restored"}


@pytest.mark.slow
def test_new_content_of_a_local_folder_reruns_its_branch(project: Project) -> None:
    project.run("mkdir", "own")
    archive = next((project.root / "data/raw/detection").glob("*.tar"))
    project.run("tar", "--extract", "--directory", "own", "--file", str(archive))
    project.change("data.detection.source", "own")
    branch = {"download@detection", "validate@detection", "detect_train", "evaluate"}
    project.repro()
    assert project.stale() == set()

    victim = sorted((project.root / "own").rglob("*.xml"))[0]
    before = victim.read_text()
    victim.write_text(before.replace("<difficult>0", "<difficult>1"))
    assert project.stale() == {"download@detection"}
    done = project.repro()
    assert {s for s in STAGES if done[s] == "ran"} == branch

    victim.write_text(before)
    done = project.repro()
    assert {s for s in STAGES if done[s] == "restored"} == branch


def test_dvc_commit_keeps_results_after_a_harmless_edit(project: Project) -> None:
    """What CONTRIBUTING.md says: a comment makes the trainings stale, `dvc commit` accepts it."""
    before = project.content("models/*", "reports/evaluate/*.json")
    path = project.root / "yolo/training/trainer/schedule.py"
    path.write_text(path.read_text() + "\n# A comment.\n")
    assert project.stale() == {"pretrain", "detect_train"}
    project.run("dvc", "commit", "--force")
    assert project.stale() == set()
    assert project.content("models/*", "reports/evaluate/*.json") == before


@pytest.mark.slow
def test_params_metrics_plots_and_experiments_behave_as_dvc_users_expect(project: Project) -> None:
    project.change("evaluate.nms_iou", 0.3)
    changed = json.loads(project.run("dvc", "params", "diff", "--json"))
    assert set(changed["params.yaml"]) == {"evaluate.nms_iou"}
    difference = changed["params.yaml"]["evaluate.nms_iou"]
    assert (difference["old"], difference["new"]) == (0.5, 0.3)
    project.change("evaluate.nms_iou", 0.5)

    shown = json.loads(project.run("dvc", "metrics", "show", "--json"))
    files = shown[""]["data"]
    assert "voc07_map" in files["reports/evaluate/metrics.json"]["data"]
    assert not [path for path, found in files.items() if "error" in found]

    project.run("dvc", "plots", "show", "--out", "plots")
    assert (project.root / "plots" / "index.html").is_file()

    project.git("checkout", "--quiet", "--", "params.yaml")
    output = project.run("dvc", "exp", "run", "--set-param", "evaluate.nms_iou=0.4", "--name", "a")
    assert "Running stage 'evaluate'" in output
    assert "Running stage 'detect_train'" not in output
    # the file that DVC rewrote is still right
    assert read_document(project.root / "params.yaml")["evaluate"]["nms_iou"] == 0.4
    assert "a" in project.run("dvc", "exp", "list")


@pytest.mark.slow
def test_a_clone_of_the_clone_runs(first_run: FirstRun, tmp_path: Path) -> None:
    project, _ = first_run
    once, twice = tmp_path / "once", tmp_path / "twice"
    project.run("git", "clone", "--quiet", str(project.root), str(once))
    project.run("git", "clone", "--quiet", str(once), str(twice))
    clone = Project(twice)
    done = clone.repro()
    assert done == dict.fromkeys(STAGES, "ran")
    # the committed lock has the same hashes: two machines' worth of folders, the same bytes
    assert clone.git("status", "--porcelain") == ""
    wanted = ("models/*", "reports/**/*")
    assert clone.content(*wanted) == project.content(*wanted)
