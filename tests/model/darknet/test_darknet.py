"""Reading and refusing the original's files, and the way between them and our detector files."""

import struct
from pathlib import Path

import numpy as np
import pytest
import torch

from yolo.errors import UserError
from yolo.model.darknet.convert import (
    VOC_CLASSES,
    export_darknet,
    import_darknet,
    load_network,
    save_weights,
)
from yolo.model.detector.detector import (
    Detector,
    DetectorSpec,
    build_detector,
    load_detector,
    save_detector,
)
from yolo.model.network import weights
from yolo.model.network.layer_specs import AvgPool, Conv, Local, MaxPool, Softmax
from yolo.model.network.output_layers import DetectionLayer

NET = "[net]\nheight=9\nwidth=7\nchannels=3\n"
SMALL = (
    NET + "[convolutional]\nfilters=4\nactivation=leaky\n[connected]\noutput=5\nactivation=linear\n"
)


def rows(text: str) -> list[object]:
    return [section.row for section in load_network(NET + text)]


def test_spaces_comments_aliases_and_repeated_keys_are_read_as_the_original_does() -> None:
    network = load_network(
        "# a comment\n\n[network]\n height = 9\nwidth= 7\nchannels=3\nmax_batches = 40000\n"
        "[conv]\n; another\nfilters = 6\nfilters=8\nsize=3#three\nunknown=1\nactivation = leaky\n"
        "[max]\nsize=2\n[avg]\n[soft]\n"
    )
    assert network.input_shape == (3, 9, 7)
    # size 2 alone: the stride's default is 1
    assert [layer.row for layer in network] == [
        Conv(6, 3, 1, 0),
        MaxPool(2, 1, 1),
        AvgPool(),
        Softmax(1, 1.0),
    ]


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ("size=3\npad=1", Conv(4, 3, 1, 1)),
        ("size=5\npad=1", Conv(4, 5, 1, 2)),
        ("size=5\npad=2", Conv(4, 5, 1, 2)),
        ("size=5\npadding=1", Conv(4, 5, 1, 1)),
        ("size=5\npad=1\npadding=1", Conv(4, 5, 1, 2)),
        ("size=5\npad=0\npadding=1", Conv(4, 5, 1, 1)),
        ("size=1\npad=1", Conv(4, 1, 1, 0)),
        ("size=3\nstride=2\nbatch_normalize=1", Conv(4, 3, 2, 0, "leaky", True)),
    ],
)
def test_pad_is_a_flag_and_padding_a_number(keys: str, expected: Conv) -> None:
    assert rows(f"[convolutional]\nfilters=4\nactivation=leaky\n{keys}\n") == [expected]


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ("", MaxPool(1, 1, 0)),
        ("stride=2", MaxPool(2, 2, 1)),
        ("size=3\nstride=2", MaxPool(3, 2, 2)),
        ("size=2\nstride=1", MaxPool(2, 1, 1)),
        ("size=3\nstride=2\npadding=0", MaxPool(3, 2, 0)),
    ],
)
def test_maxpool_defaults(keys: str, expected: MaxPool) -> None:
    assert rows(f"[maxpool]\n{keys}\n") == [expected]


def test_activation_is_logistic_where_none_is_given() -> None:
    assert rows("[convolutional]\n[local]\n") == [
        Conv(1, 1, 1, 0, "logistic"),
        Local(1, 1, 1, 0, "logistic"),
    ]


def test_a_convolution_may_follow_a_connected_layer() -> None:
    network = load_network(SMALL + "[convolutional]\nfilters=2\nactivation=linear\n")
    assert network(torch.rand(3, 3, 9, 7)).shape == (3, 2, 1, 1)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "begin with the section"),
        ("[convolutional]\n", "begin with the section"),
        ("height=3\n[net]\n", "line 1: 'height=3'"),
        ("[net]\nheight=9\nwidth=7\n", r"\[net\]: height, width and channels"),
        (NET + "[maxpool]\n[route]\nlayers=-1\n", r"section 1 \[route\] is not supported"),
        (NET + "[convolutional]\nfilters=x\n", r"section 0 \[convolutional\]: filters=x"),
        (NET + "[convolutional]\nfilters\n", r"section 0 \[convolutional\], line 6: 'filters'"),
        (NET + "[convolutional]\nstride=0\n", r"section 0 .*stride=0 .* below 1"),
        (NET + "[convolutional]\nactivation=mish\n", r"section 0 .*activation=mish"),
        (NET + "[convolutional]\nxnor=1\n", r"section 0 .*xnor is not supported"),
        (NET + "[maxpool]\n[local]\nsize=5\npad=1\n", r"section 1 \[local\]: size 5 with pad 1"),
        (NET + "[dropout]\nprobability=1\n", r"section 0 \[dropout\]: probability=1"),
        (
            NET + "[connected]\noutput=9\n[detection]\ncoords=4\n",
            r"section 1 \[detection\]: a grid",
        ),
        (NET + "[connected]\n[detection]\n", r"section 1 \[detection\]: coords=1"),
    ],
)
def test_a_description_that_cannot_be_built_is_an_error_naming_the_section(
    text: str, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        load_network(text if "\n" in text else text + "\n")


def test_an_input_of_another_size_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"\(N, 3, 9, 7\), not \(2, 3, 7, 9\)"):
        load_network(SMALL)(torch.zeros(2, 3, 7, 9))


def test_files_that_are_not_there_are_errors(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"none\.cfg"):
        load_network(tmp_path / "none.cfg")
    with pytest.raises(UserError, match=r"none\.weights"):
        load_network(SMALL, tmp_path / "none.weights")


# SMALL holds 4 + 12 floats of the convolution and 5 + 5 * 252 of the connected layer
def small_file(path: Path, floats: int, extra: bytes = b"") -> Path:
    path.write_bytes(
        struct.pack("<iiiQ", 0, 2, 0, 7) + np.arange(floats, dtype="<f4").tobytes() + extra
    )
    return path


def test_a_file_of_the_right_length_is_read_in_the_files_order(tmp_path: Path) -> None:
    network = load_network(SMALL, small_file(tmp_path / "w", 1281))
    assert network.seen == 7
    assert network[0].bias.tolist() == [0, 1, 2, 3]
    assert network[0].weight[0].flatten().tolist() == [4, 5, 6]
    assert network[1].bias.tolist() == [16, 17, 18, 19, 20]
    assert network[1].weight[1, :2].tolist() == [273, 274]


@pytest.mark.parametrize(
    ("floats", "extra", "message"),
    [
        (0, b"", r"section 0 \[convolutional\] needs 16 floats after 0 .* holds 0"),
        (15, b"\0\0\0", r"section 0 \[convolutional\] needs 16 floats after 0 .* holds 15"),
        (1280, b"", r"section 1 \[connected\] needs 1,265 floats after 16 .* holds 1,280"),
        (1282, b"", r"section 1 \[connected\] ends after 1,281 floats, .* holds 1,282"),
        (1281, b"\0\0", r"section 1 \[connected\] ends after 1,281 floats, .* holds 1,281\.5"),
    ],
)
def test_a_file_of_another_length_is_an_error_and_loads_nothing(
    tmp_path: Path, floats: int, extra: bytes, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        load_network(SMALL, small_file(tmp_path / "w", floats, extra))


@pytest.mark.parametrize("size", [0, 11, 13, 19])
def test_a_file_that_ends_in_its_header_is_an_error(tmp_path: Path, size: int) -> None:
    path = tmp_path / "w"
    path.write_bytes(struct.pack("<iiiQ", 0, 2, 0, 7)[:size])
    with pytest.raises(ValueError, match=f"has {size} bytes"):
        load_network(SMALL, path)


@pytest.mark.parametrize(
    ("version", "seen_format", "transposed"),
    [
        ((0, 1), "<i", False),
        ((0, 2), "<Q", False),
        ((1, 0), "<Q", False),
        ((2, 5), "<Q", False),
        ((999, 999), "<Q", False),
        ((1000, 0), "<i", False),
        ((1001, 0), "<i", True),
        ((0, 1001), "<i", True),
    ],
)
def test_versions(
    tmp_path: Path, version: tuple[int, int], seen_format: str, transposed: bool
) -> None:
    numbers = np.arange(1281, dtype="<f4")
    header = struct.pack("<iii", *version, 0) + struct.pack(seen_format, 2**31 - 1)
    (tmp_path / "w").write_bytes(header + numbers.tobytes())
    network = load_network(SMALL, tmp_path / "w")
    assert network.seen == 2**31 - 1
    stored = numbers[21:].reshape(252, 5).T if transposed else numbers[21:].reshape(5, 252)
    assert np.array_equal(network[1].weight.detach().numpy(), stored)


def test_upto_takes_the_first_sections_and_must_exist(tmp_path: Path) -> None:
    long, short = small_file(tmp_path / "long", 1281), small_file(tmp_path / "short", 16)
    start = load_network(SMALL, seed=5)
    for path in (long, short):
        network = load_network(SMALL, path, upto=1, seed=5)
        assert network[0].bias.tolist() == [0, 1, 2, 3]
        assert torch.equal(network[1].weight, start[1].weight)
        assert len(network) == 2
    assert torch.equal(load_network(SMALL, long, upto=0, seed=5)[0].weight, start[0].weight)
    with pytest.raises(ValueError, match="upto is 3; the network has 2 sections"):
        load_network(SMALL, long, upto=3)
    with pytest.raises(ValueError, match="upto is -1"):
        save_weights(start, tmp_path / "x", upto=-1)
    with pytest.raises(ValueError, match=r"section 0 .*needs 16"):
        load_network(SMALL, small_file(tmp_path / "none", 3), upto=1)


def test_batch_normalised_connected_layers_store_their_statistics_last(tmp_path: Path) -> None:
    text = NET + "[connected]\noutput=2\nbatch_normalize=1\nactivation=linear\n"
    network = load_network(text, small_file(tmp_path / "w", 2 + 2 * 189 + 6))
    assert network[0].norm.bias.tolist() == [0, 1]
    assert network[0].weight[0, :2].tolist() == [2, 3]
    assert network[0].norm.weight.tolist() == [380, 381]
    assert network[0].norm.running_mean.tolist() == [382, 383]
    assert network[0].norm.running_var.tolist() == [384, 385]
    save_weights(network, tmp_path / "again", seen=7)
    assert (tmp_path / "again").read_bytes() == (tmp_path / "w").read_bytes()


def test_an_imported_detector_predicts_as_the_originals_network(
    original: Path, tmp_path: Path
) -> None:
    arrays = np.load(original / "weights_roundtrip.npz")
    out = tmp_path / "tiny.safetensors"
    spec = import_darknet(original / "tiny.cfg", original / "tiny.weights", out)
    assert spec == DetectorSpec("darknet", 1.0, 192, 3, 2, VOC_CLASSES)
    detector = load_detector(out)
    assert detector.spec == spec
    with torch.no_grad():
        output = detector(torch.from_numpy(arrays["tiny_input"])).numpy()
    expected = arrays["tiny_L15"]
    assert np.abs(output - expected).max() <= 3e-4 * np.abs(expected).max()
    card = weights.read_card(out)
    assert card["darknet"] == {"cfg": (original / "tiny.cfg").read_text(), "seen": 13689}


def test_an_imported_detector_is_exported_as_the_same_numbers(
    original: Path, tmp_path: Path
) -> None:
    names = ("a", "b", "c", "d")
    import_darknet(
        original / "det.cfg", original / "det_after.weights", tmp_path / "d.safetensors", names
    )
    export_darknet(tmp_path / "d.safetensors", tmp_path / "d.cfg", tmp_path / "d.weights")
    expected = (original / "det_after.weights").read_bytes()
    assert (tmp_path / "d.weights").read_bytes()[20:] == expected[20:]
    one = load_network(tmp_path / "d.cfg", tmp_path / "d.weights")
    other = load_network(original / "det.cfg", original / "det_after.weights")
    assert [layer.row for layer in one] == [layer.row for layer in other]
    import_darknet(tmp_path / "d.cfg", tmp_path / "d.weights", tmp_path / "e.safetensors", names)
    assert load_detector(tmp_path / "e.safetensors").spec.classes == names


@pytest.mark.parametrize(
    "network", ["yolov1", "yolov1-bn", "yolov1-darknet", "yolov1-fast", "yolov1-fast-darknet"]
)
def test_our_networks_survive_the_way_to_the_original_and_back(
    tmp_path: Path, network: str
) -> None:
    spec = DetectorSpec(network, 0.02, 96, 3, 2, ("a", "b"))
    detector = build_detector(spec, seed=4)
    for name, buffer in detector.named_buffers():
        if name.endswith("running_var"):
            buffer.uniform_(0.5, 2.0)
    save_detector(tmp_path / "d.safetensors", detector)
    export_darknet(tmp_path / "d.safetensors", tmp_path / "d.cfg", tmp_path / "d.weights")
    import_darknet(tmp_path / "d.cfg", tmp_path / "d.weights", tmp_path / "e.safetensors")
    images = torch.rand(2, 3, 96, 96)
    with torch.no_grad():
        expected = detector.eval()(images)
        torch.testing.assert_close(load_detector(tmp_path / "e.safetensors")(images), expected)


@pytest.mark.parametrize(("network", "side"), [("nano", 4), ("resnet18", 7)])
def test_a_detector_that_the_original_has_no_layers_for_is_not_exported(
    tmp_path: Path, network: str, side: int
) -> None:
    spec = DetectorSpec(network, 0.02, 64, side, 2, ("a", "b"))
    save_detector(tmp_path / "d.safetensors", build_detector(spec))
    with pytest.raises(UserError, match=f"{network}.*yolov1-fast"):
        export_darknet(tmp_path / "d.safetensors", tmp_path / "d.cfg", tmp_path / "d.weights")
    assert [path.name for path in tmp_path.iterdir()] == ["d.safetensors"]


def test_plain_widths_become_roots_on_import_and_plain_again_on_export(tmp_path: Path) -> None:
    text = (
        "[net]\nheight=4\nwidth=4\nchannels=3\n[connected]\noutput=12\nactivation=linear\n"
        "[detection]\nside=1\nnum=2\nclasses=2\ncoords=4\nsqrt=0\n"
    )
    (tmp_path / "n.cfg").write_text(text)
    network = load_network(text)
    with torch.no_grad():
        network[0].weight.zero_()
        network[0].bias.copy_(torch.tensor([1, 2, 3, 4, 0.5, 0.5, 0.25, 0.49, 0.1, 0.2, -1, 0.81]))
    save_weights(network, tmp_path / "n.weights")
    import_darknet(tmp_path / "n.cfg", tmp_path / "n.weights", tmp_path / "n.safetensors")
    detector = load_detector(tmp_path / "n.safetensors")
    output = detector(torch.rand(1, 3, 4, 4))[0].tolist()
    assert output == pytest.approx([1, 2, 3, 4, 0.5, 0.5, 0.5, 0.7, 0.1, 0.2, 0, 0.9])
    export_darknet(tmp_path / "n.safetensors", tmp_path / "m.cfg", tmp_path / "m.weights")
    (last,) = [
        part for part in load_network(tmp_path / "m.cfg") if isinstance(part, DetectionLayer)
    ]
    assert not last.row.sqrt


def test_what_is_no_square_rgb_detector_is_not_imported(original: Path, tmp_path: Path) -> None:
    out = tmp_path / "x.safetensors"
    with pytest.raises(UserError, match="no detector"):
        import_darknet(original / "cls.cfg", original / "cls.weights", out)
    with pytest.raises(UserError, match="4 classes; 2 names"):
        import_darknet(original / "det.cfg", original / "det_after.weights", out, ("a", "b"))
    text = (
        NET + "[connected]\noutput=6\nactivation=linear\n[detection]\nclasses=1\ncoords=4\nside=1\n"
    )
    (tmp_path / "n.cfg").write_text(text)
    save_weights(load_network(text), tmp_path / "n.weights")
    with pytest.raises(UserError, match="3 channels of 9x7"):
        import_darknet(tmp_path / "n.cfg", tmp_path / "n.weights", out)
    assert not out.exists()


def test_classes_without_names_get_numbers(original: Path, tmp_path: Path) -> None:
    out = tmp_path / "x.safetensors"
    spec = import_darknet(original / "det.cfg", original / "det_after.weights", out)
    assert spec.classes == ("class 0", "class 1", "class 2", "class 3")
    assert isinstance(load_detector(out), Detector)


ALL_KINDS = """[net]
height=40
width=40
channels=3
[convolutional]
batch_normalize=1
filters=8
size=3
stride=2
pad=1
activation=leaky
[maxpool]
size=3
stride=2
[convolutional]
filters=6
groups=2
activation=ramp
[local]
size=3
pad=1
filters=5
activation=leaky
[dropout]
probability=.5
[connected]
output=16
batch_normalize=1
activation=leaky
[connected]
output={outputs}
activation=linear
[detection]
classes={classes}
coords=4
side={grid}
num={boxes}
sqrt={sqrt}
"""


@pytest.mark.parametrize(
    ("grid", "boxes", "classes", "sqrt"), [(5, 3, 4, 1), (5, 3, 4, 0), (1, 1, 1, 1), (3, 2, 2, 0)]
)
def test_any_detector_goes_in_and_out_unchanged(
    tmp_path: Path, grid: int, boxes: int, classes: int, sqrt: int
) -> None:
    outputs = grid * grid * (classes + 5 * boxes)
    cfg, own, out = tmp_path / "n.cfg", tmp_path / "n.weights", tmp_path / "n.safetensors"
    cfg.write_text(
        ALL_KINDS.format(outputs=outputs, classes=classes, grid=grid, boxes=boxes, sqrt=sqrt)
    )
    network = load_network(cfg, seed=grid)
    for name, buffer in network.named_buffers():
        if name.endswith(("running_mean", "running_var")):
            buffer.uniform_(0.5, 2.0, generator=torch.Generator().manual_seed(1))
    save_weights(network, own, seen=2**33 + 7)
    images = torch.rand(2, 3, 40, 40, generator=torch.Generator().manual_seed(2))
    expected = network(images).detach()

    spec = import_darknet(cfg, own, out)
    assert (spec.grid, spec.boxes, len(spec.classes)) == (grid, boxes, classes)
    boxes_from = grid * grid * (classes + boxes)
    wanted = expected.clone()
    if not sqrt:
        sizes = wanted[:, boxes_from:].view(2, -1, 4)[..., 2:]
        sizes.copy_(sizes.clamp(min=0).sqrt())
    with torch.no_grad():
        torch.testing.assert_close(load_detector(out)(images), wanted)
    assert weights.read_card(out)["darknet"]["seen"] == 2**33 + 7

    export_darknet(out, tmp_path / "e.cfg", tmp_path / "e.weights")
    with torch.no_grad():
        back = load_network(tmp_path / "e.cfg", tmp_path / "e.weights")(images)
    torch.testing.assert_close(back, expected)
    assert (tmp_path / "e.weights").read_bytes()[20:] == own.read_bytes()[20:]
