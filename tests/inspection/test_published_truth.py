"""What `yolov1 score` takes as the truth is what validation admits."""

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from format_sets import FORMATS, examples
from PIL import Image
from small_sets import annotation, write_folder, write_tar

from yolo.errors import UserError
from yolo.evaluation.analysis import devkit
from yolo.inspection.published_truth import read_annotations
from yolo.metrics.voc_ap import Truth


@pytest.fixture
def small(tmp_path: Path, write_devkit: Callable[..., Path]) -> Path:
    """Two images that are not there, a cat in one of them."""
    truth = Truth(np.array([0]), np.array([0]), np.array([[1.0, 1, 9, 9]]), np.array([False]))
    return write_devkit(tmp_path / "VOC", truth, ["000001", "a b"], ["cat"])


@pytest.mark.parametrize("form", FORMATS)
def test_every_format_gives_the_same_truth(tmp_path: Path, form: str) -> None:
    known = read_annotations(write_folder(tmp_path, FORMATS[form](examples())), "test")
    assert known.classes == ("dog", "tabby cat")
    boxes = [box for one in examples()["test"].values() for _, box in one.objects]
    assert sorted(known.truth.box.tolist()) == sorted(map(list, boxes))
    assert len(known.images) == 2


def test_an_archive_is_read_in_place(tmp_path: Path) -> None:
    write_tar(tmp_path / "set.tar", FORMATS["voc"](examples()))
    assert read_annotations(tmp_path / "set.tar", "val").images == ("b1", "b2")


@pytest.mark.parametrize("line", ["000001  1", "JPEGImages/000001.jpg", '"000001"', "000001,1"])
def test_lists_are_read_as_validation_reads_them(small: Path, line: str) -> None:
    (small / "ImageSets/Main/test.txt").write_text(f"{line}\na b -1\n")
    assert read_annotations(small, "test").images == ("000001", "a b")


def test_a_namespace_loses_no_object(small: Path) -> None:
    path = small / "Annotations/000001.xml"
    path.write_bytes(path.read_bytes().replace(b"<annotation>", b'<annotation xmlns="http://x/y">'))
    assert len(read_annotations(small, "test").truth.image) == 1


def test_detections_may_name_an_image_by_its_last_part(tmp_path: Path) -> None:
    known = read_annotations(write_folder(tmp_path, FORMATS["coco"](examples())), "test")
    path = tmp_path / "comp4_det_test_dog.txt"
    path.write_text("c2 0.5 1 1 9 9\ntest2017/c1 0.5 1 1 9 9\n")
    found = devkit.read_detections({"dog": path}, known.images, known.classes)
    assert [known.images[i] for i in found.image] == ["test2017/c2", "test2017/c1"]


def test_boxes_count_the_pixels_that_predictions_count(small: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    file = io.BytesIO()
    Image.new("RGB", (40, 30)).save(file, "JPEG", exif=exif)
    xml = {"filename": "000001.jpg"}
    stored = annotation([("cat", (1, 2, 9, 12))], size=(40, 30), **xml)
    write_folder(
        small, {"JPEGImages/000001.jpg": file.getvalue(), "Annotations/000001.xml": stored}
    )
    assert read_annotations(small, "test").truth.box.tolist() == [[19, 1, 29, 9]]
    upright = annotation([("cat", (1, 2, 9, 12))], size=(30, 40), **xml)
    write_folder(small, {"Annotations/000001.xml": upright})
    assert read_annotations(small, "test").truth.box.tolist() == [[1, 2, 9, 12]]


def test_a_split_that_is_not_there_is_named(small: Path) -> None:
    with pytest.raises(UserError, match=r"has no split 'val'; splits there: test"):
        read_annotations(small, "val")
    (small / "ImageSets/Main/test.txt").write_text("000001\n000001\n")
    with pytest.raises(UserError, match=r"Main/test\.txt: image 000001 is listed more than once"):
        read_annotations(small, "test")


def test_a_missing_or_broken_annotation_is_named(small: Path) -> None:
    path = small / "Annotations/000001.xml"
    path.write_text("<annotation><object><name>cat</name></object></annotation>")
    with pytest.raises(UserError, match=r"000001\.xml: object 1 needs a name and a box"):
        read_annotations(small, "test")
    path.write_text("<annotation>")
    with pytest.raises(UserError, match=r"000001\.xml is no readable annotation"):
        read_annotations(small, "test")
    path.unlink()
    with pytest.raises(UserError, match="image 000001 has no annotation"):
        read_annotations(small, "test")
