import io

import numpy as np
import pytest
from PIL import Image
from small_sets import MemoryFiles, annotation, picture

from yolo.data.formats import voc_xml
from yolo.data.formats.index import Limits, Record
from yolo.data.validate import probe
from yolo.runtime.workers import Workers


def saved(kind: str, **options) -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.zeros((30, 40, 3), np.uint8)).save(file, kind, **options)
    return file.getvalue()


def examine(data: bytes) -> probe.ImageProbe:
    return probe.examine_image(data, Limits().picture_pixels)


def test_a_picture_is_measured_and_its_bytes_are_hashed() -> None:
    first, second = examine(picture(1)), examine(picture(2))
    assert (first.readable, first.width, first.height, first.orientation) == ("ok", 40, 30, 1)
    assert first.content == examine(picture(1)).content
    assert first.content != second.content


def test_the_format_is_told_by_the_content() -> None:
    assert examine(picture(1, kind=".png")).readable == "ok"


def test_an_image_is_measured_as_viewers_turn_it() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    found = examine(saved("JPEG", exif=exif))
    assert (found.orientation, found.width, found.height) == (6, 30, 40)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "is no image"),
        (b"<html>not found</html>", "is no image"),
        (
            b"\0\0\0\x18ftypheic\0\0\0\0mif1heic",
            "is HEIC, which is not read: convert it to JPEG or PNG",
        ),
        (picture(1)[:-200], "is truncated"),
        (picture(1, kind=".png")[:-200], "is truncated, damaged or no image"),
    ],
)
def test_what_cannot_be_decoded_has_a_reason(data: bytes, reason: str) -> None:
    found = examine(data)
    assert found.readable == reason
    assert found.width is None
    assert found.content is not None


def test_a_picture_of_too_many_pixels_is_not_decoded() -> None:
    assert probe.examine_image(saved("PNG"), 1200).readable == "ok"
    assert (
        probe.examine_image(saved("PNG"), 1199).readable == "40x30 is above 1199 pixels, the limit"
    )


def test_a_header_that_claims_gigabytes_is_refused() -> None:
    data = bytearray(saved("PNG"))
    # width and height of the header chunk and its checksum
    data[16:24] = (60000).to_bytes(4, "big") * 2
    data[29:33] = __import__("zlib").crc32(data[12:29]).to_bytes(4, "big")
    assert "pixels, the limit" in examine(bytes(data)).readable


def test_annotations_are_read_with_the_picture() -> None:
    files = MemoryFiles({"1.jpg": picture(1), "1.xml": annotation(), "2.xml": b"<annotation>"})
    records = [Record("a", "1.jpg", "1.xml"), Record("b", None, "2.xml"), Record("c", None, None)]
    found = dict(probe.probe_records(files, records, voc_xml.parse, Limits(), Workers()))
    assert found["a"].annotation is not None
    assert found["a"].annotation.objects[0].name == "cat"
    assert found["b"].problem.startswith("is not readable XML")
    assert found["b"].image.content is None
    assert found["c"] == probe.Probe()


def test_an_annotation_above_the_limit_is_not_parsed() -> None:
    found = probe.examine(None, annotation(), voc_xml.parse, Limits(annotation_bytes=100))
    assert found.annotation is None
    assert found.problem.endswith("bytes; the limit is 100")
