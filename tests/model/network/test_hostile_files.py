"""Files made to harm: each is one clear error and runs no code."""

import json
import pickle
import struct
from pathlib import Path
from typing import Any

import pytest
import torch

from yolo.errors import UserError
from yolo.model.classifier.imagenet_weights import load_pretrained
from yolo.model.darknet.convert import load_network
from yolo.model.detector.detector import DetectorSpec, build_detector, load_detector, save_detector
from yolo.model.network import weights

CFG = "[net]\nheight=64\nwidth=64\nchannels=3\n"


@pytest.fixture(scope="module")
def honest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("honest") / "detector.safetensors"
    spec = DetectorSpec("nano", 0.25, 64, 4, 2, ("circle", "square"))
    save_detector(path, build_detector(spec))
    return path


def safetensors(header: bytes, length: int | None = None) -> bytes:
    return struct.pack("<Q", len(header) if length is None else length) + header


@pytest.mark.parametrize(
    "content",
    [
        safetensors(b"{}", 1 << 62),
        safetensors(b"{" * 100),
        safetensors(b"[]"),
        safetensors(
            b'{"x":{"dtype":"F32","shape":[1099511627776],"data_offsets":[0,4398046511104]}}'
        ),
        safetensors(b'{"x":{"dtype":"F32","shape":[4],"data_offsets":[8,0]}}'),
    ],
    ids=["length", "nesting", "list", "absurd tensor", "backward"],
)
def test_a_header_that_lies_is_an_error(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"w\.safetensors is not a whole safetensors file"):
        load_detector(path)


@pytest.mark.parametrize("card", ["[" * 100_000, '{"width":' + "1" * 5000 + "}", "", "{"])
def test_metadata_that_is_no_json_is_an_error(card: str, tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    path.write_bytes(safetensors(json.dumps({"__metadata__": {"yolo": card}}).encode()))
    with pytest.raises(UserError, match="metadata that is not JSON"):
        load_detector(path)


@pytest.mark.parametrize("kept", [0, 7, 100, -1])
def test_a_cut_detector_is_an_error(kept: int, honest: Path, tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    path.write_bytes(honest.read_bytes()[:kept])
    with pytest.raises(UserError, match="not a whole safetensors file"):
        load_detector(path)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("input_size", 10**9),
        ("input_size", -64),
        ("input_size", 64.5),
        ("input_size", "64"),
        ("input_size", None),
        ("grid", 10**9),
        ("grid", -8),
        ("grid", 4.0),
        ("boxes", True),
        ("boxes", 10**12),
        ("classes", ["circle"] * 100_000),
        ("classes", [1, 2]),
        ("classes", []),
        ("classes", ["x/../../elsewhere", "b"]),
        ("classes", ["..\\elsewhere", "b"]),
        ("classes", ["a\0", "b"]),
        ("classes", ["\x1b[31mred", "b"]),
        ("classes", ["a", "a"]),
        ("classes", ["a" * 300, "b"]),
        ("classes", "ab"),
        ("classes", 3),
        ("backbone", "os.system"),
        ("backbone", "resnet18"),
        ("backbone", [[[]]]),
        ("backbone", None),
        ("head", []),
        ("input_range", "__import__('os')"),
    ],
)
def test_a_card_that_lies_is_an_error(key: str, value: Any, honest: Path, tmp_path: Path) -> None:
    tensors, card = weights.read(honest)
    path = tmp_path / "w.safetensors"
    weights.write(path, tensors, card | {key: value})
    with pytest.raises(UserError, match=r"w\.safetensors"):
        load_detector(path)


@pytest.mark.parametrize("kind", [torch.float16, torch.float64])
def test_weights_of_another_precision_are_read(
    kind: torch.dtype, honest: Path, tmp_path: Path
) -> None:
    tensors, card = weights.read(honest)
    converted = {n: t.to(kind) if t.is_floating_point() else t for n, t in tensors.items()}
    weights.write(tmp_path / "w.safetensors", converted, card)
    picture = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        found, expected = (load_detector(p)(picture) for p in (tmp_path / "w.safetensors", honest))
    torch.testing.assert_close(found, expected, atol=1e-2, rtol=1e-2)


@pytest.mark.parametrize("kind", [torch.int32, torch.complex64])
def test_weights_that_are_no_real_numbers_are_an_error(
    kind: torch.dtype, honest: Path, tmp_path: Path
) -> None:
    tensors, card = weights.read(honest)
    weights.write(tmp_path / "w.safetensors", {n: t.to(kind) for n, t in tensors.items()}, card)
    with pytest.raises(UserError, match=r"w\.safetensors do not match .* holds torch\."):
        load_detector(tmp_path / "w.safetensors")


@pytest.mark.parametrize("filters", [10**18, 10**9, -1, "8", None])
def test_a_layer_of_absurd_size_is_an_error(filters: Any, honest: Path, tmp_path: Path) -> None:
    tensors, card = weights.read(honest)
    card["backbone"][0]["filters"] = filters
    path = tmp_path / "w.safetensors"
    weights.write(path, tensors, card)
    with pytest.raises(UserError, match=r"w\.safetensors"):
        load_detector(path)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        (CFG + "[convolutional]\nfilters=900000000\nsize=3\n", r"section 0 \[convolutional\]"),
        (CFG + "[convolutional]\nfilters=" + "9" * 5000 + "\n", r"section 0 \[convolutional\]"),
        (CFG + "[connected]\noutput=900000000\n", r"section 0 \[connected\]"),
        (CFG + "[local]\nfilters=900000\nsize=3\n", r"section 0 \[local\]"),
        (CFG.replace("64", "999999999") + "[connected]\noutput=9\n", r"section 0 \[connected\]"),
        (
            CFG + "[convolutional]\nfilters=30000\n" * 9,
            r"section 2 \[convolutional\].*1,000,000,000",
        ),
        (CFG.replace("64", "9" * 5000), r"\[net\]"),
    ],
    ids=["filters", "digits", "connected", "local", "input", "many", "net"],
)
def test_a_description_of_absurd_sizes_is_an_error(text: str, named: str) -> None:
    with pytest.raises(UserError, match=named) as caught:
        load_network(text)
    assert len(str(caught.value)) < 300


class Bomb:
    """What unpickling this would do: create the file."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> Any:
        return Path.touch, (self.target,)


@pytest.mark.parametrize("suffix", [".pth", ".pt", ".bin"])
def test_foreign_weights_run_no_code(suffix: str, tmp_path: Path) -> None:
    target = tmp_path / "executed"
    for name, save in (("torch", torch.save), ("pickle", _pickled)):
        path = tmp_path / f"{name}{suffix}"
        save({"conv1.weight": Bomb(target)}, path)
        with pytest.raises(UserError, match=f"{name}{suffix} cannot be read as weights"):
            load_pretrained("resnet18", path)
    assert not target.exists()
    # the file is what it pretends to be: read carelessly it would have run
    torch.load(tmp_path / f"torch{suffix}", weights_only=False)
    assert target.exists()


def test_a_pickle_in_the_clothes_of_our_weights_is_not_unpickled(tmp_path: Path) -> None:
    target = tmp_path / "executed"
    path = tmp_path / "detector.safetensors"
    _pickled(Bomb(target), path)
    with pytest.raises(UserError, match="not a whole safetensors file"):
        load_detector(path)
    assert not target.exists()


def _pickled(value: Any, path: Path) -> None:
    path.write_bytes(pickle.dumps(value))
