import io

import numpy as np
import pytest
from PIL import Image

from yolo.data.store.images import decode, encode_jpeg, shrink
from yolo.errors import UserError

RED_LEFT = np.zeros((20, 30, 3), np.uint8)
RED_LEFT[:, :15] = (200, 0, 0)
RED_LEFT[:, 15:] = (0, 0, 100)


def encoded(kind: str, mode: str = "RGB", **options) -> bytes:
    file = io.BytesIO()
    Image.fromarray(RED_LEFT).convert(mode).save(file, kind, **options)
    return file.getvalue()


@pytest.mark.parametrize("kind", ["PNG", "BMP", "WEBP", "JPEG"])
@pytest.mark.parametrize("wrap", [bytes, memoryview])
def test_pixels_are_rgb_whatever_the_format(kind: str, wrap: type) -> None:
    options = {"lossless": True} if kind == "WEBP" else {}
    image = decode(wrap(encoded(kind, **options)), "a.jpg")
    assert image.shape == (20, 30, 3)
    assert image.dtype == np.uint8
    assert np.abs(image[10, 5].astype(int) - (200, 0, 0)).max() <= (6 if kind == "JPEG" else 0)
    assert np.abs(image[10, 25].astype(int) - (0, 0, 100)).max() <= (6 if kind == "JPEG" else 0)


@pytest.mark.parametrize(
    ("kind", "mode"), [("JPEG", "L"), ("PNG", "L"), ("PNG", "LA"), ("PNG", "1"), ("PNG", "I;16")]
)
def test_grey_pictures_have_three_equal_channels(kind: str, mode: str) -> None:
    image = decode(encoded(kind, mode), "grey")
    assert image.shape == (20, 30, 3)
    assert (image == image[:, :, :1]).all()


def test_cmyk_jpeg_becomes_rgb() -> None:
    image = decode(encoded("JPEG", "CMYK", quality=95), "cmyk")
    assert np.abs(image[10, 5].astype(int) - (200, 0, 0)).max() <= 5


def test_transparency_is_dropped() -> None:
    assert (decode(encoded("PNG", "RGBA"), "a") == RED_LEFT).all()


def test_exif_orientation_is_not_applied() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    assert decode(encoded("JPEG", exif=exif), "a").shape == (20, 30, 3)


@pytest.mark.parametrize("data", [b"", b"no image", b"\xff\xd8\xff"])
def test_bytes_that_are_no_picture_are_named(data: bytes) -> None:
    with pytest.raises(UserError, match=r"dog\.jpg cannot be decoded"):
        decode(data, "dog.jpg")


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "BMP"])
@pytest.mark.parametrize("share", [0.5, 0.95])
def test_a_truncated_picture_is_an_error(kind: str, share: float) -> None:
    data = encoded(kind)
    with pytest.raises(UserError):
        decode(data[: int(len(data) * share)], "dog.jpg")


@pytest.mark.parametrize(
    ("start", "stop", "new", "why"),
    [
        (-2, None, b"", "is truncated"),
        (-300, -2, b"", "has corrupt data: premature end of data segment"),
        (-2, -2, bytes(50), r"has corrupt data: \d\d extraneous bytes"),
    ],
)
def test_damage_that_decoders_hide_is_an_error(
    start: int, stop: int | None, new: bytes, why: str
) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    data = bytearray(encode_jpeg(noise))
    data[slice(start, stop)] = new
    with pytest.raises(UserError, match=rf"dog\.jpg cannot be decoded: it {why}"):
        decode(bytes(data), "dog.jpg")


def test_jpeg_survives_the_way_there_and_back() -> None:
    smooth = np.linspace(0, 255, 64, dtype=np.uint8)[None, :, None].repeat(48, 0).repeat(3, 2)
    back = decode(encode_jpeg(smooth), "a")
    assert np.abs(back.astype(int) - smooth).max() <= 3


def test_shrinking_averages_and_keeps_proportions() -> None:
    checks = np.indices((40, 60)).sum(0) % 2 * 200
    image = checks.astype(np.uint8)[:, :, None].repeat(3, 2)
    small = shrink(image, 20)
    assert small.shape == (20, 30, 3)
    assert (small == 100).all()


def test_shrinking_never_enlarges() -> None:
    assert shrink(RED_LEFT, 20) is RED_LEFT
    assert shrink(RED_LEFT, 21) is RED_LEFT


def test_a_very_long_picture_keeps_at_least_one_pixel() -> None:
    assert shrink(np.zeros((16, 4000, 3), np.uint8), 1).shape == (1, 250, 3)
