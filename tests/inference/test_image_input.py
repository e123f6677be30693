"""What callers have of an image becomes RGB bytes."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from yolo.errors import UserError
from yolo.inference.image_input import is_one, to_array

RED = (200, 10, 30)


def red(height: int = 6, width: int = 9) -> np.ndarray:
    return np.full((height, width, 3), RED, np.uint8)


@pytest.mark.parametrize(
    "image",
    [
        Image.fromarray(red()),
        Image.fromarray(red()).convert("RGBA"),
        red(),
        np.dstack([red(), np.zeros((6, 9), np.uint8)]),
        red().astype(np.uint16) * 256,
        red() / 255,
        (red() / 255).astype(np.float16),
        torch.from_numpy(red()).permute(2, 0, 1),
        torch.from_numpy(red()).permute(2, 0, 1) / 255,
    ],
)
def test_every_kind_of_picture_gives_the_same_bytes(image: object) -> None:
    picture = to_array(image)  # type: ignore[arg-type]
    assert picture.dtype == np.uint8
    np.testing.assert_array_equal(picture, red())


@pytest.mark.parametrize(
    "image",
    [
        np.full((4, 5), 77, np.uint8),
        np.full((4, 5, 1), 77, np.uint8),
        torch.full((1, 4, 5), 77, dtype=torch.uint8),
        Image.new("L", (5, 4), 77),
        Image.fromarray(np.full((4, 5), 77 * 257, np.uint16)),
    ],
)
def test_grey_becomes_rgb(image: object) -> None:
    picture = to_array(image)  # type: ignore[arg-type]
    np.testing.assert_array_equal(picture, np.full((4, 5, 3), 77))


@pytest.mark.parametrize("suffix", [".png", ".tiff", ".bmp", ".webp"])
def test_files_of_every_format_are_read_whatever_they_are_called(
    tmp_path: Path, suffix: str
) -> None:
    Image.fromarray(red(40, 60)).save(tmp_path / f"a{suffix}", lossless=True)
    (tmp_path / f"a{suffix}").rename(tmp_path / "a.jpg")
    np.testing.assert_array_equal(to_array(tmp_path / "a.jpg"), red(40, 60))
    np.testing.assert_array_equal(to_array(str(tmp_path / "a.jpg")), red(40, 60))


def test_a_file_is_turned_as_a_viewer_shows_it(tmp_path: Path) -> None:
    stored = red(20, 40)
    stored[:, :20] = 0
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: show it a quarter turn clockwise
    Image.fromarray(stored).save(tmp_path / "phone.jpg", exif=exif, quality=95)
    picture = to_array(tmp_path / "phone.jpg")
    assert picture.shape == (40, 20, 3)
    assert picture[5].mean() < 10 and picture[35, :, 0].mean() > 180


def test_16_bits_cmyk_palette_and_transparent_files_become_rgb(tmp_path: Path) -> None:
    Image.fromarray(np.full((4, 5), 77 * 257, np.uint16)).save(tmp_path / "deep.png")
    assert to_array(tmp_path / "deep.png").tolist() == [[[77] * 3] * 5] * 4
    Image.new("CMYK", (16, 16), (0, 255, 255, 0)).save(tmp_path / "print.jpg", quality=95)
    printed = to_array(tmp_path / "print.jpg")
    assert printed.shape == (16, 16, 3) and printed[..., 0].min() > 200 > 60 > printed[..., 1].max()
    Image.fromarray(red()).quantize(4).save(tmp_path / "few.png")
    np.testing.assert_allclose(to_array(tmp_path / "few.png"), red(), atol=8)
    Image.new("RGBA", (5, 4), (*RED, 0)).save(tmp_path / "clear.png")
    assert to_array(tmp_path / "clear.png")[0, 0].tolist() == list(RED)


def test_files_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    (tmp_path / "empty.jpg").touch()
    (tmp_path / "text.jpg").write_text("no image")
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)).save(
        tmp_path / "cut.png"
    )
    (tmp_path / "cut.png").write_bytes((tmp_path / "cut.png").read_bytes()[:40])
    for name, why in (
        ("empty.jpg", "it is empty"),
        ("text.jpg", "not an image"),
        ("cut.png", "truncated"),
        ("gone.jpg", "No such file"),
        (".", "Is a directory"),
    ):
        with pytest.raises(UserError, match=why) as caught:
            to_array(tmp_path / name)
        assert str(tmp_path / name) in str(caught.value)


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((4, 5, 2), np.uint8),
        np.zeros((0, 5, 3), np.uint8),
        np.zeros((2, 4, 5, 3), np.uint8),
        np.full((4, 5, 3), 1.5),
        np.full((4, 5, 3), np.nan),
        np.zeros((4, 5, 3), np.int64),
        torch.zeros(4, 5, 3),
    ],
)
def test_what_is_no_picture_is_refused_in_words(image: object) -> None:
    with pytest.raises(ValueError, match="image"):
        to_array(image)  # type: ignore[arg-type]


def test_one_picture_is_told_from_several() -> None:
    assert all(
        map(is_one, ("a.jpg", Path("a"), red(), torch.zeros(3, 4, 5), Image.new("L", (1, 1))))
    )
    assert not any(map(is_one, (["a.jpg"], red()[None], torch.zeros(1, 3, 4, 5), iter([]))))


@pytest.mark.parametrize("name", ["photo.jpg", "photo.HEIC"])
def test_a_format_that_is_not_read_is_named(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic")
    with pytest.raises(UserError, match=r"HEIC is not read; convert it to JPEG or PNG"):
        to_array(path)
