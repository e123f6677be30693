"""Each of VOC's ways and each kind of dirt, made from a clean set, and what `yolov1 check` says."""

import io
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image
from small_sets import annotation, write_tar

from yolo.inspection.dataset import check

WIDTH, HEIGHT = 200, 150
IDS = [f"part_{number:03}" for number in range(40)]
LISTS = {"train": IDS[:24], "val": IDS[24:32], "test": IDS[32:]}
XML, JPG = "Annotations/part_005.xml", "JPEGImages/part_005.jpg"
GEAR = ("gear", (10, 12, 60, 70))


def pixels(seed: int) -> np.ndarray:
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    return cv2.resize(coarse, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)


def saved(image: Image.Image, kind: str = "JPEG", **options) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def labelled(*objects, size=(WIDTH, HEIGHT), **options) -> bytes:
    """An annotation of `part_005` with a gear and what is given."""
    options = {"filename": "part_005.jpg", **options}
    return annotation([GEAR, *objects], size=size, **options)


def listed(*lines: str, split: str = "train") -> dict[str, bytes]:
    return {f"ImageSets/Main/{split}.txt": "\n".join([*LISTS[split], *lines]).encode()}


def clean() -> dict[str, bytes]:
    files = {}
    for number, name in enumerate(IDS):
        files[f"JPEGImages/{name}.jpg"] = saved(Image.fromarray(pixels(number)))
        objects = [GEAR, ("bolt", (100, 80, 160, 140))]
        files[f"Annotations/{name}.xml"] = annotation(
            objects, filename=f"{name}.jpg", size=(WIDTH, HEIGHT)
        )
    for split in LISTS:
        files |= listed(split=split)
    return files


CLEAN = clean()
PICTURE = Image.fromarray(pixels(5))
PNG = saved(PICTURE, "PNG")


def oriented(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


TURNED = oriented(6)
PART = (
    "<part><name>tooth</name><bndbox><xmin>9</xmin><ymin>9</ymin><xmax>9</xmax><ymax>9</ymax>"
    "</bndbox></part>"
)


def huge_png() -> bytes:
    """A few kilobytes that claim to be 60000 x 60000 pixels."""
    data = bytearray(PNG)
    data[16:24] = (60000).to_bytes(4, "big") * 2
    data[29:33] = zlib.crc32(data[12:29]).to_bytes(4, "big")
    return bytes(data)


def huge_jpeg() -> bytes:
    data = bytearray(CLEAN[JPG])
    frame = data.find(b"\xff\xc0")
    data[frame + 5 : frame + 9] = b"\xff\xdc\xff\xdc"
    return bytes(data)


def overwritten(with_: bytes) -> bytes:
    """The JPEG with bytes in its middle replaced; decoders fill in and say nothing."""
    data, middle = CLEAN[JPG], len(CLEAN[JPG]) // 2
    return data[:middle] + with_ + data[middle + len(with_) :]


def without_middle() -> bytes:
    data, third = CLEAN[JPG], len(CLEAN[JPG]) // 3
    return data[:third] + data[-third:]


def swapped_restarts() -> bytes:
    """The marker after the third group of blocks says that it comes after the sixth."""
    return saved(PICTURE, restart_marker_blocks=4).replace(b"\xff\xd2", b"\xff\xd5", 1)


def entities() -> bytes:
    nested = b'<!ENTITY a "xxxxxxxxxx"><!ENTITY b "&a;&a;&a;&a;&a;"><!ENTITY c "&b;&b;&b;&b;&b;">'
    return b"<!DOCTYPE annotation [" + nested + b"]>" + labelled().replace(b"gear", b"&c;")


# What is done to the files (None: removed), and the findings: file, object, rule, severity, action.
ACCEPTED = {
    "float coordinates": {XML: labelled(("bolt", (100.5, "80.25", 160.75, 140)))},
    "a box of the whole image": {XML: labelled(("bolt", (1, 1, WIDTH, HEIGHT)))},
    "a part with an empty box": {XML: labelled(inside=PART)},
    "no flags": {XML: labelled(flags="")},
    "no objects": {XML: annotation([], filename="part_005.jpg", size=(WIDTH, HEIGHT))},
    "the filename without extension": {XML: labelled(filename="part_005")},
    "CMYK": {JPG: saved(PICTURE.convert("CMYK"))},
    "grey": {JPG: saved(PICTURE.convert("L"))},
    "progressive": {JPG: saved(PICTURE, progressive=True)},
    "restart markers": {JPG: saved(PICTURE, restart_marker_blocks=4)},
    "a byte too many before the end of a JPEG": {JPG: CLEAN[JPG][:-2] + b"\x7f\xff\xd9"},
    "bytes behind the end of a JPEG": {JPG: CLEAN[JPG] + bytes(20)},
    "a byte order mark in the XML": {XML: b"\xef\xbb\xbf" + labelled()},
    "UTF-16 XML": {
        XML: ('<?xml version="1.0" encoding="utf-16"?>' + labelled().decode()).encode("utf-16")
    },
    "CRLF in the XML": {XML: labelled().replace(b"><", b">\r\n<")},
    "a byte order mark and CRLF in a list": {
        "ImageSets/Main/val.txt": b"\xef\xbb\xbf" + "\r\n".join(LISTS["val"]).encode() + b"\r\n"
    },
    "a name of several words, and a column": {
        "JPEGImages/part_005.jpg": None,
        "Annotations/part_005.xml": None,
        "JPEGImages/my part 5.jpg": CLEAN[JPG],
        "Annotations/my part 5.xml": labelled(filename="my part 5.jpg"),
        "ImageSets/Main/train.txt": "  1\n".join(
            "my part 5" if name == "part_005" else name for name in LISTS["train"]
        ).encode(),
    },
    "a letter written in two ways": {
        "JPEGImages/part_005.jpg": None,
        "Annotations/part_005.xml": None,
        "JPEGImages/pie\u0300ce.jpg": CLEAN[JPG],
        "Annotations/pi\u00e8ce.xml": labelled(filename=""),
        "ImageSets/Main/train.txt": "\n".join(
            "pi\u00e8ce" if name == "part_005" else name for name in LISTS["train"]
        ).encode(),
    },
    "a JPEG with a second image, as phones make them": {
        JPG: saved(PICTURE, "MPO", save_all=True, append_images=[PICTURE])
    },
    "an EXIF orientation that asks for no turn": {JPG: saved(PICTURE, exif=oriented(0))},
    "a column in a list": {"ImageSets/Main/val.txt": "  1\n".join(LISTS["val"]).encode()},
}
DIRTY = {
    "zero area": (
        {XML: labelled(("bolt", (50, 50, 50, 90)))},
        [(XML, 2, "empty_box", "warning", "drop_object")],
    ),
    "inverted": (
        {XML: labelled(("bolt", (90, 50, 50, 90)))},
        [(XML, 2, "empty_box", "warning", "drop_object")],
    ),
    "partly outside": (
        {XML: labelled(("bolt", (90, 50, 201, 90)))},
        [(XML, 2, "box_outside", "warning", "clip")],
    ),
    "counted from 0": (
        {XML: labelled(("bolt", (0, 60, 50, 140)))},
        [(XML, 2, "box_outside", "warning", "clip")],
    ),
    "quite outside": (
        {XML: labelled(("bolt", (300, 50, 350, 90)))},
        [(XML, 2, "box_outside", "warning", "drop_object")],
    ),
    "no number": (
        {XML: labelled(("bolt", (90, "wide", 120, 90)))},
        [(XML, 2, "invalid_box", "warning", "drop_object")],
    ),
    "far beyond all pixels": (
        {XML: labelled(("bolt", ("1e308", 1, "1.7e308", 5)))},
        [(XML, 2, "invalid_box", "warning", "drop_object")],
    ),
    "a number that only Python reads": (
        {XML: labelled(("bolt", ("1_0", 1, 50, 50)))},
        [(XML, 2, "invalid_box", "warning", "drop_object")],
    ),
    "two centres in a cell": (
        {XML: labelled(("bolt", (11, 13, 59, 69)))},
        [(JPG, None, "cell_collision", "info", "warn")],
    ),
    "unknown class": (
        {XML: labelled(("cog", (100, 80, 160, 140)))},
        [(XML, 2, "unknown_class", "warning", "drop_object")],
    ),
    "odd flag": (
        {XML: labelled(flags="<difficult>yes</difficult>")},
        [(XML, 1, "invalid_flag", "warning", "warn")],
    ),
    "another size": (
        {XML: labelled(size=(WIDTH + 1, HEIGHT))},
        [(JPG, None, "size_mismatch", "warning", "warn")],
    ),
    "another filename": (
        {XML: labelled(filename="part_006.jpg")},
        [(JPG, None, "filename_mismatch", "warning", "warn")],
    ),
    "turned by EXIF": (
        {JPG: saved(PICTURE, exif=TURNED)},
        [(JPG, None, "exif_orientation", "warning", "warn")],
    ),
    "a PNG turned by EXIF": (
        {
            JPG: None,
            "JPEGImages/part_005.png": saved(PICTURE, "PNG", exif=TURNED),
            XML: labelled(filename=""),
        },
        [("JPEGImages/part_005.png", None, "exif_orientation", "warning", "warn")],
    ),
    "a phone's JPEG turned by EXIF": (
        {JPG: saved(PICTURE, "MPO", save_all=True, append_images=[PICTURE], exif=TURNED)},
        [(JPG, None, "exif_orientation", "warning", "warn")],
    ),
    "a PNG named .jpg": ({JPG: PNG}, [(JPG, None, "format_mismatch", "warning", "warn")]),
    "half a JPEG": (
        {JPG: CLEAN[JPG][: len(CLEAN[JPG]) // 2]},
        [(JPG, None, "unreadable_image", "warning", "drop_image")],
    ),
    "a JPEG without its last bytes": (
        {JPG: CLEAN[JPG][:-2]},
        [(JPG, None, "unreadable_image", "warning", "drop_image")],
    ),
    "a JPEG with zeros in its middle": (
        {JPG: overwritten(bytes(512))},
        [(JPG, None, "unreadable_image", "warning", "drop_image")],
    ),
    "a JPEG with a web page in its middle": (
        {JPG: overwritten(b"<html>502</html>" * 32)},
        [(JPG, None, "unreadable_image", "warning", "drop_image")],
    ),
    "a JPEG with another's bytes in its middle": (
        {JPG: overwritten(np.random.default_rng(1).bytes(1024))},
        [(JPG, None, "unreadable_image", "warning", "drop_image")],
    ),
    "a JPEG without its middle": (
        {JPG: without_middle()},
        [(JPG, None, "unreadable_image", "warning", "drop_image")],
    ),
    "a JPEG with a wrong restart marker": (
        {JPG: swapped_restarts()},
        [(JPG, None, "unreadable_image", "warning", "drop_image")],
    ),
    "an empty file": ({JPG: b""}, [(JPG, None, "unreadable_image", "warning", "drop_image")]),
    "a web page": (
        {JPG: b"<html>404</html>"},
        [(JPG, None, "unreadable_image", "warning", "drop_image")],
    ),
    "a PNG that claims gigabytes": (
        {JPG: huge_png()},
        [(JPG, None, "unreadable_image", "warning", "drop_image")],
    ),
    "a JPEG that claims gigabytes": (
        {JPG: huge_jpeg()},
        [(JPG, None, "unreadable_image", "warning", "drop_image")],
    ),
    "expanding entities": (
        {XML: entities()},
        [(JPG, None, "unreadable_annotation", "warning", "drop_image")],
    ),
    "half an annotation": (
        {XML: labelled()[:90]},
        [(JPG, None, "unreadable_annotation", "warning", "drop_image")],
    ),
    "an endless annotation": (
        {XML: labelled().replace(b"</annotation>", b" " * (2 << 20) + b"</annotation>")},
        [(JPG, None, "unreadable_annotation", "warning", "drop_image")],
    ),
    "annotation without image": (
        {JPG: None},
        [(XML, None, "missing_image", "warning", "drop_image")],
    ),
    "image without annotation": (
        {XML: None},
        [(JPG, None, "missing_annotation", "warning", "drop_image")],
    ),
    "annotation without image, in no list": (
        {"Annotations/spare.xml": labelled()},
        [("Annotations/spare.xml", None, "unlisted", "info", "ignored")],
    ),
    "image without annotation, in no list": (
        {"JPEGImages/spare.jpg": PNG},
        [("JPEGImages/spare.jpg", None, "unlisted", "info", "ignored")],
    ),
    "labels of other programs beside the images": (
        {"JPEGImages/part_005.txt": b"0 .5 .5 .1 .1", "Annotations/readme.md": b"read me"},
        [
            ("Annotations/readme.md", None, "unlisted", "info", "ignored"),
            ("JPEGImages/part_005.txt", None, "unlisted", "info", "ignored"),
        ],
    ),
    "listed without files": (
        listed("ghost"),
        [
            ("ghost", None, "missing_annotation", "warning", "drop_image"),
            ("ghost", None, "missing_image", "warning", "drop_image"),
        ],
    ),
    "listed twice": (
        listed("part_005"),
        [(JPG, None, "duplicate_id", "warning", "drop_image")],
    ),
    "two images of an id": (
        {"JPEGImages/part_005.png": PNG},
        [(JPG, None, "duplicate_id", "warning", "drop_image")],
    ),
    "in two splits": (
        listed("part_005", split="val"),
        [(JPG, None, "duplicate_image", "error", "fail")],
    ),
    "the same bytes in two splits": (
        {"JPEGImages/part_035.jpg": CLEAN[JPG]},
        [(JPG, None, "duplicate_image", "error", "fail")],
    ),
    "encoded anew in another split": (
        {"JPEGImages/part_035.jpg": saved(PICTURE, quality=40)},
        [(JPG, None, "near_duplicate", "warning", "warn")],
    ),
    "an empty list": (
        {"ImageSets/Main/test.txt": b"\n"},
        [
            ("", None, "unlisted", "info", "ignored"),
            ("", None, "min_images", "error", "fail"),
            ("", None, "evaluation_coverage", "warning", "warn"),
            ("", None, "evaluation_coverage", "warning", "warn"),
        ],
    ),
}


def made(changes: dict[str, bytes | None]) -> dict[str, bytes]:
    files = {**CLEAN, **changes}
    return {f"Plant/{name}": data for name, data in files.items() if data is not None}


def found(path: Path, changes: dict[str, bytes | None]) -> list[tuple]:
    """Findings, by files relative to the root; errors are what refuses the set."""
    write_tar(path, made(changes))
    report = check([path], classes=["gear", "bolt"])
    rows = [
        (
            one.file.removeprefix(str(path)).removeprefix("/Plant").lstrip("/"),
            one.object,
            one.rule,
            one.severity,
            one.action,
        )
        for one in report.findings
    ]
    assert report.admitted == all(severity != "error" for _, _, _, severity, _ in rows)
    return rows


@pytest.mark.parametrize("changes", [{}, *ACCEPTED.values()], ids=["clean", *ACCEPTED])
def test_voc_s_ways_are_no_flaws(tmp_path: Path, changes: dict) -> None:
    assert found(tmp_path / "set.tar", changes) == []


@pytest.mark.parametrize(("changes", "expected"), DIRTY.values(), ids=list(DIRTY))
def test_dirt_is_found_and_called_by_its_name(tmp_path: Path, changes: dict, expected) -> None:
    assert found(tmp_path / "set.tar", changes) == expected
