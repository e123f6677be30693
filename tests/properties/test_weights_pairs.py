"""Weights files and network descriptions, ours and the original's, written and read again."""

import tempfile
from pathlib import Path

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from yolo.model.darknet import cfg
from yolo.model.darknet.convert import load_network, save_weights
from yolo.model.network import layer_specs, weights
from yolo.model.network.layer_specs import Connected, Conv, Detection, Dropout, Local, MaxPool

torch.set_num_threads(1)

text = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
values = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(-(2**53), 2**53), text, st.floats(-1e300, 1e300)
    ),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3),
    max_leaves=8,
)
kinds = st.sampled_from([torch.float32, torch.float64, torch.int64, torch.bool, torch.uint8])


@settings(max_examples=40)
@given(
    st.dictionaries(text, values, max_size=4),
    st.dictionaries(
        st.sampled_from(["a.weight", "b", "c.0.bias"]),
        st.tuples(kinds, st.lists(st.integers(0, 4), max_size=3)),
    ),
    st.integers(0, 99),
)
def test_a_weights_file_gives_back_card_and_tensors(card, shapes, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    tensors = {
        name: (torch.rand(shape, generator=generator) * 200).to(kind)
        for name, (kind, shape) in shapes.items()
    }
    with tempfile.TemporaryDirectory() as folder:
        path, again = Path(folder, "w.safetensors"), Path(folder, "again.safetensors")
        weights.write(path, tensors, card)
        read, card_read = weights.read(path)
        weights.write(again, dict(reversed(read.items())), card_read)
        assert again.read_bytes() == path.read_bytes()
    assert card_read == card
    assert read.keys() == tensors.keys()
    for name, tensor in tensors.items():
        assert read[name].dtype == tensor.dtype
        assert torch.equal(read[name], tensor)


activations = st.sampled_from(["linear", "leaky", "relu", "ramp", "logistic", "tanh"])
sizes = st.integers(1, 4)
maps = st.lists(
    st.builds(
        Conv,
        filters=sizes,
        size=sizes,
        stride=st.integers(1, 2),
        padding=st.integers(0, 3),
        activation=activations,
        batch_norm=st.booleans(),
    )
    | st.builds(MaxPool, size=sizes, stride=st.integers(1, 2), padding=st.integers(0, 3))
    | st.builds(
        Local,
        filters=sizes,
        size=sizes,
        stride=st.integers(1, 2),
        pad=st.integers(0, 1),
        activation=activations,
    ),
    min_size=1,
    max_size=3,
)
vectors = st.lists(
    st.builds(Connected, outputs=sizes, activation=activations, batch_norm=st.booleans())
    | st.builds(Dropout, probability=st.sampled_from([0.0, 0.25, 0.5])),
    max_size=3,
)


@settings(max_examples=60)
@given(maps, vectors, st.booleans())
def test_a_description_gives_back_its_rows(first, second, sqrt: bool) -> None:
    rows = [*first, *second, Detection(2, 1, 3, sqrt=sqrt)]
    shape, sections = cfg.parse(cfg.write(rows, (3, 24, 17), "any"))
    assert shape == (3, 24, 17)
    assert [cfg.row(section) for section in sections] == rows
    assert list(layer_specs.from_json(layer_specs.to_json(rows))) == rows


@settings(max_examples=25)
@given(maps, vectors, st.integers(0, 2**40), st.integers(0, 99))
def test_a_darknet_file_gives_back_its_numbers(first, second, seen: int, seed: int) -> None:
    description = cfg.write([*first, *second], (3, 24, 17), "any")
    try:
        network = load_network(description, seed=seed)
    except ValueError as error:
        # windows that do not fit into what the layers before leave
        assert "section" in str(error)
        return
    generator = torch.Generator().manual_seed(seed)
    for tensor in network.state_dict().values():
        if tensor.is_floating_point():
            tensor.copy_(torch.rand(tensor.shape, generator=generator))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "a.weights")
        save_weights(network, path, seen=seen)
        read = load_network(description, path, seed=seed + 1)
    assert read.seen == seen
    for name, tensor in network.state_dict().items():
        assert torch.equal(read.state_dict()[name], tensor), name
