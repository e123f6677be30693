"""The page, as text and in a real browser."""

import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import sync_playwright

from yolo.evaluation.analysis.analysis import Analysis, analyse, curve, details
from yolo.evaluation.report.detector_report import Origin, render
from yolo.evaluation.report.draw import class_colour, draw
from yolo.evaluation.report.examples import show
from yolo.metrics.voc_ap import Detections, Truth

CLASSES = ("person", "cat & <b>dog</b>", "never seen")
BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "chrome"))), None)


def noise(image: int) -> np.ndarray:
    return np.random.default_rng(image).integers(0, 256, (60 + image, 90, 3), np.uint8)


@pytest.fixture(scope="module")
def scene() -> tuple[Analysis, Detections]:
    """Twenty images, two objects each: a person found, and a cat or dog found in every other."""
    image = np.repeat(np.arange(20), 2)
    label = np.tile([0, 1], 20)
    box = np.tile([[5.0, 5, 40, 40], [50, 20, 80, 55]], (20, 1))
    truth = Truth(image, label, box, np.zeros(40, bool))
    kept = (label == 0) | (image % 2 == 0)
    found = Detections(image[kept], label[kept], np.linspace(0.95, 0.3, kept.sum()), box[kept] + 1)
    sizes = np.array([(90, 60 + number) for number in range(20)])
    return analyse(found, truth, CLASSES, sizes, 0.2), found


@pytest.fixture(scope="module")
def page(scene: tuple[Analysis, Detections]) -> str:
    analysis, found = scene
    pictures = show(analysis, found, 8, lambda image: f"image {image}", noise)
    card = {"network": "nano", "input_size": 64, "grid": 4, "boxes": 2, "classes": list(CLASSES)}
    origin = Origin(card, {"nms_iou": 0.5}, {"models/detector.safetensors": "12ab"})
    return render(analysis, pictures, origin)


def test_the_metrics_are_plain_values(scene: tuple[Analysis, Detections]) -> None:
    values = details(scene[0])
    # person: all found; cat & dog: half, no false detection; the third class is undefined
    assert values["voc_map"] == pytest.approx((1 + 0.5) / 2)
    assert values["voc07_map"] == pytest.approx((1 + 6 / 11) / 2)
    assert values["per_class"]["never seen"] == {
        "voc07_ap": None,
        "voc_ap": None,
        "coco_ap": None,
        "positives": 0,
    }
    assert (values["images"], values["objects"], values["difficult"]) == (20, 40, 0)
    bounds = values["interval_95"]["voc_map"]
    assert 0.6 < bounds["low"] < 0.75 < bounds["high"] < 0.9
    for name in ("coco_map", "coco_map50", "coco_map75"):
        bounds = values["interval_95"][name]
        assert bounds["low"] < values[name] < bounds["high"] < bounds["low"] + 0.3


def test_a_long_curve_is_thinned_and_keeps_its_ends(scene: tuple[Analysis, Detections]) -> None:
    result = scene[0].scores.per_class[0]
    thin = curve(result, points=5)
    assert len(thin.recall) == 5
    assert (thin.recall[0], thin.recall[-1]) == (0.05, 1.0)
    assert len(curve(scene[0].scores.per_class[2]).recall) == 0


def test_the_page_shows_the_numbers(page: str) -> None:
    text = re.sub(r"<[^>]+>", " ", re.sub(r"<(style|svg).*?</\1>", "", page, flags=re.DOTALL))
    assert "77.3" in text and "75.0" in text
    assert "models/detector.safetensors" in text and "12ab" in text
    assert "evaluate.nms_iou" in text
    assert "1 found, 1 missed, 0 false" in text


def test_names_cannot_break_the_page(page: str) -> None:
    assert "<b>dog" not in page
    assert "cat &amp; &lt;b&gt;dog&lt;/b&gt;" in page


def test_a_page_without_detections_or_pictures_is_made() -> None:
    none = Detections(np.zeros(0, int), np.zeros(0, int), np.zeros(0), np.zeros((0, 4)))
    truth = Truth(np.zeros(1, int), np.zeros(1, int), np.ones((1, 4)), np.zeros(1, bool))
    analysis = analyse(none, truth, ("a",), np.array([[10, 10]]), 0.2)
    assert "No detections." in render(analysis, [], Origin({}, {}, {}))


@pytest.mark.skipif(BROWSER is None, reason="no Chromium; `apt-get install chromium` brings it")
@pytest.mark.parametrize(("width", "height"), [(390, 844), (1280, 800)])
def test_a_browser_shows_it_without_complaint(
    page: str, tmp_path: Path, width: int, height: int
) -> None:
    path = tmp_path / "report.html"
    path.write_text(page, encoding="utf-8")
    complaints: list[str] = []
    requests: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
        shown = browser.new_page(viewport={"width": width, "height": height})
        shown.on("console", lambda message: complaints.append(message.text))
        shown.on("pageerror", lambda error: complaints.append(str(error)))
        shown.on("request", lambda request: requests.append(request.url))
        shown.goto(path.as_uri(), wait_until="load")
        pictures, loaded, plots, page_width = shown.evaluate(
            """() => [
              document.images.length,
              [...document.images].filter(image => image.complete && image.naturalWidth).length,
              document.querySelectorAll("svg").length,
              document.documentElement.scrollWidth]"""
        )
        browser.close()
    assert not complaints
    assert all(url.startswith(("file:", "data:")) for url in requests)
    assert (pictures, loaded, plots) == (8, 8, 4)
    assert page_width <= width


def test_a_box_is_drawn_on_its_own_pixels() -> None:
    image = np.zeros((60, 80, 3), np.uint8)
    box = np.array([[11.0, 31, 40, 50]])
    picture = np.asarray(draw(image, box, [0], [0.9], ["x"]))
    # 1-based inclusive 11..40 and 31..50 are the pixels 10..39 and 30..49
    assert tuple(picture[49, 39]) == class_colour(0)
    assert tuple(picture[49, 10]) == class_colour(0)
    assert not picture[50:].any() and not picture[30:, 40:].any()


def test_true_boxes_are_dashed_and_pictures_can_be_enlarged() -> None:
    image = np.zeros((60, 80, 3), np.uint8)
    none = np.zeros((0, 4))
    box = np.array([[1.0, 1, 80, 60]])
    picture = draw(image, none, [], [], [], true_boxes=box, true_names=[""], scale=2)
    assert picture.size == (160, 120)
    row = np.asarray(picture)[0, :, 0]
    assert {20, 255} == set(row.tolist())
