"""Release a model, then use that very version from clones and elsewhere, by the real DVC."""

import json
import shutil
from pathlib import Path

import pytest
from hub_server import TOKEN, hub_server
from huggingface_hub import ModelCard
from project_copy import Project

import yolo
from stages.registry.versions import table
from yolo.files import digest
from yolo.model.network.weights import read, read_card

WEIGHTS = "models/detector.safetensors"


@pytest.fixture(scope="module")
def published(
    first_run: tuple[Project, dict[str, str]], tmp_path_factory: pytest.TempPathFactory
) -> Project:
    """A project with a folder as remote and detector@v0.1.0 released. Not to be changed."""
    folder = tmp_path_factory.mktemp("published")
    root = folder / "project"
    shutil.copytree(first_run[0].root, root, symlinks=True)
    project = Project(root)
    project.git("config", "user.name", "Test")
    project.git("config", "user.email", "test@localhost")
    project.run("yolov1", "remote", str(folder / "store"))
    project.commit()
    said = project.run("yolov1", "release", "detector", "--bump", "minor")
    assert "detector@v0.1.0: nothing has been released yet" in said
    return project


@pytest.fixture
def clone(published: Project, tmp_path: Path) -> Project:
    """A fresh clone: no data, no models, an empty cache."""
    published.run("git", "clone", "--quiet", str(published.root), str(tmp_path / "clone"))
    return Project(tmp_path / "clone")


def test_a_release_is_a_tag_on_a_commit_with_a_card(published: Project) -> None:
    assert published.git("cat-file", "-t", "detector@v0.1.0").strip() == "tag"
    assert published.git("status", "--porcelain") == ""
    head = published.git("rev-parse", "HEAD")
    assert published.git("rev-parse", "detector@v0.1.0^{commit}") == head
    card = published.git("show", "detector@v0.1.0:cards/detector-v0.1.0.md")
    metrics = json.loads((published.root / "reports/evaluate/details.json").read_text())
    bounds = metrics["interval_95"]["voc07_map"]
    assert f"{100 * metrics['voc07_map']:.1f} % | {100 * bounds['low']:.1f} % to" in card
    assert digest(published.root / WEIGHTS) in card
    assert digest(published.root / WEIGHTS, "md5") in card
    assert digest(published.root / "data/clean/detection/test.arrow") in card
    assert "licence: made by this project (MIT)" in card
    assert "circle, square" in card and "| `detect_train.seed` | `0` |" in card
    assert "None" not in card and "undefined" not in card
    data = ModelCard(card).data
    assert (data.license, data.pipeline_tag) == ("mit", "object-detection")
    assert data.datasets == ["tiny-detection", "tiny-classification"]
    (first, *_) = data.eval_results
    assert first.dataset_name == "A few shapes, one or two an image"
    assert first.metric_value == pytest.approx(metrics["voc07_map"], abs=1e-6)


def test_card_and_verify_read_a_release_without_its_remote(
    published: Project, tmp_path: Path
) -> None:
    """By name and by file; when one byte of the file differs, `verify` fails and says so."""
    root = tmp_path / "project"
    shutil.copytree(published.root, root, symlinks=True)
    project = Project(root)
    project.run("dvc", "remote", "modify", "storage", "url", "s3://nowhere/here")
    project.commit()
    cache = {"XDG_CACHE_HOME": str(tmp_path / "cache")}
    by_name = json.loads(project.run("yolov1", "card", "detector@v0.1.0", "--json", **cache))
    by_file = json.loads(project.run("yolov1", "card", WEIGHTS, "--json"))
    assert by_name | {"path": ""} == by_file | {"path": ""}
    metrics = json.loads((root / "reports/evaluate/details.json").read_text())
    assert by_file["score"] == metrics["voc07_map"]
    assert by_file["interval"] == list(metrics["interval_95"]["voc07_map"].values())[::-1]
    assert by_file["versions"] == ["detector@v0.1.0"]
    assert by_file["card"]["parameters"]["detect_train"]["seed"] == 0
    # the commit that recorded the results, before the one that holds the card
    assert by_file["commit"] in project.git("log", "--format=%H", "--", "dvc.lock").split()

    assert "detector@v0.1.0 is whole" in project.run("yolov1", "verify", "detector@v0.1.0", **cache)
    path = root / WEIGHTS
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.unlink()
    path.write_bytes(content)
    said = project.run("yolov1", "verify", "detector@v0.1.0", ok=False, **cache)
    assert f"error: the bytes of {WEIGHTS} differ from the card of detector@v0.1.0" in said


def test_a_release_is_published_and_loaded_by_its_address(
    published: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with hub_server() as hub:
        settings = {"HF_ENDPOINT": hub.address, "HF_TOKEN": TOKEN}
        said = published.run("yolov1", "publish", "detector@v0.1.0", "hf:org/shapes", **settings)
        assert 'yolo.load("hf:org/shapes@v0.1.0")' in said
        for name, value in {**settings, "XDG_CACHE_HOME": str(tmp_path)}.items():
            monkeypatch.setenv(name, value)
        picture = next((published.root / "reports/evaluate/pictures").glob("*.jpg"))
        found = yolo.load("hf:org/shapes@v0.1.0").predict(picture, score_threshold=0)
        expected = yolo.load(published.root / WEIGHTS).predict(picture, score_threshold=0)
        assert len(found.scores) > 0 and (found.scores == expected.scores).all()
        files = hub.commits[hub.repositories["org/shapes"]["v0.1.0"]].files
        assert b"# detector@v0.1.0" in files["README.md"]


@pytest.mark.slow
def test_the_lines_of_the_readme_run_as_written(
    first_run: tuple[Project, dict[str, str]], tmp_path: Path
) -> None:
    root = tmp_path / "project"
    shutil.copytree(first_run[0].root, root, symlinks=True)
    project = Project(root)
    project.git("config", "user.name", "Test")
    project.git("config", "user.email", "test@localhost")
    readme = (root / "README.md").read_text(encoding="utf-8")
    block = readme.split("## Version a model", 1)[1].split("```")[1]
    commands = [line.partition("   #")[0] for line in block.strip().splitlines()]
    assert len(commands) >= 4
    with hub_server() as hub:
        for command in commands:
            here = command.replace("/mnt/models", str(tmp_path / "store"))
            project.run("sh", "-c", here, HF_ENDPOINT=hub.address, HF_TOKEN=TOKEN)
        assert set(hub.repositories) == {"ORG/NAME"}
    assert "detector@v0.1.0" in project.git("tag", "--list")


def test_models_lists_versions_with_score_data_and_date(published: Project) -> None:
    (found,) = json.loads(published.run("yolov1", "models", "--json"))
    metrics = json.loads((published.root / "reports/evaluate/details.json").read_text())
    assert found["tag"] == "detector@v0.1.0" and found["score"] == metrics["voc07_map"]
    assert found["data"] == "A few shapes, one or two an image"
    assert found["weights_hash"] == digest(published.root / WEIGHTS, "md5")
    assert found["date"] == published.git("log", "-1", "--format=%cs").strip()
    assert "detector@v0.1.0" in published.run("yolov1", "models")
    assert "yolov1 release" in table([])


def test_a_fresh_clone_pulls_and_predicts_without_data_or_training(
    clone: Project, published: Project
) -> None:
    assert not (clone.root / "models").exists()
    assert WEIGHTS in clone.run("yolov1", "pull", WEIGHTS)
    assert digest(clone.root / WEIGHTS) == digest(published.root / WEIGHTS)
    assert not (clone.root / "data").exists()
    picture = next((published.root / "reports/evaluate/pictures").glob("*.jpg"))
    said = clone.run("yolov1", "predict", "--weights", WEIGHTS, "--json", str(picture))
    assert str(picture) in said


def test_predict_takes_a_version_from_any_folder(published: Project, tmp_path: Path) -> None:
    picture = next((published.root / "reports/evaluate/pictures").glob("*.jpg"))
    elsewhere = Project(tmp_path)
    options = f"--model detector@v0.1.0 --repo {published.root} --json --score-threshold 0"
    # what goes to standard error is no JSON
    command = ("sh", "-c", f"yolov1 predict {options} {picture} 2>said")
    (found,) = json.loads(elsewhere.run(*command, XDG_CACHE_HOME=str(tmp_path / "kept")))
    expected = yolo.load(published.root / WEIGHTS).predict(picture, score_threshold=0)
    assert len(expected.scores) > 0
    assert [own["score"] for own in found["detections"]] == pytest.approx(expected.scores, abs=1e-5)
    assert {path.name for path in tmp_path.iterdir()} == {"kept", "said"}


@pytest.mark.slow
def test_a_clone_runs_evaluate_alone(clone: Project, published: Project) -> None:
    clone.change("evaluate.nms_iou", 0.3)
    done = clone.repro("--pull", "--allow-missing", "evaluate")
    assert {stage for stage, how in done.items() if how == "ran"} == {"evaluate"}
    assert not (clone.root / "data/raw").exists()
    assert (clone.root / "reports/evaluate/report.html").is_file()


@pytest.mark.slow
def test_every_way_to_fetch_brings_exactly_the_version_asked_for(
    published: Project, tmp_path: Path
) -> None:
    first = (published.root / WEIGHTS).read_bytes()
    root = tmp_path / "project"
    shutil.copytree(published.root, root, symlinks=True)
    project = Project(root)
    project.change("detect_train.seed", 1)
    project.repro()
    project.commit()
    second = (root / WEIGHTS).read_bytes()
    assert second != first
    said = project.run("yolov1", "release", "detector", "--bump", "patch")
    assert "detector@v0.1.1: voc07_map" in said and "of detector@v0.1.0" in said
    tags = [found["tag"] for found in json.loads(project.run("yolov1", "models", "--json"))]
    assert tags == ["detector@v0.1.0", "detector@v0.1.1"]
    refused = project.run("yolov1", "release", "detector", "--bump", "patch", ok=False)
    assert "is detector@v0.1.1 already, byte for byte" in refused

    elsewhere = Project(tmp_path / "elsewhere")
    elsewhere.root.mkdir()
    url = str(root)
    for version, content in (("v0.1.0", first), ("v0.1.1", second)):
        tag = f"detector@{version}"
        artifact = ("dvc", "artifacts", "get", url, "detector", "--rev", version, "--out")
        elsewhere.run(*artifact, f"a-{version}")
        elsewhere.run("dvc", "get", url, WEIGHTS, "--rev", tag, "--out", f"b-{version}")
        elsewhere.run(
            "yolov1", "fetch", tag, "--repo", url, "--out", f"c-{version}",
            XDG_CACHE_HOME=str(tmp_path / "cache"),
        )  # fmt: skip
        for way in "abc":
            assert (elsewhere.root / f"{way}-{version}").read_bytes() == content, (way, version)
        project.git("checkout", "--quiet", tag)
        project.run("dvc", "pull", WEIGHTS)
        assert (root / WEIGHTS).read_bytes() == content


def test_a_backbone_is_released_with_its_own_card(published: Project, tmp_path: Path) -> None:
    root = tmp_path / "project"
    shutil.copytree(published.root, root, symlinks=True)
    project = Project(root)
    assert "backbone@v0.0.1" in project.run("yolov1", "release", "backbone", "--bump", "patch")
    card = project.git("show", "backbone@v0.0.1:cards/backbone-v0.0.1.md")
    assert digest(root / "models/backbone.safetensors") in card
    assert "% top-1" in card and "| `optimisation.batch` | `" in card
    assert "None" not in card and "undefined" not in card


def test_a_remote_folder_that_is_not_there_is_named(clone: Project, published: Project) -> None:
    store = published.root.parent / "store"
    store.rename(store.with_name("away"))
    try:
        said = clone.run("yolov1", "pull", WEIGHTS, ok=False)
    finally:
        store.with_name("away").rename(store)
    assert f"is the folder {store}, which is not there" in said
    assert not (clone.root / WEIGHTS).exists()


def test_a_release_is_refused_with_its_reason(published: Project, tmp_path: Path) -> None:
    root = tmp_path / "project"
    shutil.copytree(published.root, root, symlinks=True)
    project = Project(root)

    def refusal(model: str = "detector", bump: str = "minor") -> str:
        return project.run("yolov1", "release", model, "--bump", bump, ok=False)

    assert "is none of patch, minor, major" in refusal(bump="huge")
    assert "no model is named 'classifier'; dvc.yaml declares: backbone, detector" in refusal(
        "classifier"
    )
    (root / "note.txt").write_text("x")
    assert "not committed: note.txt" in refusal()
    (root / "note.txt").unlink()

    project.change("evaluate.nms_iou", 0.4)
    project.commit()
    said = refusal()
    assert "dvc.lock is out of date: evaluate (parameter evaluate.nms_iou: 0.5 → 0.4)" in said
    project.git("reset", "--quiet", "--hard", "HEAD~1")

    project.run("dvc", "remote", "remove", "storage")
    project.commit()
    assert "there is no remote to push to; `make remote URL=...`" in refusal()
    assert project.git("tag", "--list").split() == ["detector@v0.1.0"]


def test_a_training_starts_from_the_last_release_by_one_parameter(
    published: Project, tmp_path: Path
) -> None:
    """Of this project, then of another by its folder: the same first weights, the same detector."""
    root = tmp_path / "next"
    shutil.copytree(published.root, root, symlinks=True)
    following = Project(root)
    following.change("detect_train.start.source", "detector@v0.1.0")
    output = following.run("dvc", "repro", "detect_train", XDG_CACHE_HOME=str(tmp_path / "own"))
    assert "start from detector@v0.1.0: backbone and head are taken" in output
    released, own = digest(published.root / WEIGHTS), read_card(following.root / WEIGHTS)
    assert own["started_from"] == {"source": "detector@v0.1.0", "sha256": released}
    first, _ = read(following.root / WEIGHTS)
    following.git("tag", "--delete", "detector@v0.1.0")
    following.change("detect_train.start.repo", str(published.root))
    following.run("dvc", "repro", "detect_train", XDG_CACHE_HOME=str(tmp_path / "other"))
    second, _ = read(following.root / WEIGHTS)
    assert all((first[name] == second[name]).all() for name in first)
    following.change("detect_train.start.source", "detector@v9.9.9")
    refused = following.run("dvc", "repro", "detect_train", ok=False)
    assert "released are: detector@v0.1.0" in refused
    assert "Traceback" not in refused
