"""Published weights in place of pre-training, through the real DVC."""

import hashlib
import json
from pathlib import Path

import pytest
import torch
from project_copy import Project

from yolo.model.classifier.imagenet_weights import load_pretrained
from yolo.model.detector.detector import load_detector


@pytest.fixture
def with_weights(project: Project, tmp_path: Path) -> tuple[Project, Path]:
    """The tiny project with resnet18 and a file of its weights, of random values."""
    from torchvision.models import get_model

    torch.manual_seed(0)
    path = tmp_path / "resnet18.pth"
    torch.save(get_model("resnet18", weights=None).state_dict(), path)
    project.change("model.network", "resnet18")
    project.change("pretrain.weights.source", str(path))
    return project, path


def test_a_file_without_its_sum_is_refused_with_the_sum(
    with_weights: tuple[Project, Path],
) -> None:
    project, path = with_weights
    output = project.run("dvc", "repro", "pretrain", ok=False)
    assert f"has {hashlib.sha256(path.read_bytes()).hexdigest()}" in output
    assert "Traceback" not in output


def test_the_weights_are_taken_instead_of_a_training(with_weights: tuple[Project, Path]) -> None:
    project, path = with_weights
    project.change("pretrain.weights.sha256", hashlib.sha256(path.read_bytes()).hexdigest())
    output = project.run("dvc", "repro", "extract_backbone")
    assert "top-1 and top-5 are not measured" in output
    metrics = json.loads((project.root / "reports/pretrain/details.json").read_text())
    assert metrics["batch"] == 0
    assert metrics["top1"] is None
    assert json.loads((project.root / "reports/pretrain/metrics.json").read_text()) == {
        "top1": None
    }
    assert project.repro("extract_backbone")["pretrain"] == "unchanged"


def test_boxes_alone_are_enough_with_ready_weights(project: Project) -> None:
    """One source, no classification set, no network; every stage is declared and runs."""
    project.change("data.classification.source", "sources/none.yaml")
    project.change("model.network", "efficientnet_lite0")
    project.change("model.width", 1.0)
    project.change("model.input_size", 64)
    project.change("model.grid", 4)
    project.change("detect_train.frozen_stages", 2)
    output = project.run("dvc", "repro", "extract_backbone", ok=False)
    assert "needs a classification set" in output
    assert "Traceback" not in output
    project.change("pretrain.weights.source", "package")
    done = project.repro()
    assert done["pretrain"] == done["detect_train"] == done["evaluate"] == "ran"
    assert json.loads((project.root / "reports/validate/classification.json").read_text()) == {
        "images": 0
    }
    detector = load_detector(project.root / "models/detector.safetensors")
    published = load_pretrained("efficientnet_lite0").backbone.state_dict()
    assert torch.equal(detector.backbone[1].project.weight, published["1.project.weight"])
    again = project.repro()
    assert set(again.values()) == {"unchanged"}


@pytest.mark.slow
def test_a_detector_grows_on_published_weights(with_weights: tuple[Project, Path]) -> None:
    project, path = with_weights
    project.change("pretrain.weights.sha256", hashlib.sha256(path.read_bytes()).hexdigest())
    project.change("model.grid", 3)
    done = project.repro()
    assert done["evaluate"] == "ran"
    detector = load_detector(project.root / "models/detector.safetensors")
    assert (detector.spec.network, detector.spec.grid) == ("resnet18", 3)


def test_a_set_whose_classes_the_weights_know_is_measured(project: Project, tmp_path: Path) -> None:
    from torchvision.models import get_model, get_model_weights

    names = get_model_weights("resnet18")["IMAGENET1K_V1"].meta["categories"]
    model = get_model("resnet18", weights=None)
    with torch.no_grad():
        # answers class 1, "goldfish", whatever it sees
        model.fc.weight.zero_()
        model.fc.bias.zero_()
        model.fc.bias[1] = 1
    path = tmp_path / "resnet18.pth"
    torch.save(model.state_dict(), path)
    _write_folders(project.root / "own", [names[1], names[0]])
    project.change("data.classification.source", "own")
    project.change("model.network", "resnet18")
    project.change("pretrain.weights.source", str(path))
    project.change("pretrain.weights.sha256", hashlib.sha256(path.read_bytes()).hexdigest())
    project.run("dvc", "repro", "pretrain")
    metrics = json.loads((project.root / "reports/pretrain/details.json").read_text())
    assert metrics["top1"] == pytest.approx(2 / 3, abs=1e-5)
    assert metrics["top5"] == 1


def _write_folders(folder: Path, classes: list[str]) -> None:
    """Two of three validation images are of the first class."""
    from small_sets import picture

    for split, counts in (("train", (3, 3)), ("val", (2, 1))):
        for number, (name, count) in enumerate(zip(classes, counts, strict=True)):
            own = folder / split / name.replace(" ", "_")
            own.mkdir(parents=True)
            for picture_number in range(count):
                seed = 100 * number + 10 * picture_number + (split == "val")
                (own / f"{picture_number}.jpg").write_bytes(picture(seed))
