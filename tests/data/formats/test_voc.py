import pytest
from small_sets import MemoryFiles, annotation, picture, voc_set

from yolo.data.formats.index import Index
from yolo.data.formats.voc import read, read_images_alone
from yolo.data.formats.voc_xml import parse
from yolo.errors import UserError

ROOT = "set/VOCdevkit/VOC2007"


def index(files: dict[str, bytes]) -> Index:
    found = read(MemoryFiles(files))
    assert found is not None
    return found


def test_an_annotation_keeps_its_texts_and_numbers() -> None:
    parsed = parse(
        annotation(
            [("cat", (1, 2.5, "45.70000076293945", 30)), ("dog", (3, 4, 5, 6))],
            filename="000001.jpg",
            flags="<difficult>1</difficult><truncated>0</truncated>",
        )
    )
    assert parsed.filename == "000001.jpg"
    assert parsed.size == "40x30"
    assert [found.name for found in parsed.objects] == ["cat", "dog"]
    assert [found.number for found in parsed.objects] == [1, 2]
    assert parsed.objects[0].box == (1.0, 2.5, 45.70000076293945, 30.0)
    assert parsed.objects[0].difficult == "1"
    assert parsed.objects[0].truncated == "0"


def test_absent_flags_are_zero() -> None:
    found = parse(annotation(flags="")).objects[0]
    assert (found.difficult, found.truncated) == ("0", "0")


def test_boxes_of_parts_are_ignored() -> None:
    part = (
        "<part><name>head</name><bndbox><xmin>1</xmin><ymin>1</ymin><xmax>2</xmax><ymax>2</ymax>"
        "</bndbox></part>"
    )
    parsed = parse(annotation([("person", (5, 6, 20, 21))], inside=part))
    assert [(found.name, found.box) for found in parsed.objects] == [("person", (5, 6, 20, 21))]


def test_only_a_part_has_a_box() -> None:
    part = "<part><bndbox><xmin>1</xmin><ymin>1</ymin><xmax>2</xmax><ymax>2</ymax></bndbox></part>"
    xml = f"<annotation><object><name>a</name>{part}</object></annotation>".encode()
    assert parse(xml).objects[0].box is None


@pytest.mark.parametrize("value", ["", "left", "nan", "inf", "-inf", "1,5"])
def test_a_side_that_is_no_finite_number_is_no_box(value: str) -> None:
    found = parse(annotation([("cat", (1, value, 3, 4))])).objects[0]
    assert found.box is None
    assert found.box_text == f"1 {value or '?'} 3 4"


@pytest.mark.parametrize(
    ("size", "text"),
    [((500, 375), "500x375"), (("500.0", " 375 "), "500x375"), (None, "none"), ((0, ""), "0x")],
)
def test_the_stated_size_is_text(size: tuple | None, text: str) -> None:
    assert parse(annotation(size=size)).size == text


ENTITIES = b'<!DOCTYPE a [<!ENTITY x "xxxx"><!ENTITY y "&x;&x;">]><annotation>&y;</annotation>'
EXTERNAL = b'<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><annotation>&x;</annotation>'


@pytest.mark.parametrize(
    "xml",
    [b"", b"<annotation>", b"no xml", b"\xff\xfe\x00", b"<html></html>", ENTITIES, EXTERNAL],
)
def test_what_is_no_annotation_is_an_error(xml: bytes) -> None:
    with pytest.raises(UserError):
        parse(xml)


def test_one_root_names_pictures_by_their_id() -> None:
    found = index(voc_set({"train": ["000002", "000001"], "val": ["000003"]}))
    assert list(found.records) == ["000001", "000002", "000003"]
    record = found.records["000002"]
    assert record.image == f"{ROOT}/JPEGImages/000002.jpg"
    assert record.annotation == f"{ROOT}/Annotations/000002.xml"
    assert found.published["train"] == ["000002", "000001"]
    assert found.published["VOC2007/val"] == ["000003"]


def test_several_roots_are_joined_and_told_apart() -> None:
    files = voc_set({"train": ["1"], "val": ["2"]}) | voc_set(
        {"train": ["1"], "test": ["3"]}, root="other/VOC2012", first_seed=9
    )
    found = index(files)
    assert list(found.records) == ["VOC2007/1", "VOC2007/2", "VOC2012/1", "VOC2012/3"]
    assert found.published["train"] == ["VOC2012/1", "VOC2007/1"]
    assert found.published["VOC2007/train"] == ["VOC2007/1"]
    assert found.published["test"] == ["VOC2012/3"]


@pytest.mark.parametrize(
    ("names", "called"),
    [
        (["Annotations/1.xml"], ["1"]),
        (["a/b/Annotations/1.XML"], ["1"]),
        (["a/VOC/Annotations/1.xml", "b/VOC/Annotations/1.xml"], ["a/VOC/1", "b/VOC/1"]),
        (["a/VOC7/Annotations/1.xml", "b/VOC8/Annotations/1.xml"], ["VOC7/1", "VOC8/1"]),
        (["a/JPEGImages/1.jpg"], ["1"]),
        (["a/train/1.jpg"], None),
    ],
)
def test_roots_are_found_at_any_depth(names: list[str], called: list[str] | None) -> None:
    files = MemoryFiles(dict.fromkeys(names, b""))
    found = read(files) or read_images_alone(files)
    assert (None if found is None else list(found.records)) == called


def test_a_set_at_the_top_of_the_archive_is_found() -> None:
    files = {
        "Annotations/1.xml": annotation(),
        "JPEGImages/1.png": picture(1, kind=".png"),
        "ImageSets/Main/train.txt": b"1\n",
    }
    found = index(files)
    assert found.records["1"].image == "JPEGImages/1.png"
    assert found.published == {"train": ["1"]}


def test_lists_per_class_are_no_splits() -> None:
    files = voc_set({"train": ["1"], "val": ["2"]})
    files[f"{ROOT}/ImageSets/Main/cat_train.txt"] = b"1  1\n"
    files[f"{ROOT}/ImageSets/Main/my_own.txt"] = b"2\n"
    assert set(index(files).published) == {
        "train", "val", "my_own", "VOC2007/train", "VOC2007/val", "VOC2007/my_own"
    }  # fmt: skip


def test_lists_may_have_a_second_column_blank_lines_and_a_byte_order_mark() -> None:
    files = voc_set({"train": ["1", "2"]})
    files[f"{ROOT}/ImageSets/Main/train.txt"] = b"\xef\xbb\xbf1  1\r\n\r\n2 -1\r\n"
    assert index(files).published["train"] == ["1", "2"]


@pytest.mark.parametrize("encoding", ["utf-16", "utf-8", "utf-8-sig"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_lists_of_any_encoding_and_line_end_are_read(encoding: str, end: str) -> None:
    files = voc_set({"train": ["1", "bïld 2"]})
    files[f"{ROOT}/ImageSets/Main/train.txt"] = f"1{end}bïld 2{end}".encode(encoding)
    assert index(files).published["train"] == ["1", "bïld 2"]


def test_a_root_that_lost_its_annotations_is_still_a_root() -> None:
    files = voc_set({"train": ["1"]}) | voc_set({"train": ["7"]}, root="other/VOC2012")
    del files["other/VOC2012/Annotations/7.xml"]
    assert index(files).records["VOC2012/7"].annotation is None


def test_of_several_roots_one_without_lists_can_be_named_as_a_whole() -> None:
    files = voc_set({"train": ["1"]}) | voc_set({"train": ["7", "8"]}, root="other/VOC2012")
    del files["other/VOC2012/ImageSets/Main/train.txt"]
    assert index(files).published["VOC2012/all"] == ["VOC2012/7", "VOC2012/8"]


def test_two_annotations_of_one_id_are_noted() -> None:
    files = voc_set({"train": ["1"]})
    files[f"{ROOT}/Annotations/1.XML"] = annotation()
    record = index(files).records["1"]
    assert (record.annotation, record.listing) == (
        f"{ROOT}/Annotations/1.XML",
        f"also {ROOT}/Annotations/1.xml",
    )


def test_missing_parts_are_none() -> None:
    files = voc_set({"train": ["1", "2", "3"]})
    del files[f"{ROOT}/JPEGImages/1.jpg"]
    del files[f"{ROOT}/Annotations/2.xml"]
    del files[f"{ROOT}/JPEGImages/3.jpg"], files[f"{ROOT}/Annotations/3.xml"]
    records = index(files).records
    assert (records["1"].image, records["2"].annotation) == (None, None)
    assert (records["3"].image, records["3"].annotation) == (None, None)


def test_two_pictures_of_one_id_are_noted() -> None:
    files = voc_set({"train": ["1"]})
    files[f"{ROOT}/JPEGImages/1.png"] = picture(7, kind=".png")
    record = index(files).records["1"]
    assert record.image == f"{ROOT}/JPEGImages/1.jpg"
    assert record.listing == f"also {ROOT}/JPEGImages/1.png"


def test_leftovers_of_operating_systems_are_no_data() -> None:
    files = voc_set({"train": ["1"]})
    files[f"{ROOT}/JPEGImages/._1.jpg"] = b"junk"
    files[f"__MACOSX/{ROOT}/Annotations/._1.xml"] = b"junk"
    files[f"{ROOT}/.DS_Store"] = b"junk"
    found = index(files)
    assert list(found.records) == ["1"]
    assert found.records["1"].listing == "ok"


def test_what_holds_no_voc_data_is_none() -> None:
    assert read(MemoryFiles({"train/cat/1.jpg": b"", "notes.xml": b"<html/>"})) is None


JPG = picture(1)
ARRANGEMENTS = {
    "beside each other": {"a.jpg": JPG, "a.xml": annotation()},
    "two folders": {"images/a.jpg": JPG, "annots/a.xml": annotation()},
    "capitals": {"IMAGES/a.JPG": JPG, "ANNOTATIONS/a.XML": annotation()},
    "another case": {"jpegimages/a.jpg": JPG, "annotations/a.xml": annotation()},
    "xml below the images": {"a.jpg": JPG, "xmls/a.xml": annotation()},
    "images below the xml": {"img/a.jpg": JPG, "a.xml": annotation()},
    "nested": {"JPEGImages/x/images/a.jpg": JPG, "Annotations/x/images/a.xml": annotation()},
    "nested the other way": {"s/images/x/a.jpg": JPG, "s/annotations/x/a.xml": annotation()},
    "one of them flat": {"JPEGImages/x/y/a.jpg": JPG, "Annotations/a.xml": annotation()},
    "folders of any name": {"my photos/a.jpg": JPG, "my boxes/a.xml": annotation()},
    "a namespace": {"a.jpg": JPG, "a.xml": b'<annotation xmlns="u:x"><object/></annotation>'},
    "a root in capitals": {"a.jpg": JPG, "a.xml": b"<ANNOTATION><object/></ANNOTATION>"},
}


@pytest.mark.parametrize("files", ARRANGEMENTS.values(), ids=list(ARRANGEMENTS))
def test_images_and_xml_may_lie_anywhere(files: dict[str, bytes]) -> None:
    found = index(files)
    [record] = found.records.values()
    assert {record.image, record.annotation} == set(files)
    assert record.name.rpartition("/")[2] == "a"
    assert record.listing == "ok"


def test_of_two_folders_with_the_same_images_voc_s_counts() -> None:
    files = {"JPEGImages/a.jpg": JPG, "images/a.jpg": JPG, "Annotations/a.xml": annotation()}
    found = index(files)
    assert found.records["a"].image == "JPEGImages/a.jpg"
    assert found.records["a"].listing == "ok"
    assert [record.annotated for record in found.records.values()] == [True, False]


def test_xml_that_is_no_annotation_is_no_data() -> None:
    files = {"a.jpg": JPG, "a.xml": annotation(), "meta.xml": b"<info/>"}
    assert list(index(files).records) == ["a"]


@pytest.mark.parametrize(
    ("xml", "name"),
    [
        (b"<annotation><objects><object><name>cat</name></object></objects></annotation>", "cat"),
        (b"<annotations><annotation><object><name>cat</name></object></annotation></annotations>",
         "cat"),
        (b"<Annotation><Object><Name>cat</Name></Object></Annotation>", "cat"),
    ],
)  # fmt: skip
def test_wrappers_and_cases_are_read(xml: bytes, name: str) -> None:
    [found] = parse(xml).objects
    assert found.name == name


@pytest.mark.parametrize(
    ("encoding", "name"),
    [("GBK", "\u732b"), ("windows-1251", "\u043a\u043e\u0442"), ("big5", "\u8c93")],
)
def test_declared_encodings_are_read(encoding: str, name: str) -> None:
    text = (
        f'<?xml version="1.0" encoding="{encoding}"?>' + annotation([(name, (1, 1, 9, 9))]).decode()
    )
    assert parse(text.encode(encoding)).objects[0].name == name


def test_tags_in_another_case_are_read_and_noted() -> None:
    data = annotation(flags="<Difficult>1</Difficult>")
    parsed = parse(data)
    assert (parsed.objects[0].difficult, parsed.odd_tags) == ("1", "Difficult")
    assert parse(annotation()).odd_tags == ""


@pytest.mark.parametrize(
    ("xml", "words"),
    [
        (b'<?xml version="1.0" encoding="klingon"?><annotation/>', "klingon, which is not"),
        ("<annotation><name>\u00e9</name></annotation>".encode("cp1252"), "save it as UTF-8"),
        (b"<annotations><image name='a'><box/></image></annotations>", "CVAT's own format"),
        (b"<annotation>" * 200_000, "not readable XML"),
    ],
)
def test_what_cannot_be_read_says_what_to_do(xml: bytes, words: str) -> None:
    with pytest.raises(UserError, match=words):
        parse(xml)


def test_an_image_that_is_missing_is_looked_for_by_its_name() -> None:
    files = {"Annotations/a.xml": annotation(), "JPEGImages/a.HEIC": b"x", "b.png": JPG}
    assert index(files).records["a"].absent == (
        "JPEGImages/a.HEIC is there, but HEIC is not read: convert it to JPEG or PNG"
    )
