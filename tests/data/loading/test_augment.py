"""Augmentation of images against the original's numbers, and the fast form against the exact."""

import io
import json
import tarfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import exact_augment
import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from yolo.data.loading import augment
from yolo.data.loading.augment import Crop

torch.set_num_threads(1)
cv2.setNumThreads(1)
CASES = range(4)
TWO_LEVELS = 2 / 255


@pytest.fixture(scope="module")
def fixtures(original):
    with np.load(original / "image_ops.npz") as file:
        return [
            case
            | {
                step: torch.from_numpy(file[f"c{number}_{step}"])
                for step in ("image", "crop", "resized", "flipped", "final")
            }
            for number, case in enumerate(json.loads(str(file["meta"])))
        ]


def area(case):
    return Crop(case["pleft"], case["ptop"], case["crop_w"], case["crop_h"])


@pytest.mark.parametrize("number", CASES)
def test_each_exact_step_is_the_originals(fixtures, number):
    case = fixtures[number]
    cropped = exact_augment.crop(case["image"], area(case))
    assert torch.equal(cropped, case["crop"])
    resized = exact_augment.resize(case["crop"], case["out_h"], case["out_w"])
    np.testing.assert_allclose(resized, case["resized"], rtol=0, atol=1e-6)
    flipped = exact_augment.flip(case["resized"]) if case["flip"] else case["resized"]
    assert torch.equal(flipped, case["flipped"])
    colour = (torch.tensor([case[name]]) for name in ("hue", "sat", "exposure"))
    final = augment.distort(case["flipped"][None], *colour)[0]
    np.testing.assert_allclose(final, case["final"], rtol=0, atol=1e-6)


def exactly(image, crop, size, flip):
    """The exact form of `warp`: (size, size, 3) float, 0..255."""
    pixels = torch.from_numpy(image).permute(2, 0, 1).double()
    resized = exact_augment.resize(exact_augment.crop(pixels, crop), size, size)
    return (exact_augment.flip(resized) if flip else resized).permute(1, 2, 0).numpy()


def noise(rng, height, width):
    return rng.integers(0, 256, (height, width, 3), dtype=np.uint8)


def last_row_is_dark(crop, size):
    """Whether `resize` leaves the last row nearly black, as the original does."""
    last, outputs = np.float64(crop.height - 1), np.float64(size - 1)
    return outputs * (last / outputs) < last


@settings(max_examples=40, deadline=None)
@given(
    height=st.integers(20, 160),
    width=st.integers(20, 160),
    size=st.integers(16, 120),
    flip=st.booleans(),
    seed=st.integers(0, 2**32 - 1),
)
def test_warp_is_the_exact_form_on_noise(height, width, size, flip, seed):
    rng = np.random.default_rng(seed)
    crop = augment.draw_crop(rng, width, height, jitter=0.2)
    assume(not last_row_is_dark(crop, size))
    image = noise(rng, height, width)
    found = augment.warp(image, crop, size, flip)
    assert found.shape == (size, size, 3) and found.dtype == np.uint8
    assert np.abs(found - exactly(image, crop, size, flip)).max() <= 2


def real_pictures(folder, archive, count):
    with tarfile.open(folder / archive) as tar:
        names = sorted(name for name in tar.getnames() if name.lower().endswith(("jpg", "jpeg")))
        for name in names[:: len(names) // count][:count]:
            data = np.frombuffer(io.BytesIO(tar.extractfile(name).read()).getbuffer(), np.uint8)
            yield cv2.cvtColor(cv2.imdecode(data, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)


@pytest.mark.parametrize("archive", ["bccd.tar", "voc-mini.tar", "imagenet-mini.tar"])
def test_the_fast_form_is_the_exact_form_on_real_pictures(real_data, archive):
    for number, image in enumerate(real_pictures(real_data, archive, 4)):
        rng = augment.sample_rng(0, 0, number)
        height, width = image.shape[:2]
        crop = augment.draw_crop(rng, width, height, jitter=0.2)
        colour = torch.tensor([augment.draw_colour(rng, 0.1, 1.5, 1.5)])
        warped = augment.warp(image, crop, 224, flip=number % 2 == 1)
        exact = exactly(image, crop, 224, flip=number % 2 == 1)
        rows = slice(None, -1) if last_row_is_dark(crop, 224) else slice(None)
        assert np.abs(warped - exact)[rows].max() <= 2
        # The colours of the same 8-bit pixels. Before rounding to 8 bits they would differ by
        # what a change of colour makes of half a level, which has no bound where grey turns.
        distorted = augment.distort(
            torch.from_numpy(warped).permute(2, 0, 1)[None] / 255, *colour.unbind(1)
        )
        fast = augment.recolour(torch.from_numpy(warped)[None], colour)
        assert (fast - distorted).abs().max() <= TWO_LEVELS


def test_the_last_row_is_dark_only_in_the_original():
    # (447 * float32(53 / 447)) rounds to just below 53
    crop = next(
        crop
        for crop in (Crop(0, 0, 100, height) for height in range(50, 200))
        if np.float32(447) * (np.float32(crop.height - 1) / np.float32(447)) < crop.height - 1
    )
    white = np.full((crop.height, 100, 3), 255, np.uint8)
    exact = exact_augment.resize(torch.from_numpy(white).permute(2, 0, 1).float(), 448, 448)
    assert exact[:, -1].max() < 1 and exact[:, -2].min() > 254
    assert (augment.warp(white, crop, 448, flip=False) == 255).all()


@settings(max_examples=60, deadline=None)
@given(
    hue=st.floats(-1, 1),
    saturation=st.floats(0.3, 3),
    exposure=st.floats(0.3, 3),
    seed=st.integers(0, 2**32 - 1),
)
def test_recolour_is_the_exact_form_of_any_colour(hue, saturation, exposure, seed):
    image = noise(np.random.default_rng(seed), 24, 24)
    # greys, black, white and pure colours
    image[0] = np.arange(24)[:, None] * 11
    image[1, :8] = np.stack(np.meshgrid([0, 255], [0, 255], [0, 255]), -1).reshape(8, 3)
    images = torch.from_numpy(image)[None]
    colour = torch.tensor([[hue, saturation, exposure]])
    found = augment.recolour(images, colour)
    exact = augment.distort(images.permute(0, 3, 1, 2) / 255, *colour.unbind(1))
    assert found.shape == exact.shape and found.dtype == torch.float32
    assert (found - exact).abs().max() <= 0.01 / 255


def test_recolour_changes_each_picture_by_its_own_colours():
    rng = np.random.default_rng(0)
    images = torch.from_numpy(np.stack([noise(rng, 8, 9) for _ in range(3)]))
    colour = torch.tensor([[0.1, 1.2, 0.8], [0.0, 1.0, 1.0], [-0.1, 0.7, 1.4]])
    together = augment.recolour(images, colour)
    apart = [augment.recolour(images[n : n + 1], colour[n : n + 1]) for n in range(3)]
    assert torch.equal(together, torch.cat(apart))
    assert torch.equal(together[1], images[1].permute(2, 0, 1) / np.float32(255))
    assert together.is_contiguous(memory_format=torch.channels_last)


def test_colours_by_hand():
    red, grey = (1.0, 0.0, 0.0), (0.5, 0.5, 0.5)
    image = torch.tensor([red, grey]).T.reshape(1, 3, 1, 2)

    def changed(hue, saturation, exposure):
        numbers = (torch.tensor([number]) for number in (hue, saturation, exposure))
        return augment.distort(image, *numbers)[0, :, 0].T.flatten().tolist()

    assert changed(1 / 3, 1.0, 1.0) == pytest.approx([0, 1, 0, *grey], abs=1e-6)
    assert changed(-1 / 3, 1.0, 1.0) == pytest.approx([0, 0, 1, *grey], abs=1e-6)
    assert changed(0.0, 0.5, 1.0) == pytest.approx([1, 0.5, 0.5, *grey])
    assert changed(0.0, 1.0, 0.5) == pytest.approx([0.5, 0, 0, 0.25, 0.25, 0.25])
    # a saturation above 1 is not clamped, the result is
    assert changed(0.0, 1.5, 1.5) == pytest.approx([1, 0, 0, 0.75, 0.75, 0.75])


def test_each_sample_has_its_own_numbers():
    draws = {
        triple: augment.sample_rng(*triple).random()
        for triple in [
            (seed, epoch, index)
            for seed in (0, 1, 2**32 - 1)
            for epoch in (0, 1, 500)
            for index in (0, 1, 2, 10**6)
        ]
    }
    assert len(set(draws.values())) == len(draws)
    assert augment.sample_rng(1, 500, 2).random() == draws[1, 500, 2]
    # neighbours are unrelated
    first = np.array([augment.sample_rng(0, 0, index).random() for index in range(2000)])
    assert abs(first.mean() - 0.5) < 0.03
    assert abs(np.corrcoef(first[:-1], first[1:])[0, 1]) < 0.08


def test_the_crop_moves_each_side_by_up_to_a_fifth():
    crops = [augment.draw_crop(augment.sample_rng(0, 0, n), 500, 300, 0.2) for n in range(2000)]
    sides = np.array(
        [(c.left, c.top, 500 - c.left - c.width, 300 - c.top - c.height) for c in crops]
    )
    assert (np.abs(sides) <= [100, 60, 100, 60]).all()
    assert (np.abs(sides).max(0) >= [98, 58, 98, 58]).all()
    # each side on its own, towards 0 as C converts
    assert (np.abs(np.corrcoef(sides.T) - np.eye(4)) < 0.08).all()
    assert (np.abs(sides.mean(0)) < [5, 3, 5, 3]).all()
    assert all(isinstance(number, int) for number in vars(crops[0]).values())


def test_no_jitter_is_the_whole_picture():
    assert augment.draw_crop(np.random.default_rng(0), 50, 30, 0.0) == Crop(0, 0, 50, 30)


@pytest.mark.parametrize(("limit", "least", "most"), [(1.5, 1 / 1.5, 1.5), (0.75, 0.75, 1 / 0.75)])
def test_colours_are_drawn_in_the_originals_ranges(limit, least, most):
    rng = np.random.default_rng(0)
    draws = np.array([augment.draw_colour(rng, 0.1, limit, limit) for _ in range(4000)])
    assert draws.min(0) == pytest.approx([-0.1, least, least], abs=0.005)
    assert draws.max(0) == pytest.approx([0.1, most, most], abs=0.005)
    # as often above 1 as below
    assert (draws[:, 1:] > 1).mean() == pytest.approx(0.5, abs=0.03)


def test_neutral_limits_change_no_colour():
    assert augment.draw_colour(np.random.default_rng(0), 0.0, 1.0, 1.0) == (0, 1, 1)


def rotate_crop_image(image, scale, size, shift_across, shift_down):
    """image.c: rotate_crop_image without rotation and aspect, its edge repeated."""
    height, width = image.shape[:2]
    steps = np.arange(size) - size / 2

    def interpolate(values, length, axis):
        before = np.floor(values).astype(int)
        share = (values - before).reshape([-1, 1, 1] if axis == 0 else [1, -1, 1])
        first, second = (np.clip(before + n, 0, length - 1) for n in (0, 1))
        return lambda pixels: (
            pixels.take(first, axis) * (1 - share) + pixels.take(second, axis) * share
        )

    down = interpolate((steps + shift_down) / scale + height / 2, height, 0)
    across = interpolate((steps + shift_across) / scale + width / 2, width, 1)
    return across(down(image.astype(np.float64)))


@pytest.mark.parametrize(("height", "width"), [(90, 130), (130, 90)])
def test_the_classifiers_crop_is_the_originals(height, width):
    image = noise(np.random.default_rng(0), height, width)
    for seed in range(20):
        crop = augment.draw_classifier_crop(np.random.default_rng(seed), width, height, 64, 64, 100)
        again = np.random.default_rng(seed)
        scale = again.integers(64, 100, endpoint=True) / min(height, width)
        room = np.array([width * scale - 64, height * scale - 64]) / 2
        shift = [again.uniform(-free, free) for free in room]
        expected = rotate_crop_image(image, scale, 64, *shift)
        assert np.abs(augment.warp(image, crop, 64, flip=False) - expected).max() <= 2
        assert crop.left >= -1e-9 and crop.left + crop.width <= width + 1 - 1 / scale + 1e-9
        assert crop.top >= -1e-9 and crop.top + crop.height <= height + 1 - 1 / scale + 1e-9


def test_the_classifiers_scales_include_both_ends():
    sides = {
        round(63 / (augment.draw_classifier_crop(rng, 80, 80, 64, 70, 72).width - 1) * 80)
        for rng in map(np.random.default_rng, range(60))
    }
    assert sides == {70, 71, 72}


def test_the_centre_crop_is_the_largest_square():
    assert augment.centre_crop(101, 60) == Crop(20, 0, 60, 60)
    assert augment.centre_crop(60, 101) == Crop(0, 20, 60, 60)


@pytest.mark.parametrize("side", [300, 448, 600])
def test_warp_makes_no_threads_in_the_thread_of_a_loader(side: int) -> None:
    """Those of OpenMP's would be more than cores, and slow down all that is computed after."""

    def threads() -> int:
        return len(list(Path("/proc/self/task").iterdir()))

    def threads_made() -> int:
        before = threads()
        augment.warp(np.zeros((500, 640, 3), np.uint8), Crop(-3, -2, side, side), 448, False)
        return threads() - before

    torch.set_num_threads(2)
    try:
        with ThreadPoolExecutor(1) as pool:
            assert pool.submit(threads_made).result() == 0
    finally:
        torch.set_num_threads(1)
