import time

import cv2
import imagehash
import numpy as np
import pytest
from PIL import Image

from yolo.data.archives.reader import Archives
from yolo.data.store.images import decode, encode_jpeg
from yolo.data.validate.perceptual_hash import BITS, nearest, perceptual_hash


def scene(seed: int) -> np.ndarray:
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    return cv2.resize(coarse, (320, 240), interpolation=cv2.INTER_CUBIC)


def apart(first: np.ndarray, second: np.ndarray) -> int:
    return (perceptual_hash(first) ^ perceptual_hash(second)).bit_count()


@pytest.mark.parametrize("seed", range(5))
def test_what_people_do_to_copies_changes_few_bits(seed: int) -> None:
    image = scene(seed)
    darker = np.clip(image * 0.9 + 5, 0, 255).astype(np.uint8)
    assert apart(image, decode(encode_jpeg(image, 50), "copy")) <= 6
    assert apart(image, cv2.resize(image, (160, 120), interpolation=cv2.INTER_AREA)) <= 6
    assert apart(image, darker) <= 6
    assert apart(image, scene(seed + 100)) > 12


def test_the_hash_is_that_of_the_library_for_a_picture_of_its_size() -> None:
    small = cv2.resize(scene(1), (32, 32), interpolation=cv2.INTER_AREA)
    grey = Image.fromarray(cv2.cvtColor(small, cv2.COLOR_RGB2GRAY))
    assert f"{perceptual_hash(small):016x}" == str(imagehash.phash(grey))


@pytest.mark.parametrize("shape", [(1, 1, 3), (3, 500, 3), (40, 30, 3)])
def test_pictures_of_any_size_have_a_hash(shape: tuple[int, int, int]) -> None:
    assert 0 <= perceptual_hash(np.full(shape, 90, np.uint8)) < 2**BITS


def test_the_nearest_is_found_among_many() -> None:
    rng = np.random.default_rng(0)
    others = [int(value) for value in rng.integers(0, 2**63, 300)]
    own = [others[17] ^ 0b101, others[200], others[0] ^ (1 << 63)]
    places, distances = nearest(own, others)
    assert places.tolist() == [17, 200, 0]
    assert distances.tolist() == [2, 0, 1]
    places, distances = nearest(others * 2, own)
    assert (len(places), distances[17]) == (600, 2)


def test_a_set_of_voc_s_size_takes_no_time() -> None:
    rng = np.random.default_rng(0)
    hashes = [int(value) for value in rng.integers(0, 2**63, 17_000)]
    started = time.process_time()
    nearest(hashes[:9000], hashes[9000:])
    assert time.process_time() - started < 2


def test_different_photographs_are_not_alike(real_data) -> None:
    with Archives(real_data / "imagenet-mini.tar") as files:
        names = [name for name in files.names() if name.endswith(".JPEG")][::4]
        hashes = [perceptual_hash(decode(files.read(name), name)) for name in names]
    for place, found in enumerate(hashes[:-1]):
        _, distances = nearest([found], hashes[place + 1 :])
        assert distances[0] > 6
