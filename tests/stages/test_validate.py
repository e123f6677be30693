import csv
import json
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from format_sets import coco, coco_document, examples
from ruamel.yaml import YAML
from small_sets import annotation, picture, voc_set, write_tar

from stages.validate import main
from yolo.data.store.clean_set import CleanSet
from yolo.data.store.images import decode
from yolo.errors import UserError

PRESET = Path(__file__).resolve().parents[2] / "presets" / "base.yaml"
ROOT = "set/VOCdevkit/VOC2007"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "params.yaml").write_text(PRESET.read_text())
    return tmp_path


def set_parameters(project: Path, **values: object) -> None:
    """`set_parameters(p, data__detection__classes=["cat"])`."""
    yaml = YAML()
    path = project / "params.yaml"
    document = yaml.load(path)
    for key, value in values.items():
        *blocks, name = key.split("__")
        block = document
        for part in blocks:
            block = block[part]
        assert name in block
        block[name] = value
    yaml.dump(document, path)


def run(key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["validate", key])
    main()


def detection_files() -> dict[str, bytes]:
    files = voc_set({"train": [str(i) for i in range(70)], "val": ["a", "b"], "test": ["c", "d"]})
    files[f"{ROOT}/Annotations/1.xml"] = annotation([("cat", (3, 3, 9, 9)), ("cat", (4, 4, 4, 9))])
    files[f"{ROOT}/JPEGImages/2.jpg"] = b"404"
    return files


def contents(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_a_detection_set_is_admitted_and_two_runs_give_the_same_bytes(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_tar(project / "data/raw/detection/set.tar", detection_files())
    run("detection", monkeypatch)
    clean = CleanSet(project / "data/clean/detection")
    assert clean.classes == ("cat",)
    assert [len(clean.split(name)) for name in ("train", "val", "test")] == [69, 2, 2]
    reports = project / "reports/validate/detection"
    with (reports / "rejected.csv").open() as file:
        rows = list(csv.reader(file))
    assert rows == [
        ["file", "object", "rule", "value", "action"],
        [f"{ROOT}/Annotations/1.xml", "2", "empty_box", "4 4 4 9", "drop_object"],
        [f"{ROOT}/JPEGImages/2.jpg", "", "unreadable_image", "is no image", "drop_image"],
    ]
    metrics = json.loads((reports / "details.json").read_text())
    assert metrics["train"]["images"] == 69
    assert metrics["rejected"] == {"images": 1, "objects": 2}
    objects = sum(metrics[split]["objects"] for split in ("train", "val", "test"))
    assert json.loads(reports.with_suffix(".json").read_text()) == {
        "images": 73,
        "objects": objects,
    }
    assert (reports / "data_docs/index.html").exists()
    assert "train 69 (train), val 2 (val), test 2 (test)" in capsys.readouterr().out
    first = contents(project / "data/clean") | contents(project / "reports")
    run("detection", monkeypatch)
    assert contents(project / "data/clean") | contents(project / "reports") == first


def test_a_classification_set_is_admitted(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = {
        f"train/{label}/{i}.jpg": picture(10 * number + i)
        for number, label in enumerate(("cat", "dog"))
        for i in range(10)
    }
    write_tar(project / "data/raw/classification/set.tar", files)
    run("classification", monkeypatch)
    clean = CleanSet(project / "data/clean/classification")
    assert [len(clean.split(name)) for name in ("train", "val")] == [18, 2]
    assert sorted(path.name for path in clean.folder.iterdir()) == [
        "classes.json",
        "train.arrow",
        "val.arrow",
    ]
    reports = project / "reports/validate/classification"
    assert (reports / "rejected.csv").read_text() == "file,object,rule,value,action\n"
    assert json.loads(reports.with_suffix(".json").read_text()) == {"images": 20}


def parquet(path: Path, split: str, first_seed: int, rows: int) -> None:
    """A shard as Hugging Face publishes them; the last image is broken off."""
    pictures = [picture(first_seed + row) for row in range(rows)]
    pictures[-1] = pictures[-1][:200]
    table = pa.table(
        {
            "image": [{"bytes": data, "path": None} for data in pictures],
            "label": [row % 2 for row in range(rows)],
        }
    )
    names = {
        "info": {"features": {"label": {"names": ["tench", "goldfish"], "_type": "ClassLabel"}}}
    }
    table = table.replace_schema_metadata({"huggingface": json.dumps(names)})
    path.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path / f"{split}-00000-of-00001.parquet")


def test_parquet_files_are_admitted_like_folders(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    raw = project / "data/raw/classification"
    parquet(raw, "train", 0, 40)
    parquet(raw, "validation", 100, 30)
    set_parameters(project, data__classification__splits__val=["validation"])
    run("classification", monkeypatch)
    clean = CleanSet(project / "data/clean/classification")
    assert clean.classes == ("goldfish", "tench")
    train = clean.split("train")
    assert [len(train), len(clean.split("val"))] == [39, 29]
    # records go by name, and so by class
    assert (train.name(0), train.label(0)) == ("train/goldfish/00000-of-00001-000001.jpg", 0)
    assert bytes(train.image(0)) == picture(1)
    with (project / "reports/validate/classification/rejected.csv").open() as file:
        rows = list(csv.reader(file))[1:]
    assert [(row[0], row[2], row[4]) for row in rows] == [
        ("train/goldfish/00000-of-00001-000039.jpg", "unreadable_image", "drop_image"),
        ("validation/goldfish/00000-of-00001-000029.jpg", "unreadable_image", "drop_image"),
    ]


def test_a_refused_set_leaves_reports_but_no_clean_data(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = detection_files()
    files[f"{ROOT}/JPEGImages/c.jpg"] = files[f"{ROOT}/JPEGImages/3.jpg"]
    write_tar(project / "data/raw/detection/set.tar", files)
    with pytest.raises(UserError, match=r"(?s)duplicate_image.*JPEGImages/3\.jpg: is c of test"):
        run("detection", monkeypatch)
    assert not (project / "data/clean").exists()
    assert "duplicate_image" in (project / "reports/validate/detection/rejected.csv").read_text()
    set_parameters(project, validate__detection__rules__duplicate_image="drop_image")
    run("detection", monkeypatch)
    assert len(CleanSet(project / "data/clean/detection").split("train")) == 68


def test_parameters_choose_classes_splits_and_size(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = voc_set({"train": [str(i) for i in range(20)], "val": ["a", "b"]})
    files[f"{ROOT}/Annotations/1.xml"] = annotation([("cat", (3, 3, 9, 9)), ("dog", (4, 4, 8, 9))])
    write_tar(project / "data/raw/detection/set.tar", files)
    set_parameters(
        project,
        data__detection__classes=["cat"],
        data__detection__splits__test=["VOC2007/val"],
        data__detection__shorter_side=16,
    )
    run("detection", monkeypatch)
    clean = CleanSet(project / "data/clean/detection")
    assert [len(clean.split(name)) for name in ("train", "val", "test")] == [18, 2, 2]
    assert clean.split("test").name(0) == "a"
    assert decode(clean.split("test").image(0), "a").shape == (16, 21, 3)


@pytest.mark.parametrize("arguments", [[], ["pictures"], ["detection", "classification"]])
def test_the_set_must_be_named(arguments: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["validate", *arguments])
    with pytest.raises(UserError, match=r"classification\|detection"):
        main()


def test_an_empty_set_is_one_error(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_tar(project / "data/raw/detection/set.tar", {"readme.txt": b"nothing"})
    with pytest.raises(UserError, match="holds no images"):
        run("detection", monkeypatch)


def test_a_wrong_policy_is_refused_before_any_work(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_parameters(project, validate__detection__rules__empty_box="repair")
    with pytest.raises(UserError, match=r"validate\.detection\.rules\.empty_box is 'repair'"):
        run("detection", monkeypatch)


def test_a_coco_set_goes_the_same_way_and_own_splits_are_said(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    own = examples()["train"]
    files = {f"images/{name}.png": one.image for name, one in own.items()}
    files["result.json"] = json.dumps(coco_document(own)).encode()
    files["images/spare.png"] = picture(88, kind=".png")
    write_tar(project / "data/raw/detection/set.tar", files)
    set_parameters(
        project,
        data__detection__rename={"tabby cat": "cat"},
        validate__detection__rules__class_coverage="warn",
    )
    run("detection", monkeypatch)
    said = capsys.readouterr().out
    assert "detection: COCO JSON, 2 classes" in said
    assert "the set has no split for val and test: drawn from its training images" in said
    assert "1 images have no annotation: left out" in said
    clean = CleanSet(project / "data/clean/detection")
    assert clean.classes == ("cat", "dog")
    assert sum(len(clean.split(name)) for name in ("train", "val", "test")) == 3


def test_a_set_with_boxes_is_refused_as_classes(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_tar(project / "data/raw/classification/set.tar", coco(examples()))
    with pytest.raises(UserError, match=r"looks like COCO JSON \(annotations/instances_test2017"):
        run("classification", monkeypatch)
