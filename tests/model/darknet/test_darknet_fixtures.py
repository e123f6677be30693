"""Our sections against numbers that the original program computed (tests/fixtures/README.md)."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from yolo.detection.loss import detection_loss
from yolo.model.darknet.convert import Network, load_network, save_weights
from yolo.model.network.layers import BatchNorm

CPU_TOLERANCE, GPU_TOLERANCE = 1e-5, 3e-4


def outputs(network: Network, images: np.ndarray) -> list[Tensor]:
    """Output of each section, collected while the network runs as a whole."""
    found: list[Tensor] = []
    for section in network:
        section.register_forward_hook(lambda _, __, output: found.append(output))
    with torch.no_grad():
        network(torch.from_numpy(images))
    return found


def check_layers(network: Network, arrays: Any, prefix: str, tolerance: float) -> None:
    found = outputs(network, arrays[f"{prefix}input"])
    assert len(found) == len(network) == sum(key.startswith(f"{prefix}L") for key in arrays.files)
    for index, output in enumerate(found):
        expected = arrays[f"{prefix}L{index:02}"]
        if expected.ndim == 4 and output.dim() == 4:
            assert output.shape == expected.shape
        error = np.abs(output.numpy().reshape(expected.shape) - expected).max()
        assert error <= tolerance * np.abs(expected).max(), (index, network[index])


@pytest.mark.parametrize(("cpu_rule", "tolerance"), [(True, CPU_TOLERANCE), (False, GPU_TOLERANCE)])
@pytest.mark.parametrize("name", ["layers_a", "layers_b"])
def test_every_layer_computes_what_the_original_does(
    original: Path, name: str, cpu_rule: bool, tolerance: float
) -> None:
    network = load_network(
        original / f"{name}.cfg", original / f"{name}.weights", cpu_rule=cpu_rule
    )
    check_layers(network, np.load(original / f"{name}.npz"), "", tolerance)


@pytest.mark.parametrize(("cpu_rule", "tolerance"), [(True, CPU_TOLERANCE), (False, GPU_TOLERANCE)])
@pytest.mark.parametrize(
    ("cfg", "weights", "seen"),
    [
        ("tiny", "tiny", 13689),
        ("tiny", "tiny_v010", 13689),
        ("tiny", "tiny_transposed", 13689),
        ("cls", "cls", 639936),
        ("det", "det_after", 639936),
    ],
)
def test_every_header_variant_is_read(
    original: Path, cfg: str, weights: str, seen: int, cpu_rule: bool, tolerance: float
) -> None:
    network = load_network(
        original / f"{cfg}.cfg", original / f"{weights}.weights", cpu_rule=cpu_rule
    )
    check_layers(network, np.load(original / "weights_roundtrip.npz"), f"{cfg}_", tolerance)
    assert network.seen == seen


def test_partial_load_gives_the_backbone_to_the_bit_and_leaves_the_head(original: Path) -> None:
    cut = json.loads(str(np.load(original / "weights_roundtrip.npz")["meta"]))["cut_layers"]
    start = load_network(original / "det.cfg", seed=3)
    loaded = load_network(original / "det.cfg", original / "cls.conv.weights", upto=cut, seed=3)
    after = load_network(original / "det.cfg", original / "det_after.weights")
    assert loaded.seen == 639936
    for index in range(len(loaded)):
        expected = after if index < cut else start
        for name, tensor in loaded[index].state_dict().items():
            assert torch.equal(tensor, expected[index].state_dict()[name]), (index, name)


def test_partial_load_takes_the_backbone_of_a_whole_classifier_file(original: Path) -> None:
    one = load_network(original / "det.cfg", original / "cls.weights", upto=6)
    other = load_network(original / "det.cfg", original / "cls.conv.weights", upto=6)
    for name, tensor in one[:6].state_dict().items():
        assert torch.equal(tensor, other[:6].state_dict()[name]), name


@pytest.mark.parametrize("name", ["tiny", "tiny_v010", "tiny_transposed"])
def test_saving_gives_the_originals_bytes(original: Path, tmp_path: Path, name: str) -> None:
    network = load_network(original / "tiny.cfg", original / f"{name}.weights")
    save_weights(network, tmp_path / "saved.weights", seen=network.seen)
    expected = (original / "tiny.weights").read_bytes()
    assert (tmp_path / "saved.weights").read_bytes() == expected


def test_saving_a_cut_gives_the_originals_partial_file(original: Path, tmp_path: Path) -> None:
    network = load_network(original / "cls.cfg", original / "cls.weights")
    save_weights(network, tmp_path / "cut.weights", upto=6, seen=network.seen)
    expected = (original / "cls.conv.weights").read_bytes()
    assert (tmp_path / "cut.weights").read_bytes() == expected


def flat(network: Network) -> np.ndarray:
    """All numbers in the file's order."""
    parts = []
    for section in network:
        state = section.state_dict()
        names = ["bias", "weight"]
        if "norm.bias" in state:
            names = ["norm.bias", "norm.weight", "norm.running_mean", "norm.running_var", "weight"]
        parts += [state[name].flatten() for name in names if name in state]
    return torch.cat(parts).numpy()


def train(original: Path, name: str) -> tuple[list[np.ndarray], list[np.ndarray], list[float]]:
    """Plain SGD as spec section 7 says: parameters after each update, outputs, summed delta^2."""
    arrays = np.load(original / f"{name}.npz")
    network = load_network(original / f"{name}.cfg", original / f"{name}.weights")
    assert np.array_equal(flat(network), arrays["params_init"])
    network.train()
    weights = [parameter for parameter in network.parameters() if parameter.dim() > 1]
    others = [parameter for parameter in network.parameters() if parameter.dim() == 1]
    optimiser = torch.optim.SGD(
        [{"params": weights, "weight_decay": 5e-4}, {"params": others, "weight_decay": 0.0}],
        lr=0.0,
        momentum=0.9,
    )
    subdivisions, images = 2, 4
    parameters, predictions, costs = [], [], []
    for sub in range(len(arrays["cost_per_subbatch"])):
        part = slice(sub * images, (sub + 1) * images)
        prediction = network(torch.from_numpy(arrays["X"][part]))
        prediction.retain_grad()
        loss = detection_loss(
            prediction,
            torch.from_numpy(arrays["Y"][part]).view(images, 3, 3, 9),
            grid=3,
            boxes=2,
            classes=4,
            coord_scale=5.0,
            object_scale=1.0,
            noobject_scale=0.5,
            class_scale=1.0,
        )
        (loss.total / subdivisions).backward()
        predictions.append(prediction.detach().numpy())
        # delta is minus the gradient of the sum over images
        costs.append(float((prediction.grad * images * subdivisions).square().sum()))
        if sub % subdivisions == subdivisions - 1:
            for group in optimiser.param_groups:
                group["lr"] = float(arrays["rate_after_subbatch"][sub])
            optimiser.step()
            optimiser.zero_grad()
            parameters.append(flat(network))
    return parameters, predictions, costs


def test_sgd_without_batch_normalisation_follows_the_original(original: Path) -> None:
    arrays = np.load(original / "train_nobn.npz")
    parameters, predictions, costs = train(original, "train_nobn")
    assert len(parameters) == 5
    for update, found in enumerate(parameters):
        assert np.abs(found - arrays[f"params_u{update}"]).max() <= 5e-6, update
    for sub, found in enumerate(predictions):
        assert np.abs(found - arrays[f"output_s{sub}"]).max() <= 1e-5, sub
    np.testing.assert_allclose(costs, arrays["cost_per_subbatch"], rtol=1e-5)


def test_sgd_with_batch_normalisation_stays_near_the_original(original: Path) -> None:
    """The original's CPU backward is not the derivative of its forward, hence the tolerance."""
    arrays = np.load(original / "train_bn.npz")
    parameters, _, _ = train(original, "train_bn")
    for update, found in enumerate(parameters):
        assert np.abs(found - arrays[f"params_u{update}"]).max() <= 3e-2, update


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("name", ["layers_a", "layers_b"])
def test_no_section_changes_an_earlier_output(original: Path, name: str, training: bool) -> None:
    """What a hook has kept must be the same after the whole network has run."""
    network = load_network(original / f"{name}.cfg", original / f"{name}.weights")
    network.train(training)
    kept: list[tuple[Tensor, Tensor]] = []
    for section in network:
        section.register_forward_hook(lambda _, __, output: kept.append((output, output.clone())))
    network(torch.rand(4, *network.input_shape))
    assert len(kept) == len(network)
    assert all(torch.equal(output, copy) for output, copy in kept)


def test_batch_normalisation_takes_the_cpu_rule_only_when_asked(original: Path) -> None:
    for cpu_rule in (False, True):
        network = load_network(original / "layers_b.cfg", cpu_rule=cpu_rule)
        norms = [part for part in network.modules() if isinstance(part, BatchNorm)]
        assert norms
        assert {norm.cpu_rule for norm in norms} == {cpu_rule}
        assert isinstance(network[0], nn.Module)
