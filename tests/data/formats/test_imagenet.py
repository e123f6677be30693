"""ImageNet-1k as published: archives in an archive, Kaggle's copy, names that carry classes."""

import io
import tarfile
from collections.abc import Mapping
from pathlib import Path

import pytest
from scipy.io import savemat
from small_sets import MemoryFiles

from yolo.data.archives.reader import Archives
from yolo.data.formats.imagenet import read
from yolo.data.formats.index import Index, Limits
from yolo.data.formats.layouts import read_index, read_index_of
from yolo.errors import UserError

CAT, DOG = "n02123045", "n02085620"
TRAIN = {f"{CAT}/{CAT}_1.JPEG": b"", f"{DOG}/{DOG}_2.JPEG": b""}
VAL = {"ILSVRC2012_val_00000001.JPEG": b"", "ILSVRC2012_val_00000002.JPEG": b""}


def found(files: Mapping[str, bytes]) -> Index:
    index = read(MemoryFiles(dict(files)))
    assert index is not None
    return index


def labels(index: Index, split: str) -> list[str | None]:
    return [index.records[name].label for name in index.published[split]]


def solution(*rows: str) -> bytes:
    return "\n".join(["ImageId,PredictionString", *rows]).encode()


def development_kit(*numbers: int) -> dict[str, bytes]:
    import numpy as np

    table = np.zeros(2, dtype=[("ILSVRC2012_ID", "O"), ("WNID", "O")])
    table["ILSVRC2012_ID"], table["WNID"] = [1, 2], [DOG, CAT]
    meta = io.BytesIO()
    savemat(meta, {"synsets": table})
    truth = "".join(f"{number}\n" for number in numbers).encode()
    folder = "ILSVRC2012_devkit_t12/data"
    return {
        f"{folder}/meta.mat": meta.getvalue(),
        f"{folder}/ILSVRC2012_validation_ground_truth.txt": truth,
    }


def test_kaggles_copy_has_the_validation_classes_in_a_table() -> None:
    root = "ILSVRC/Data/CLS-LOC"
    files = {f"{root}/train/{name}": b"" for name in TRAIN}
    files |= {f"{root}/val/{name}": b"" for name in VAL}
    files |= {f"{root}/test/ILSVRC2012_test_00000001.JPEG": b""}
    files["LOC_val_solution.csv"] = solution(
        f"ILSVRC2012_val_00000002,{DOG} 1 2 3 4 {DOG} 5 6 7 8",
        f"ILSVRC2012_val_00000001,{CAT} 85 1 499 272",
    )
    index = found(files)
    assert labels(index, "train") == [DOG, CAT]
    assert labels(index, "val") == [CAT, DOG]
    assert set(index.published) == {"train", "val"}
    assert index.notes == ["1 test images are left out: ImageNet does not publish their classes"]


def test_boxes_beside_the_classes_do_not_make_it_a_detection_set() -> None:
    files = {f"ILSVRC/Data/CLS-LOC/train/{name}": b"" for name in TRAIN}
    box = f"<annotation><object><name>{CAT}</name></object></annotation>".encode()
    files[f"ILSVRC/Annotations/CLS-LOC/train/{CAT}/{CAT}_1.xml"] = box
    assert read_index_of("classification", MemoryFiles(files), Limits()).kind == "classification"
    assert read_index(MemoryFiles(files), Limits()).layout == "ImageNet-1k"


def test_the_development_kit_says_the_validation_classes() -> None:
    index = found({**TRAIN, **VAL, **development_kit(2, 1)})
    assert labels(index, "val") == [CAT, DOG]


@pytest.mark.parametrize("numbers", [(2,), (2, 7)])
def test_a_development_kit_of_other_images_is_refused(numbers: tuple[int, ...]) -> None:
    with pytest.raises(UserError, match="has no class for ILSVRC2012_val_00000002"):
        found({**VAL, **development_kit(*numbers)})


@pytest.mark.parametrize(
    ("name", "content", "text"),
    [
        ("LOC_val_solution.csv", b"a,b\n1,2\n", "is no table of ImageId and PredictionString"),
        ("LOC_val_solution.csv", b"\xff\xfe\x00", "is no table of ImageId and PredictionString"),
        ("data/meta.mat", b"no table", "is not the development kit's table of classes"),
    ],
)
def test_a_damaged_file_of_classes_is_named(name: str, content: bytes, text: str) -> None:
    files = {**TRAIN, **VAL, "data/ILSVRC2012_validation_ground_truth.txt": b"1\n2\n"}
    with pytest.raises(UserError, match=text):
        found({**files, name: content})


def test_validation_images_without_classes_are_left_out_in_words() -> None:
    index = found({**TRAIN, **VAL})
    assert set(index.published) == {"train"}
    (note,) = index.notes
    assert note.startswith("2 validation images are left out") and "LOC_val_solution.csv" in note


def test_names_that_carry_their_class() -> None:
    """As Hugging Face's archives of ImageNet-1k have them."""
    index = found(
        {
            f"{CAT}_10026_{CAT}.JPEG": b"",
            f"{DOG}_18.JPEG": b"",
            f"ILSVRC2012_val_00000001_{CAT}.JPEG": b"",
        }
    )
    assert labels(index, "train") == [DOG, CAT]
    assert labels(index, "val") == [CAT]


@pytest.mark.parametrize("names", [["train/cat/1.jpg"], [f"train/{CAT}/{CAT}_1.JPEG"], []])
def test_other_sets_are_not_imagenets(names: list[str]) -> None:
    assert read(MemoryFiles(dict.fromkeys(names, b""))) is None


def packed(members: Mapping[str, bytes]) -> bytes:
    blob = io.BytesIO()
    with tarfile.open(fileobj=blob, mode="w") as tar:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return blob.getvalue()


def test_the_archives_of_ilsvrc_as_they_are_published(tmp_path: Path) -> None:
    inner = {
        f"{s}.tar": packed({f"{s}_{n}.JPEG": f"{s}{n}".encode()}) for n, s in ((1, CAT), (2, DOG))
    }
    (tmp_path / "ILSVRC2012_img_train.tar").write_bytes(packed(inner))
    (tmp_path / "ILSVRC2012_img_val.tar").write_bytes(packed(VAL))
    with tarfile.open(tmp_path / "ILSVRC2012_devkit_t12.tar.gz", "w:gz") as tar:
        for name, content in development_kit(1, 1).items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    with Archives(tmp_path) as files:
        index = read_index_of("classification", files, Limits())
        assert labels(index, "train") == [DOG, CAT]
        assert labels(index, "val") == [DOG, DOG]
        assert files.read(f"{CAT}/{CAT}_1.JPEG") == f"{CAT}1".encode()
