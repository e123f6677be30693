"""The device's crop, resize, flip and colours, run on the CPU, against the host's."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from test_augment import real_pictures

from yolo.data.loading import augment, on_device
from yolo.data.loading.augment import Crop
from yolo.data.loading.loader import BatchSampler, SampleOrder, load
from yolo.data.loading.on_device import View
from yolo.data.store.clean_set import CLASSIFICATION_SCHEMA, DETECTION_SCHEMA, Split, Writer
from yolo.data.store.images import encode_png
from yolo.params.detect_train import DetectorAugmentation
from yolo.params.pretrain import ClassifierAugmentation
from yolo.training.detect_train import samples as detection
from yolo.training.pretrain import samples as classification

torch.set_num_threads(1)
SIZE = 48
ACCELERATOR = torch.device("cuda")
"""For which samples are made here; nothing runs on it."""


def on_the_host(image, view):
    return augment.warp(image, view.crop, view.size, view.flip, view.vertical_flip)


def differences(images, views):
    """Grey levels between both paths, (N, size, size, 3)."""
    packed = on_device.pack(images, views).to(torch.device("cpu"))
    host = np.stack([on_the_host(*pair) for pair in zip(images, views, strict=True)])
    return (packed.warp() - torch.from_numpy(host)).abs()


@settings(max_examples=30, deadline=None)
@given(
    sides=st.lists(st.tuples(st.integers(20, 160), st.integers(20, 160)), min_size=1, max_size=4),
    size=st.integers(16, 120),
    seed=st.integers(0, 2**32 - 1),
)
def test_a_batch_of_ragged_sizes_is_the_hosts_on_noise(sides, size, seed):
    rng = np.random.default_rng(seed)
    images, views = [], []
    for number, (height, width) in enumerate(sides):
        images.append(rng.integers(0, 256, (height, width, 3), dtype=np.uint8))
        if number % 2:
            side = min(size, height, width)
            crop = augment.draw_classifier_crop(rng, width, height, side, side, 2 * side)
        else:
            crop = augment.draw_crop(rng, width, height, jitter=0.2)
        views.append(View(crop, size, *(bool(flip) for flip in rng.integers(0, 2, 2))))
    assert differences(images, views).max() <= 2


@pytest.mark.parametrize("archive", ["bccd.tar", "voc-mini.tar", "imagenet-mini.tar"])
def test_a_batch_is_the_hosts_on_real_images(real_data, archive):
    images, views = list(real_pictures(real_data, archive, 4)), []
    for number, image in enumerate(images):
        rng = augment.sample_rng(0, 0, number)
        height, width = image.shape[:2]
        views.append(View(augment.draw_crop(rng, width, height, 0.2), 224, number % 2 == 1))
    found = differences(images, views)
    assert found.max() <= 2 and found.mean() < 0.5


def test_an_image_that_was_warped_already_stays_as_it_is():
    rng = np.random.default_rng(0)
    large, small = (rng.integers(0, 256, (side, side, 3), dtype=np.uint8) for side in (SIZE, 30))
    view = View(Crop(0, 0, 30, 30), SIZE, flip=True)
    found = on_device.pack([large, small], [None, view]).warp()
    assert torch.equal(found[0], torch.from_numpy(large).float())
    assert (found[1] - torch.from_numpy(on_the_host(small, view))).abs().max() <= 2


SIDES = ((60, 90), (110, 70), (48, 48), (300, 200), (75, 100))
"""Heights and widths; one image is so large that the host warps it."""


def write(path, schema, **columns):
    """A split of smooth images of different sizes."""
    rng = np.random.default_rng(0)
    with Writer(path, schema) as writer:
        for number, (height, width) in enumerate(SIDES):
            coarse = rng.integers(0, 256, (4, 4, 3), dtype=np.uint8)
            image = augment.warp(coarse, Crop(0, 0, 4, 4), max(height, width), flip=False)
            record = {
                "name": f"image {number}",
                "image": encode_png(image[:height, :width]),
                "width": width,
                "height": height,
            }
            writer.append(record | {name: of(number) for name, of in columns.items()})
    return Split(path)


def detector_samples(path, **colours):
    split = write(
        path,
        DETECTION_SCHEMA,
        boxes=lambda number: [[5, 5, 40, 45], [20, 10, 35, 40]][: number % 3],
        labels=lambda number: [number % 3, 1][: number % 3],
        difficult=lambda number: [False] * (number % 3),
        truncated=lambda number: [False] * (number % 3),
    )
    wanted = DetectorAugmentation(jitter=0.2, flip=True, vertical_flip=True, **colours)
    return detection.TrainingSamples(split, SIZE, wanted, seed=3), detection.collate


def classifier_samples(path, **colours):
    split = write(path, CLASSIFICATION_SCHEMA, label=lambda number: number % 2)
    wanted = ClassifierAugmentation(min_crop=SIZE, max_crop=2 * SIZE, flip=True, **colours)
    return classification.TrainingSamples(split, SIZE, wanted, seed=3), classification.collate


def batches_of_both(samples, collate):
    """The same updates on both paths, those of the device's moved to the CPU device."""
    sampler = BatchSampler(SampleOrder(len(samples), 3), 1, 5, 4, 4)
    pair = (samples, samples.for_device(ACCELERATOR))
    host, device = (list(load(own, sampler, collate, workers=0)) for own in pair)
    return zip(host, (batch.to(torch.device("cpu")) for batch in device), strict=True)


@pytest.mark.parametrize("made", [detector_samples, classifier_samples])
def test_both_trainings_see_the_same_images_and_labels_on_both_paths(tmp_path, made):
    unchanged = {"hue": 0.0, "saturation": 1.0, "exposure": 1.0}
    samples, collate = made(tmp_path / "train.arrow", **unchanged)
    for host, device in batches_of_both(samples, collate):
        assert isinstance(device.images, on_device.Decoded)
        assert device.names == host.names and torch.equal(device.colour, host.colour)
        assert (device.inputs() - host.inputs()).abs().max() <= 2 / 255
        for labels in ("boxes", "labels"):
            if hasattr(host, labels):
                assert torch.equal(getattr(device, labels), getattr(host, labels))


@pytest.mark.parametrize("made", [detector_samples, classifier_samples])
def test_colours_change_after_the_warp_as_drawn(tmp_path, made):
    colours = {"hue": 0.1, "saturation": 1.5, "exposure": 1.5}
    samples, collate = made(tmp_path / "train.arrow", **colours)
    for host, device in batches_of_both(samples, collate):
        warped = device.images.warp().permute(0, 3, 1, 2) / 255
        assert torch.equal(device.inputs(), augment.distort(warped, *device.colour.unbind(1)))
        # a hue may turn far where two channels are within a grey level, so not every value is near
        apart = (device.inputs() - host.inputs()).abs()
        assert apart.mean() <= 1 / 255 and apart.quantile(0.99) <= 6 / 255


def test_an_image_much_larger_than_the_input_is_warped_by_the_host(tmp_path):
    unchanged = {"hue": 0.0, "saturation": 1.0, "exposure": 1.0}
    samples, _ = detector_samples(tmp_path / "train.arrow", **unchanged)
    sent = [samples.for_device(ACCELERATOR)[0, index] for index in range(len(SIDES))]
    assert [sample.view is None for sample in sent] == [h * w > 4 * SIZE**2 for h, w in SIDES]
    assert all(samples[0, index].view is None for index in range(len(SIDES)))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("made", [detector_samples, classifier_samples])
def test_a_gpu_makes_the_same_images_from_pinned_memory(tmp_path, made):
    unchanged = {"hue": 0.0, "saturation": 1.0, "exposure": 1.0}
    samples, collate = made(tmp_path / "train.arrow", **unchanged)
    for host, device in batches_of_both(samples, collate):
        pinned = device.pin_memory()
        assert pinned.images.pixels.is_pinned() and pinned.colour.is_pinned()
        found = pinned.to(ACCELERATOR).inputs()
        assert found.device.type == "cuda"
        assert (found.cpu() - host.inputs()).abs().max() <= 2 / 255
