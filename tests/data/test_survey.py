import io

import numpy as np
import pytest
from PIL import Image
from small_sets import MemoryFiles, annotation, picture

from yolo.data import survey
from yolo.data.listing import Entry


def saved(kind: str, **options) -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.zeros((30, 40, 3), np.uint8)).save(file, kind, **options)
    return file.getvalue()


def test_a_picture_is_measured_and_its_bytes_are_hashed() -> None:
    first, second = survey.examine_picture(picture(1)), survey.examine_picture(picture(2))
    assert (first.readable, first.width, first.height, first.orientation) == ("ok", 40, 30, 1)
    assert first.content == survey.examine_picture(picture(1)).content
    assert first.content != second.content


def test_the_format_is_told_by_the_content() -> None:
    assert survey.examine_picture(picture(1, kind=".png")).readable == "ok"


def test_exif_orientation_is_noted_and_not_applied() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    found = survey.examine_picture(saved("JPEG", exif=exif))
    assert (found.orientation, found.width, found.height) == (6, 40, 30)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "is no picture"),
        (b"<html>not found</html>", "is no picture"),
        (picture(1)[:-200], "is truncated or damaged"),
        (picture(1, kind=".png")[:-200], "is truncated or damaged"),
    ],
)
def test_what_cannot_be_decoded_has_a_reason(data: bytes, reason: str) -> None:
    found = survey.examine_picture(data)
    assert found.readable == reason
    assert found.width is None
    assert found.content is not None


def test_a_picture_of_too_many_pixels_is_not_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(survey, "PIXELS_LIMIT", 1199)
    assert survey.examine_picture(saved("PNG")).readable == "40x30 is above 1199 pixels, the limit"


def test_a_header_that_claims_gigabytes_is_refused() -> None:
    data = bytearray(saved("PNG"))
    # width and height of the header chunk and its checksum
    data[16:24] = (60000).to_bytes(4, "big") * 2
    data[29:33] = __import__("zlib").crc32(data[12:29]).to_bytes(4, "big")
    assert "pixels, the limit" in survey.examine_picture(bytes(data)).readable


def test_annotations_are_read_with_the_picture() -> None:
    files = MemoryFiles({"1.jpg": picture(1), "1.xml": annotation(), "2.xml": b"<annotation>"})
    entries = [Entry("a", "1.jpg", "1.xml"), Entry("b", None, "2.xml"), Entry("c", None, None)]
    found = dict(survey.survey(files, entries))
    assert found["a"].annotation is not None
    assert found["a"].annotation.objects[0].name == "cat"
    assert found["b"].xml.startswith("is not readable XML")
    assert found["b"].picture.content is None
    assert found["c"] == survey.Facts()
