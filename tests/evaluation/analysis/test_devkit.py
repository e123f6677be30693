"""The devkit's files: exact round trip, and errors with file and line."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from yolo.errors import UserError
from yolo.evaluation.analysis import devkit
from yolo.inspection.published_truth import read_annotations
from yolo.metrics.voc_ap import Detections, Truth, score


@pytest.fixture
def small(tmp_path: Path, write_devkit: Callable[..., Path]) -> Path:
    """Two images, a cat in one of them, and its detection."""
    truth = Truth(np.array([0]), np.array([0]), np.array([[1.0, 1, 9, 9]]), np.array([False]))
    write_devkit(tmp_path / "VOC", truth, ["000001", "a b"], ["cat"])
    (tmp_path / "found").mkdir()
    (tmp_path / "found/comp4_det_test_cat.txt").write_text("000001 0.5 1 1 9 9\n")
    return tmp_path


@pytest.mark.parametrize("name", ["main_", "edge_"])
def test_files_give_the_scores_of_the_arrays(
    tmp_path: Path, reference: Callable[[str], Any], write_devkit: Callable[..., Path], name: str
) -> None:
    detections, truth, classes, data = reference(name)
    images = [f"{number:06d}" for number in range(int(data["n_images"]))]
    names = [f"class_{label}" for label in range(classes)]
    year = write_devkit(tmp_path / "VOC2007", truth, images, names)
    devkit.write_detections(tmp_path / "found", detections, images, names, "test")

    files = devkit.detection_files(tmp_path / "found", "test")
    known = devkit.with_classes(read_annotations(year, "test"), list(files))
    found = devkit.read_detections(files, known.images, known.classes)
    assert known.classes == tuple(names)
    scores = score(found, known.truth, classes)
    np.testing.assert_allclose(
        [c.ap07 for c in scores.per_class], data["devkit_ap11"], rtol=0, atol=1e-9
    )
    np.testing.assert_allclose(
        [c.ap for c in scores.per_class], data["devkit_apall"], rtol=0, atol=1e-9
    )


def test_reading_gives_exactly_the_rounded_detections(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    detections = devkit.rounded(
        Detections(
            rng.integers(0, 9, 500),
            rng.integers(0, 3, 500),
            rng.random(500).astype(np.float32),
            rng.uniform(1, 500, (500, 4)).astype(np.float32),
        )
    )
    images, classes = [f"image {n}" for n in range(9)], ["a", "b_c", "d"]
    devkit.write_detections(tmp_path, detections, images, classes, "val")
    found = devkit.read_detections(devkit.detection_files(tmp_path, "val"), images, classes)
    order = np.argsort(detections.label, kind="stable")
    np.testing.assert_array_equal(found.image, detections.image[order])
    np.testing.assert_array_equal(found.label, detections.label[order])
    np.testing.assert_array_equal(found.score, detections.score[order])
    np.testing.assert_array_equal(found.box, detections.box[order])


def test_a_class_without_detections_has_an_empty_file(tmp_path: Path) -> None:
    none = Detections(np.zeros(0, int), np.zeros(0, int), np.zeros(0), np.zeros((0, 4)))
    devkit.write_detections(tmp_path, none, [], ["cat"], "test")
    assert (tmp_path / "comp4_det_test_cat.txt").read_text() == ""


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("000001 0.5 1 1 9", r"cat\.txt:2: '000001 0.5 1 1 9' should be"),
        ("000001 0.5 1 1 9 x", r"cat\.txt:2: .* should be"),
        ("000001 nan 1 1 9 9", r"cat\.txt:2: .* finite"),
        ("000001 0.5 1 1 9 1_0", r"cat\.txt:2: .* should be"),
        ("000001 0.5 1 1 9 9 9", r"cat\.txt:2: image '000001 0.5' is not in the split"),
        ("000001,0.5,1,1,9,9", r"cat\.txt:2: .* should be"),
        ("0.5 1 1 9 9", r"cat\.txt:2: '0.5 1 1 9 9' should be"),
        ("000777 0.5 1 1 9 9", r"cat\.txt:2: image '000777' is not in the split \(2 images\)"),
    ],
)
def test_a_wrong_line_is_named(small: Path, line: str, message: str) -> None:
    path = small / "found/comp4_det_test_cat.txt"
    path.write_text(f"a b 0.5 1 1 9 9\n{line}\n\n")
    known = read_annotations(small / "VOC", "test")
    files = devkit.detection_files(small / "found", "test")
    with pytest.raises(UserError, match=message):
        devkit.read_detections(files, known.images, known.classes)


def test_what_other_systems_write_is_read(small: Path) -> None:
    """A byte order mark, line ends of Windows, exponents; a form feed ends no line."""
    path = small / "found/comp4_det_test_cat.txt"
    path.write_bytes(b"\xef\xbb\xbf000001 5.0E-01 1e0 1 9 9\r\n\r\na b .25 1 1 9 9 \x0c\r\n")
    (small / "VOC/ImageSets/Main/test.txt").write_bytes(b"\xef\xbb\xbf000001\r\na b\r\n")
    known = read_annotations(small / "VOC", "test")
    assert known.images == ("000001", "a b")
    found = devkit.read_detections({"cat": path}, known.images, known.classes)
    assert found.image.tolist() == [0, 1]
    assert found.score.tolist() == [0.5, 0.25]
    path.write_text("000001 0.5 1 1 9 9\x0c\n000001 x 1 1 9 9\n")
    with pytest.raises(UserError, match=r"cat\.txt:2: "):
        devkit.read_detections({"cat": path}, known.images, known.classes)


def test_an_unknown_class_is_named(small: Path) -> None:
    known = read_annotations(small / "VOC", "test")
    with pytest.raises(UserError, match=r"dog\.txt: unknown class dog; known: cat"):
        devkit.read_detections({"dog": Path("dog.txt")}, known.images, known.classes)
    with pytest.raises(UserError, match="unknown class 'Cat'; the annotations call it 'cat'"):
        devkit.check_classes({"Cat": Path("Cat.txt")}, known.classes)
    (note,) = devkit.check_classes({"dog": Path("dog.txt")}, known.classes)
    assert "its AP is undefined" in note


def test_folders_and_splits_that_are_not_there_are_named(small: Path) -> None:
    with pytest.raises(UserError, match="is not a folder"):
        devkit.detection_files(small / "nowhere", "test")
    with pytest.raises(UserError, match="no file named comp4_det_val_<class>"):
        devkit.detection_files(small / "found", "val")
