"""Layers against plain loops written from the spec (section 2), and batch normalisation groups."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from yolo.model.network.build import initialise, make_layer, stack
from yolo.model.network.layer_specs import (
    AvgPool,
    BoxRoots,
    CellMap,
    Connected,
    Conv,
    Crop,
    Detection,
    Dropout,
    Local,
    MaxPool,
    Row,
    Shape,
    Softmax,
    from_json,
    to_json,
)
from yolo.model.network.layers import (
    BatchNorm,
    InputRange,
    Layer,
    set_batch_norm_images,
)


def made(row: Row, shape: Shape, seed: int = 0) -> Layer:
    """A layer in evaluation mode with no number left at a round value."""
    layer = make_layer(row, shape)
    generator = torch.Generator().manual_seed(seed)
    initialise(layer, generator)
    for name, tensor in layer.state_dict().items():
        if name != "weight":
            tensor.copy_(torch.rand(tensor.shape, generator=generator) + 0.1)
    return layer.eval()


def images(shape: Shape, count: int = 2) -> Tensor:
    return torch.randn(count, *shape, generator=torch.Generator().manual_seed(9))


def leaky(x: np.ndarray) -> np.ndarray:
    return np.where(x > 0, x, 0.1 * x)


def pixel(x: np.ndarray, channel: int, row: int, column: int) -> float:
    inside = 0 <= row < x.shape[1] and 0 <= column < x.shape[2]
    return float(x[channel, row, column]) if inside else 0.0


def patch(x: np.ndarray, size: int, top: int, left: int) -> np.ndarray:
    """Values of a window, channel by channel, row by row; 0 outside (im2col.c)."""
    return np.array(
        [
            pixel(x, channel, top + i, left + j)
            for channel in range(x.shape[0])
            for i in range(size)
            for j in range(size)
        ]
    )


@pytest.mark.parametrize(
    ("size", "stride", "padding", "shape"),
    [
        (3, 1, 1, (2, 5, 4)),
        (3, 2, 1, (3, 7, 6)),
        (7, 2, 3, (1, 9, 8)),
        (1, 1, 0, (4, 3, 5)),
        (2, 2, 1, (2, 5, 5)),
        (3, 1, 0, (2, 6, 5)),
        (5, 3, 1, (2, 8, 7)),
    ],
)
def test_convolution_is_the_loops(size: int, stride: int, padding: int, shape: Shape) -> None:
    layer = made(Conv(5, size, stride, padding), shape)
    x = images(shape)
    weight = layer.weight.detach().numpy().reshape(5, -1)
    bias = layer.bias.detach().numpy()
    rows = (shape[1] + 2 * padding - size) // stride + 1
    columns = (shape[2] + 2 * padding - size) // stride + 1
    expected = np.zeros((2, 5, rows, columns))
    for n, i, j in np.ndindex(2, rows, columns):
        window = patch(x[n].numpy(), size, i * stride - padding, j * stride - padding)
        expected[n, :, i, j] = leaky(weight @ window + bias)
    np.testing.assert_allclose(layer(x).detach().numpy(), expected, rtol=1e-5, atol=1e-5)
    assert layer.output_shape == expected.shape[1:]


@pytest.mark.parametrize("size", [1, 2, 3, 5])
@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("padding", [None, 0, 1, 4])
@pytest.mark.parametrize("shape", [(2, 7, 5), (1, 6, 8), (2, 5, 9)])
def test_maxpool_is_the_loops(size: int, stride: int, padding: int | None, shape: Shape) -> None:
    padding = size - 1 if padding is None else padding
    layer = made(MaxPool(size, stride, padding), shape)
    x = images(shape).numpy() - 5  # below 0, so that a padding of 0 would show
    rows = (shape[1] + padding - size) // stride + 1
    columns = (shape[2] + padding - size) // stride + 1
    expected = np.full((2, shape[0], rows, columns), np.finfo(np.float32).min)
    for n, c, i, j, di, dj in np.ndindex(2, shape[0], rows, columns, size, size):
        row, column = i * stride - padding // 2 + di, j * stride - padding // 2 + dj
        if 0 <= row < shape[1] and 0 <= column < shape[2]:
            expected[n, c, i, j] = max(expected[n, c, i, j], x[n, c, row, column])
    assert np.array_equal(layer(torch.from_numpy(x)).numpy(), expected.astype(np.float32))
    assert layer.output_shape == expected.shape[1:]


def test_maxpool_of_odd_sizes_keeps_the_partial_window() -> None:
    x = torch.arange(15.0).reshape(1, 1, 3, 5)
    output = made(MaxPool(), (1, 3, 5))(x)
    assert output.tolist() == [[[[6.0, 8.0, 9.0], [11.0, 13.0, 14.0]]]]
    assert made(MaxPool(), (1, 1, 1))(x[:, :, :1, :1]).tolist() == [[[[0.0]]]]


@pytest.mark.parametrize(
    ("size", "stride", "pad", "shape"),
    [
        (3, 1, 1, (2, 5, 4)),
        (3, 2, 1, (2, 7, 6)),
        (3, 1, 0, (2, 5, 6)),
        (2, 1, 0, (3, 4, 5)),
        (3, 2, 0, (1, 7, 8)),
        (1, 1, 0, (3, 3, 2)),
        (5, 1, 2, (1, 5, 6)),
    ],
)
def test_local_layer_is_the_loops(size: int, stride: int, pad: int, shape: Shape) -> None:
    layer = made(Local(4, size, stride, pad), shape)
    x = images(shape)
    less = 1 if pad else size
    rows, columns = ((side - less) // stride + 1 for side in shape[1:])
    assert layer.output_shape == (4, rows, columns)
    # the file's order: weights by location, then filter; biases by filter, then location
    weight = layer.weight.detach().numpy().reshape(rows, columns, 4, -1)
    bias = layer.bias.detach().numpy().reshape(4, rows, columns)
    expected = np.zeros((2, 4, rows, columns))
    for n, i, j in np.ndindex(2, rows, columns):
        window = patch(x[n].numpy(), size, i * stride - pad, j * stride - pad)
        expected[n, :, i, j] = leaky(weight[i, j] @ window + bias[:, i, j])
    np.testing.assert_allclose(layer(x).detach().numpy(), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("size", "pad"), [(5, 1), (1, 1), (3, 2)])
def test_local_layer_whose_padding_the_original_gets_wrong_is_an_error(size: int, pad: int) -> None:
    with pytest.raises(ValueError, match="windows for"):
        make_layer(Local(4, size, 1, pad), (2, 6, 6))


def test_connected_layer_reads_the_map_channel_by_channel() -> None:
    layer = made(Connected(3, "linear"), (2, 2, 2))
    x = images((2, 2, 2))
    expected = x.numpy().reshape(2, 8) @ layer.weight.detach().numpy().T
    expected += layer.bias.detach().numpy()
    for layout in (x, x.to(memory_format=torch.channels_last)):
        np.testing.assert_allclose(layer(layout).detach().numpy(), expected, rtol=1e-5, atol=1e-6)


def test_connected_layer_normalises_each_output_by_running_statistics() -> None:
    layer = made(Connected(3, "leaky", batch_norm=True), (4,))
    x, norm = images((4,)), layer.norm
    plain = x @ layer.weight.T
    normal = (plain - norm.running_mean) / torch.sqrt(norm.running_var + 1e-5)
    torch.testing.assert_close(layer(x), F.leaky_relu(normal * norm.weight + norm.bias, 0.1))
    norm.cpu_rule = True
    normal = (plain - norm.running_mean) / (torch.sqrt(norm.running_var) + 1e-6)
    torch.testing.assert_close(layer(x), F.leaky_relu(normal * norm.weight + norm.bias, 0.1))


@pytest.mark.parametrize(
    ("activation", "expected"),
    [
        ("linear", [-2.0, 3.0]),
        ("leaky", [-0.2, 3.0]),
        ("relu", [0.0, 3.0]),
        ("ramp", [-0.2, 3.3]),
        ("logistic", [1 / (1 + math.exp(2)), 1 / (1 + math.exp(-3))]),
        ("tanh", [math.tanh(-2), math.tanh(3)]),
    ],
)
def test_activations(activation: str, expected: list[float]) -> None:
    layer = make_layer(Connected(2, activation), (2,))
    with torch.no_grad():
        layer.weight.copy_(torch.eye(2))
        layer.bias.zero_()
    assert layer(torch.tensor([[-2.0, 3.0]]))[0].tolist() == pytest.approx(expected)


def test_average_pooling_and_softmax_groups() -> None:
    x = torch.arange(12.0).reshape(1, 3, 2, 2)
    assert made(AvgPool(), (3, 2, 2))(x).tolist() == [[1.5, 5.5, 9.5]]
    output = made(Softmax(groups=2, temperature=2.0), (4,))(torch.tensor([[0.0, 2.0, 1000.0, 998]]))
    high = math.e / (1 + math.e)
    assert output[0].tolist() == pytest.approx([1 - high, high, high, 1 - high])


def test_dropout_scales_while_training_and_does_nothing_at_inference() -> None:
    layer, x = made(Dropout(0.25), (1000,)), torch.ones(1, 1000)
    assert torch.equal(layer(x), x)
    layer.train()
    torch.manual_seed(0)
    output = layer(x)
    assert output.unique().tolist() == pytest.approx([0.0, 4 / 3])
    assert torch.equal(x, torch.ones(1, 1000))
    assert 150 < int((output == 0).sum()) < 350


def test_crop_takes_the_centre_and_maps_to_plus_minus_one() -> None:
    x = torch.arange(25.0).reshape(1, 1, 5, 5)
    assert made(Crop(2, 3), (1, 5, 5))(x).tolist() == [[[[11.0, 13.0, 15.0], [21.0, 23.0, 25.0]]]]
    assert made(Crop(1, 1, adjust=False), (1, 5, 5))(x).tolist() == [[[[12.0]]]]


def test_detection_layer_passes_through_or_normalises_the_classes_of_a_cell() -> None:
    x = torch.randn(2, 4 * (3 + 5))
    assert torch.equal(made(Detection(2, 1, 3), (32,))(x), x)
    output = made(Detection(2, 1, 3, softmax=True), (32,))(x)
    torch.testing.assert_close(output[:, 3:6], x[:, 3:6].softmax(1))
    assert torch.equal(output[:, 12:], x[:, 12:])
    with pytest.raises(ValueError, match="needs 32 values, its input has 30"):
        make_layer(Detection(2, 1, 3), (30,))


def test_cells_are_put_into_the_originals_order() -> None:
    # channels: 2 classes, 1 confidence, x y w h; value = 100 * channel + cell
    x = (100 * torch.arange(7).view(1, 7, 1, 1) + torch.arange(4).view(1, 1, 2, 2)).float()
    expected = [0, 100, 1, 101, 2, 102, 3, 103]
    expected += [200, 201, 202, 203]
    expected += [300, 400, 500, 600, 301, 401, 501, 601, 302, 402, 502, 602, 303, 403, 503, 603]
    layer = made(CellMap(boxes=1, classes=2), (7, 2, 2))
    assert layer(x)[0].tolist() == expected
    assert layer(x.to(memory_format=torch.channels_last))[0].tolist() == expected


def test_roots_replace_width_and_height_alone() -> None:
    # grid 1, 2 boxes, 1 class
    x = torch.tensor([[4.0, 9, 16, 0.5, 0.25, 4.0, 9.0, -0.5, 0.75, 0.25, -1.0]])
    expected = [4.0, 9, 16, 0.5, 0.25, 2.0, 3.0, -0.5, 0.75, 0.5, 0.0]
    assert made(BoxRoots(1, 2, 1), (11,))(x)[0].tolist() == expected


def test_input_ranges() -> None:
    x = torch.tensor([0.0, 0.25, 1.0]).view(1, 3, 1, 1)
    assert InputRange("unit")(x) is x
    assert InputRange("signed")(x).flatten().tolist() == [-1.0, -0.5, 1.0]
    expected = [-0.485 / 0.229, (0.25 - 0.456) / 0.224, (1 - 0.406) / 0.225]
    assert InputRange("imagenet")(x).flatten().tolist() == pytest.approx(expected)
    assert InputRange("imagenet").state_dict() == {}


def grouped(images: int | None, channels: int = 3) -> BatchNorm:
    norm = BatchNorm(channels)
    with torch.no_grad():
        norm.weight.uniform_(0.5, 1.5)
        norm.bias.uniform_(-1, 1)
    norm.images = images
    return norm


def test_batch_norm_groups_are_what_stock_layers_compute_batch_by_batch() -> None:
    torch.manual_seed(0)
    norm = grouped(2)
    stock = nn.BatchNorm2d(3, eps=1e-5, momentum=0.01)
    stock.load_state_dict({**norm.state_dict(), "num_batches_tracked": torch.tensor(0)})
    x = torch.randn(6, 3, 4, 5, requires_grad=True)
    y = x.detach().clone().requires_grad_()
    ours, theirs = norm(x), torch.cat([stock(part) for part in y.split(2)])
    assert torch.equal(ours, theirs)
    assert torch.equal(norm.running_mean, stock.running_mean)
    assert torch.equal(norm.running_var, stock.running_var)
    (ours**3).sum().backward()
    (theirs**3).sum().backward()
    assert torch.equal(x.grad, y.grad)
    assert torch.equal(norm.weight.grad, stock.weight.grad)


def test_batch_norm_statistics_by_hand() -> None:
    """Running values move by .01 towards the mean and the variance of divisor n - 1."""
    norm = BatchNorm(1)
    output = norm(torch.tensor([[1.0], [2.0], [6.0]]))
    assert norm.running_mean.item() == pytest.approx(0.01 * 3)
    assert norm.running_var.item() == pytest.approx(0.99 + 0.01 * 7)
    deviation = math.sqrt(14 / 3 + 1e-5)
    assert output.flatten().tolist() == pytest.approx(
        [-2 / deviation, -1 / deviation, 3 / deviation]
    )


def test_batch_norm_of_a_batch_that_is_no_whole_number_of_groups_is_an_error() -> None:
    for count in (3, 5, 12):
        with pytest.raises(ValueError, match=rf"batch of {count} images .* groups of 8"):
            grouped(8)(torch.zeros(count, 3, 2, 2))
    norm = grouped(8).eval()
    assert norm(torch.zeros(3, 3, 2, 2)).shape == (3, 3, 2, 2)


def test_group_size_is_set_in_every_batch_norm() -> None:
    layers, _ = stack([Conv(8, batch_norm=True), Connected(4, batch_norm=True)], (3, 4, 4))
    set_batch_norm_images(layers, 4)
    assert [layer.norm.images for layer in layers] == [4, 4]
    with pytest.raises(ValueError, match="not 0"):
        set_batch_norm_images(layers, 0)


def test_initial_weights_have_the_originals_spread_and_follow_the_seed() -> None:
    rows = [Conv(64, batch_norm=True), Local(16), Connected(50)]
    layers, _ = stack(rows, (32, 8, 8))
    initialise(layers, torch.Generator().manual_seed(1))
    conv, local, connected = (layer.weight.detach() for layer in layers)
    scale = math.sqrt(2 / (9 * 32))
    assert conv.std().item() == pytest.approx(scale, rel=0.02)
    assert conv.abs().max().item() > 2.5 * scale  # normal, not uniform
    for weight, inputs in ((local, 9 * 64), (connected, 16 * 64)):
        bound = math.sqrt(2 / inputs)
        assert weight.abs().max().item() == pytest.approx(bound, rel=0.01)
        assert weight.std().item() == pytest.approx(bound / math.sqrt(3), rel=0.02)
    assert not layers[1].bias.any()
    assert not layers[2].bias.any()
    again, _ = stack(rows, (32, 8, 8))
    initialise(again, torch.Generator().manual_seed(1))
    assert all(
        torch.equal(one, other)
        for one, other in zip(layers.parameters(), again.parameters(), strict=True)
    )
    initialise(again, torch.Generator().manual_seed(2))
    assert not torch.equal(again[0].weight, layers[0].weight)


@pytest.mark.parametrize(
    "row",
    [Conv(4, 5, padding=1), MaxPool(5, 1, 0), Local(4, 5, 1, 0), Crop(9, 1), Conv(4, groups=3)],
)
def test_a_layer_that_does_not_fit_its_input_is_an_error(row: Row) -> None:
    with pytest.raises(ValueError, match=r"fit|groups"):
        make_layer(row, (2, 2, 2))


def test_rows_survive_json() -> None:
    rows = (Conv(8, 3, 2, 1, "linear", True, 2), MaxPool(3, 2, 2), Local(4), Connected(7, "leaky"))
    rows = (*rows, Dropout(0.3), AvgPool(), Softmax(2, 1.5), Crop(3, 4, False))
    rows = (*rows, Detection(3, 2, 4, True, False), CellMap(2, 3), BoxRoots(3, 2, 4))
    assert from_json(to_json(rows)) == rows
