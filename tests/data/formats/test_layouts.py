"""Which layout a set has, and that it is never taken for the other kind."""

from pathlib import Path

import pytest
from format_sets import FORMATS, examples
from judged_sets import image_folder
from small_sets import MemoryFiles, picture, voc_set

from yolo.data.archives.reader import Archives
from yolo.data.formats.index import Limits
from yolo.data.formats.layouts import read_index, read_index_of
from yolo.errors import UserError

LAYOUTS = {
    "voc": ("Pascal VOC XML", "xml"),
    "voc_beside": ("Pascal VOC XML", "xml"),
    "roboflow": ("Pascal VOC XML", "xml"),
    "coco": ("COCO JSON", r"instances_\w+\.json"),
    "coco_per_split": ("COCO JSON", r"_annotations\.coco\.json"),
    "yolo": ("YOLO labels", "txt"),
    "yolo_per_split": ("YOLO labels", "txt"),
    "darknet": ("YOLO labels", "txt"),
    "csv_table": ("CSV table", "csv"),
    "parquet": ("Hugging Face parquet", r"objects\.json"),
}


@pytest.mark.parametrize("form", FORMATS)
def test_a_set_with_boxes_is_never_read_as_classes(tmp_path: Path, form: str) -> None:
    layout, evidence = LAYOUTS[form]
    for name, data in FORMATS[form](examples()).items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(data)
    with Archives(tmp_path) as files:
        assert read_index(files, Limits()).layout == layout
        with pytest.raises(UserError, match=rf"looks like {layout} \(.*{evidence}\): it has boxes"):
            read_index_of("classification", files, Limits())


def test_a_set_that_lost_its_annotations_is_none_of_classes_either() -> None:
    files = {n: d for n, d in voc_set({"train": ["1"]}).items() if "Annotations" not in n}
    assert read_index(MemoryFiles(files), Limits()).kind == "detection"


def test_classes_are_no_set_with_boxes() -> None:
    files = MemoryFiles(image_folder())
    assert read_index(files, Limits()).kind == "classification"
    with pytest.raises(UserError, match=r"has no boxes.*COCO JSON, YOLO labels"):
        read_index_of("detection", files, Limits())


def test_coco_that_is_empty_is_said_and_no_class() -> None:
    files = {"train2017/1.jpg": picture(1), "annotations/instances_train2017.json": b"{}"}
    with pytest.raises(UserError, match=r"looks like COCO \(annotations/instances_train2017"):
        read_index(MemoryFiles(files), Limits())


def test_what_holds_nothing_is_an_error_that_names_all_layouts() -> None:
    with pytest.raises(UserError, match=r"holds no images.*Pascal VOC.*COCO.*YOLO.*CLASS/IMAGE"):
        read_index(MemoryFiles({"readme.md": b""}), Limits())


UNREAD = {
    "LabelMe": ("train/a.json", b'{"version": "5.0", "flags": {}, "shapes": [{"label": "cat"}]}'),
    "CreateML": (
        "train/_annotations.createml.json",
        b'[{"image": "a.jpg", "annotations": [{"label": "cat", "coordinates": {"x": 1}}]}]',
    ),
    "VIA": ("via.json", b'{"a.jpg1": {"filename": "a.jpg", "file_attributes": {}}}'),
    "Supervisely": ("ds/ann/a.jpg.json", b'{"objects": [{"classTitle": "cat"}]}'),
    "CVAT": (
        "annotations.xml",
        b"<annotations><image id='0'/></annotations>",
    ),
    "CSV": ("boxes.csv", b"image_id,x,y,w,h,label\na,1,1,2,2,cat\n"),
    "TFRecord": ("train/cats.tfrecord", b"\x00"),
}


@pytest.mark.parametrize("form", UNREAD)
def test_other_formats_of_boxes_are_said_and_no_classes(form: str) -> None:
    name, data = UNREAD[form]
    files = {"train/a.jpg": picture(1), "valid/b.jpg": picture(2), name: data}
    with pytest.raises(UserError, match=rf"looks like .*{form}.*\({name}\), which is not read"):
        read_index(MemoryFiles(files), Limits())


def test_label_studio_s_notes_are_no_coco() -> None:
    files = FORMATS["darknet"](examples())
    files["notes.json"] = b'{"categories": [{"id": 0, "name": "dog"}], "info": {"year": 2024}}'
    assert read_index(MemoryFiles(files), Limits()).layout == "YOLO labels"


def test_other_json_and_tables_beside_classes_are_no_boxes() -> None:
    files = image_folder() | {
        "Labels.json": b'{"n01": "cat", "images": ["a"]}',
        "classes.csv": b"id,name\n1,cat\n",
    }
    assert read_index(MemoryFiles(files), Limits()).kind == "classification"
