"""Tables of boxes and what is wrong in them."""

import pytest
from judged_sets import judge
from small_sets import MemoryFiles, picture

from yolo.data.formats.csv_boxes import read
from yolo.data.formats.index import Index, Limits
from yolo.errors import UserError

HEADER = "filename,width,height,class,xmin,ymin,xmax,ymax"
NAMES = ("a", "b", "c", "d", "e")
IMAGES = {f"images/{name}.jpg": picture(n) for n, name in enumerate(NAMES)}
GOOD = [f"{name}.jpg,40,30,cat,3,3,12,12" for name in NAMES]


def table(*lines: str, header: str = HEADER) -> bytes:
    return "\r\n".join([header, *GOOD, *lines, ""]).encode()


def index(data: bytes, name: str = "train_labels.csv", **limits: int) -> Index:
    found = read(MemoryFiles({**IMAGES, name: data}), Limits(**limits))
    assert found is not None
    return found


WRONG = {
    "a side missing": ("a.jpg,40,30,cat,3,3,12", "invalid_box", "3 3 12 ? (line 7)"),
    "no number": ("a.jpg,40,30,cat,3,x,12,12", "invalid_box", "3 x 12 12 (line 7)"),
    "not finite": ("a.jpg,40,30,cat,3,inf,12,12", "invalid_box", "3 inf 12 12 (line 7)"),
    "empty": ("a.jpg,40,30,cat,9,9,9,12", "empty_box", "9 9 9 12 (line 7)"),
    "outside": ("a.jpg,40,30,cat,20,20,41,29", "box_outside", "20 20 41 29 (line 7) in 40x30"),
    "no class": ("a.jpg,40,30,,20,20,30,29", "unknown_class", "has no name"),
    "twice": (GOOD[0], "duplicate_object", "is object 1 again"),
}


@pytest.mark.parametrize(("line", "rule", "value"), WRONG.values(), ids=list(WRONG))
def test_a_wrong_object_is_named_with_its_line(line: str, rule: str, value: str) -> None:
    found = judge({**IMAGES, "train.csv": table(line)}, splits={"train": None})
    rows = [one for one in found.filtered.findings if one.rule != "cell_collision"]
    assert [(one.file, one.object, one.rule, one.value) for one in rows] == [
        ("images/a.jpg", 2, rule, value)
    ]


def test_a_size_that_is_wrong_is_found() -> None:
    data = table().replace(b"a.jpg,40,30", b"a.jpg,30,40")
    [one] = judge({**IMAGES, "train.csv": data}, splits={"train": None}).filtered.findings
    assert (one.rule, one.value) == ("size_mismatch", "stated 30x40, is 40x30")


@pytest.mark.parametrize(
    "data",
    [
        b"\xef\xbb\xbf" + table(),
        table().decode().encode("utf-16"),
        table().replace(b"\r\n", b"\n"),
        table(header="Filename, Width ,HEIGHT,Class,xmin,ymin,xmax,ymax"),
        table().replace(b"a.jpg", b'"images/a.jpg"'),
        "\n".join(
            ["xmin,ymin,xmax,ymax,label,image", *(f"3,3,12,12,cat,{name}.jpg" for name in NAMES)]
        ).encode(),
    ],
)
def test_columns_in_any_order_and_encodings_are_read(data: bytes) -> None:
    found = index(data)
    assert [record.image for record in found.records.values()] == list(IMAGES)
    assert all(record.boxes is not None for record in found.records.values())
    assert list(found.published) == ["train"]


def test_other_tables_are_no_annotations() -> None:
    held = {**IMAGES, "a.csv": b"id,label\n1,cat\n", "b.csv": b"\xff\xfe\x00", "c.csv": b""}
    assert read(MemoryFiles(held), Limits()) is None


def test_images_that_are_missing_are_named() -> None:
    found = judge(
        {**IMAGES, "train.csv": table("gone.jpg,1,1,cat,1,1,2,2"), "x/gone.heic": b""},
        splits={"train": None},
    )
    [one] = found.filtered.findings
    assert (one.rule, one.file) == ("missing_image", "train.csv")
    assert "x/gone.heic is there, but HEIC is not read" in one.value


@pytest.mark.parametrize(
    ("data", "limits", "words"),
    [
        (table(), {"objects": 4}, r"train_labels\.csv: more than 4 objects"),
        (table("\u00e9.jpg,1,1,chien,1,1,2,2").decode().encode("cp1252"), {}, "in UTF-8"),
        (table('a.jpg,1,1,"' + "x" * 200_000), {}, "field larger than"),
        (table("x" * 3_000_000), {}, "train_labels"),
    ],
)
def test_a_table_that_cannot_be_read_is_an_error(data: bytes, limits: dict, words: str) -> None:
    with pytest.raises(UserError, match=words):
        index(data, **limits)


def test_a_table_with_line_ends_of_old_macs_says_how_to_save_it() -> None:
    data = table().replace(b"\r\n", b"\r")
    with pytest.raises(UserError, match=r"train_labels\.csv: new-line .*; save it as CSV in UTF-8"):
        index(data)
