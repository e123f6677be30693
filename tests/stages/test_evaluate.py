"""The stage on a small clean set and a random detector."""

import csv
import json
import shutil
from collections.abc import Callable, Sequence
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import wandb_file

from stages import evaluate
from yolo.data.store.clean_set import DETECTION_SCHEMA, Writer, split_path, write_classes
from yolo.data.store.images import encode_jpeg
from yolo.errors import UserError
from yolo.evaluation.analysis import devkit
from yolo.metrics.inputs import read_truth
from yolo.metrics.voc_ap import score
from yolo.model.darknet.convert import import_darknet
from yolo.model.detector.detector import DetectorSpec, build_detector, save_detector
from yolo.model.detector.predict import Detected

ROOT = Path(__file__).resolve().parents[2]
CLASSES = ("disc", "square", "star")


def write_clean(
    folder: Path,
    *,
    labels_seed: int = 0,
    images: int = 9,
    objects_at_least: int = 1,
    objects_at_most: int = 3,
    classes: Sequence[str] = CLASSES,
) -> None:
    """Noise images; their objects depend on `labels_seed`, their pixels do not."""
    pixels, objects = np.random.default_rng(1), np.random.default_rng(labels_seed)
    write_classes(folder, classes)
    with Writer(split_path(folder, "test"), DETECTION_SCHEMA) as writer:
        for number in range(images):
            size = (48 + number, 64)
            count = int(objects.integers(objects_at_least, objects_at_most + 1))
            corner = objects.integers(1, 30, (count, 2))
            writer.append(
                {
                    "name": f"image {number}",
                    "image": encode_jpeg(pixels.integers(0, 256, (*size, 3), np.uint8)),
                    "width": size[1],
                    "height": size[0],
                    "boxes": np.concatenate([corner, corner + 15], axis=1),
                    "labels": objects.integers(0, len(classes), count).tolist(),
                    "difficult": ([False] * (count - 1) + [number == 0])[:count],
                    "truncated": [False] * count,
                }
            )


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("YOLO_THREADS", "1")
    monkeypatch.setenv("YOLO_DEVICE", "cpu")
    shutil.copy(ROOT / "presets/base.yaml", "params.yaml")
    write_clean(evaluate.CLEAN)
    spec = DetectorSpec("nano", 0.25, 64, 4, 2, CLASSES)
    save_detector(evaluate.DETECTOR, build_detector(spec, seed=2), trained_on="noise")
    return tmp_path


def contents(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


class Page(HTMLParser):
    """Collects what a page loads and links to."""

    def __init__(self) -> None:
        super().__init__()
        self.sources: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.sources += [value or "" for key, value in attrs if key in ("src", "href")]

    def handle_data(self, data: str) -> None:
        self.text += data


def nearly_right(*_: object, **__: object) -> list[Detected]:
    """The true boxes moved by up to 4 pixels, a few under a wrong class, by rising score."""
    split = evaluate.CleanSet(evaluate.CLEAN).split("test")
    rng = np.random.default_rng(3)
    found = []
    for index in range(len(split)):
        boxes, labels = split.boxes(index), split.labels(index).astype(np.int64)
        wrong = rng.random(len(labels)) < 0.2
        found.append(
            Detected(
                boxes + rng.uniform(-4, 4, boxes.shape).astype(np.float32),
                np.sort(rng.random(len(labels)).astype(np.float32))[::-1],
                np.where(wrong, (labels + 1) % 3, labels),
            )
        )
    return found


Changed = Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]


def changed_truth(change: Changed) -> Callable[..., list[Detected]]:
    """A detector that outputs what `change` makes of all true boxes and labels."""

    def detect(*_: object, **__: object) -> list[Detected]:
        split = evaluate.CleanSet(evaluate.CLEAN).split("test")
        numbers = range(len(split))
        own = [split.boxes(index) for index in numbers]
        ends = np.cumsum([len(boxes) for boxes in own])[:-1]
        labels = np.concatenate([split.labels(index) for index in numbers]).astype(np.int64)
        boxes, labels = change(np.concatenate(own).astype(np.float32), labels)
        return [
            Detected(some, np.linspace(0.9, 0.3, len(some), dtype=np.float32), names)
            for some, names in zip(np.split(boxes, ends), np.split(labels, ends), strict=True)
        ]

    return detect


@pytest.fixture
def twenty_classes(project: Path) -> Path:
    """As `project`, but with 120 images and as many classes as VOC."""
    classes = tuple(f"class {number:02d}" for number in range(20))
    write_clean(evaluate.CLEAN, images=120, classes=classes)
    spec = DetectorSpec("nano", 0.25, 64, 4, 2, classes)
    save_detector(evaluate.DETECTOR, build_detector(spec, seed=2), trained_on="noise")
    return project


def metrics_of(monkeypatch: pytest.MonkeyPatch, detect: Callable[..., list[Detected]]) -> dict:
    monkeypatch.setattr(evaluate, "detect_split", detect)
    evaluate.main()
    return json.loads((evaluate.REPORTS / "details.json").read_text())


def test_the_truth_scores_one(twenty_classes: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    metrics = metrics_of(monkeypatch, changed_truth(lambda boxes, labels: (boxes, labels)))
    assert metrics["voc07_map"] == metrics["voc_map"] == metrics["coco_map"] == 1
    assert {own["voc07_ap"] for own in metrics["per_class"].values()} == {1.0}
    assert metrics["interval_95"]["voc07_map"] == {"low": 1, "high": 1}


def test_no_detection_scores_zero(twenty_classes: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nothing = Detected(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros(0, np.int64))
    metrics = metrics_of(monkeypatch, lambda *_, **__: [nothing] * 120)
    assert metrics["voc07_map"] == metrics["voc_map"] == metrics["coco_map"] == 0
    assert {own["voc_ap"] for own in metrics["per_class"].values()} == {0.0}
    assert all(not path.read_text() for path in Path("reports/evaluate/detections").iterdir())


def test_right_boxes_under_shuffled_labels_score_near_zero(
    twenty_classes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shuffle = np.random.default_rng(0).permutation
    metrics = metrics_of(monkeypatch, changed_truth(lambda boxes, labels: (boxes, shuffle(labels))))
    assert 0 < metrics["voc07_map"] < 0.1
    assert metrics["voc_map"] < 0.05 and metrics["coco_map"] < 0.05


def test_the_outs_are_there_and_agree_with_each_other(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evaluate, "detect_split", nearly_right)
    evaluate.main()
    outs = contents(evaluate.REPORTS)
    metrics = json.loads(outs["details.json"])
    split = evaluate.CleanSet(evaluate.CLEAN).split("test")
    truth = read_truth(split)
    assert metrics["images"] == 9
    assert metrics["objects"] == len(truth.image)
    assert set(metrics["per_class"]) == set(CLASSES)
    assert set(metrics["per_class"]["disc"]) == {"voc07_ap", "voc_ap", "coco_ap", "positives"}
    assert sum(c["positives"] for c in metrics["per_class"].values()) == len(truth.image) - 1

    # the files in the devkit's format score exactly as the metrics say
    files = devkit.detection_files(evaluate.REPORTS / "detections", "test")
    names = [split.name(index) for index in range(9)]
    found = devkit.read_detections(files, names, CLASSES)
    assert len(found.image) == len(truth.image)
    scores = score(found, truth, 3)
    assert 0.1 < scores.voc07_map < 1
    assert metrics["voc07_map"] == scores.voc07_map
    assert metrics["voc_map"] == scores.voc_map

    bounds = metrics["interval_95"]["voc07_map"]
    assert json.loads(outs["metrics.json"]) == {
        "voc07_map": round(scores.voc07_map, 3),
        "ci_lo": round(bounds["low"], 3),
        "ci_hi": round(bounds["high"], 3),
        "voc_map": round(scores.voc_map, 3),
        "coco_ap": round(metrics["coco_map"], 3),
    }

    rows = list(csv.DictReader(outs["precision_recall.csv"].decode().splitlines()))
    assert {row["class"] for row in rows} <= set(CLASSES)
    assert list(rows[0]) == ["class", "recall", "precision"]
    pictures = [name for name in outs if name.startswith("pictures/")]
    assert len(pictures) == 9
    assert all(outs[name].startswith(b"\xff\xd8") for name in pictures)


def test_the_errors_add_up_to_what_is_looked_at(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """nearly_right moves boxes by up to 4 of 16 pixels and gives a fifth another class."""
    monkeypatch.setattr(evaluate, "detect_split", nearly_right)
    evaluate.main()
    rows = list(csv.DictReader(Path("reports/evaluate/errors.csv").read_text().splitlines()))
    kinds = ["correct", "localisation", "similar", "other", "background"]
    assert [(row["class"], row["kind"]) for row in rows] == [(c, k) for c in CLASSES for k in kinds]
    positives = json.loads(Path("reports/evaluate/details.json").read_text())["per_class"]
    for name in CLASSES:
        counts = [int(row["count"]) for row in rows if row["class"] == name]
        assert 0 < sum(counts) <= positives[name]["positives"]
    total = {kind: sum(int(row["count"]) for row in rows if row["kind"] == kind) for kind in kinds}
    assert total["correct"] > 0 and total["other"] > 0
    # these classes have no similar ones, and every detection lies on an object
    assert total["similar"] == total["background"] == 0


def test_numbers_and_images_go_to_wandb_offline(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("YOLO_TRACKING", "offline")
    monkeypatch.setattr(evaluate, "detect_split", nearly_right)
    evaluate.main()
    details = json.loads(Path("reports/evaluate/details.json").read_text())
    (folder,) = Path("runs/evaluate").iterdir()
    (file,) = folder.rglob("run-*.wandb")
    (row,) = wandb_file.history(file)
    assert row["voc07_map"] == pytest.approx(details["voc07_map"])
    assert row["per_class.disc.voc_ap"] == pytest.approx(details["per_class"]["disc"]["voc_ap"])
    assert len(row["examples.captions"]) == 9
    assert wandb_file.config(file)["nms_iou"] == 0.5

    # the same evaluation is the same run
    evaluate.main()
    assert list(Path("runs/evaluate").iterdir()) == [folder]
    assert {path.name for path in folder.rglob("run-*.wandb")} == {file.name}


def test_trouble_with_the_log_is_a_warning(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("YOLO_TRACKING", "offline")
    Path("runs").write_text("a file where the folder should be")
    evaluate.main()
    assert "warning: the evaluation is not logged" in capsys.readouterr().err
    assert Path("reports/evaluate/metrics.json").is_file()


def test_the_page_needs_no_other_file(project: Path) -> None:
    evaluate.main()
    html = (evaluate.REPORTS / "report.html").read_text(encoding="utf-8")
    page = Page()
    page.feed(html)
    assert len([source for source in page.sources if source.startswith("data:image/jpeg")]) == 9
    assert all(source.startswith(("data:", "#")) for source in page.sources)
    assert "url(http" not in html and "@import" not in html
    assert str(project) not in html
    assert "noise" in page.text and "image 3" in page.text
    assert evaluate.digest(evaluate.DETECTOR) in page.text


def test_the_same_inputs_give_the_same_bytes(project: Path) -> None:
    evaluate.main()
    first = contents(evaluate.REPORTS)
    evaluate.main()
    assert contents(evaluate.REPORTS) == first


def test_labels_do_not_reach_the_predictions(project: Path) -> None:
    evaluate.main()
    first = contents(evaluate.REPORTS)
    write_clean(evaluate.CLEAN, labels_seed=9)
    evaluate.main()
    second = contents(evaluate.REPORTS)
    assert first["details.json"] != second["details.json"]
    detections = [name for name in first if name.startswith("detections/")]
    assert len(detections) == 3
    assert all(first[name] == second[name] for name in detections)


def test_without_objects_the_scores_are_undefined(project: Path) -> None:
    write_clean(evaluate.CLEAN, objects_at_least=0, objects_at_most=0)
    evaluate.main()
    metrics = json.loads((evaluate.REPORTS / "details.json").read_text())
    assert (metrics["images"], metrics["objects"]) == (9, 0)
    assert metrics["voc07_map"] is None
    headline = json.loads((evaluate.REPORTS / "metrics.json").read_text())
    assert len(headline) == 5 and set(headline.values()) == {None}
    assert metrics["per_class"]["disc"] == {
        "voc07_ap": None,
        "voc_ap": None,
        "coco_ap": None,
        "positives": 0,
    }


def test_an_empty_split_is_refused(project: Path) -> None:
    write_clean(evaluate.CLEAN, images=0)
    with pytest.raises(UserError, match=r"test\.arrow has no image"):
        evaluate.main()


def test_a_detector_of_other_classes_is_refused(project: Path) -> None:
    write_classes(evaluate.CLEAN, ("disc", "square"))
    with pytest.raises(UserError, match="knows the classes disc, square, star"):
        evaluate.main()
    assert not evaluate.REPORTS.exists()


def test_an_imported_detector_is_evaluated_like_our_own(project: Path, original: Path) -> None:
    names = ("disc", "square", "star", "ring")
    write_clean(evaluate.CLEAN, classes=names)
    import_darknet(original / "det.cfg", original / "det_after.weights", evaluate.DETECTOR, names)
    evaluate.main()
    metrics = json.loads(Path("reports/evaluate/details.json").read_text())
    assert metrics["images"] == 9
    assert 0 <= metrics["voc07_map"] <= 1
