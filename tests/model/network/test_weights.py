from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from yolo.errors import UserError
from yolo.model.network import weights


def test_the_same_content_gives_the_same_bytes_whatever_its_order(tmp_path: Path) -> None:
    one, other = torch.arange(6.0).view(2, 3), torch.ones(4, 3, 2, 2)
    weights.write(tmp_path / "a", {"x": one, "y": other}, {"b": [1, 2.5], "a": "é"})
    shuffled = {"y": other.to(memory_format=torch.channels_last), "x": one.T.contiguous().T}
    weights.write(tmp_path / "b", shuffled, {"a": "é", "b": [1, 2.5]})
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert '{"yolo":"{\\"a\\":\\"é\\",\\"b\\":[1,2.5]}"}'.encode() in (tmp_path / "a").read_bytes()


def test_what_was_written_is_read(tmp_path: Path) -> None:
    path = tmp_path / "w"
    weights.write(path, {"x": torch.arange(3)}, {"kind": "backbone"})
    tensors, card = weights.read(path)
    assert tensors["x"].tolist() == [0, 1, 2]
    assert card == weights.read_card(path) == {"kind": "backbone"}
    with pytest.raises(UserError, match=r"w holds a backbone, not a detector"):
        weights.expect_kind(path, card, "detector")


@pytest.mark.parametrize("content", [b"", b"not a weights file", None])
def test_a_file_that_is_not_ours_is_an_error_naming_it(
    tmp_path: Path, content: bytes | None
) -> None:
    path = tmp_path / "w.safetensors"
    if content is None:
        with pytest.raises(UserError, match=r"no weights file .*w\.safetensors"):
            weights.read(path)
        return
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"w\.safetensors is not a whole safetensors file"):
        weights.read(path)


def test_a_cut_file_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "w"
    weights.write(path, {"x": torch.zeros(100)}, {})
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(UserError, match="not a whole safetensors file"):
        weights.read(path)


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        (None, "without the metadata key 'yolo'"),
        ({"yolo": "{"}, "not JSON"),
        ({"yolo": "[]"}, "no mapping"),
    ],
)
def test_other_metadata_is_an_error(
    tmp_path: Path, metadata: dict[str, str] | None, message: str
) -> None:
    save_file({"x": torch.zeros(1)}, tmp_path / "w", metadata=metadata)
    with pytest.raises(UserError, match=message):
        weights.read(tmp_path / "w")


def test_tensors_that_do_not_match_are_named_and_nothing_is_loaded(tmp_path: Path) -> None:
    module = torch.nn.Linear(2, 3)
    before = module.weight.clone()
    tensors = {"weight": torch.zeros(3, 2), "bias": torch.zeros(4), "extra": torch.zeros(1)}
    with pytest.raises(UserError, match=r"extra is unknown; bias has shape \[4\] instead of \[3\]"):
        weights.load_into(module, tensors, tmp_path / "w")
    with pytest.raises(UserError, match="bias is missing"):
        weights.load_into(module, {"weight": torch.zeros(3, 2)}, tmp_path / "w")
    assert torch.equal(module.weight, before)
