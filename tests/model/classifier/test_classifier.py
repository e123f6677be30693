from pathlib import Path

import pytest
import torch

from yolo.errors import UserError
from yolo.model.classifier.classifier import (
    ClassifierSpec,
    build_classifier,
    load_classifier,
    save_classifier,
)
from yolo.model.network import weights

CLASSES = ("cat", "dog", "emu")


@pytest.mark.parametrize("network", ["yolov1", "yolov1-darknet", "nano", "resnet18"])
def test_a_saved_classifier_is_read_back_to_the_bit(tmp_path: Path, network: str) -> None:
    spec = ClassifierSpec(network, 0.02, 64, CLASSES)
    classifier = build_classifier(spec, seed=1)
    save_classifier(tmp_path / "c", classifier, top1=0.5)
    again = load_classifier(tmp_path / "c")
    images = torch.rand(2, 3, 64, 64)
    assert again.spec == spec
    assert not again.training
    assert torch.equal(again(images), classifier.eval()(images))
    assert weights.read_card(tmp_path / "c")["top1"] == 0.5
    save_classifier(tmp_path / "d", again, top1=0.5)
    assert (tmp_path / "c").read_bytes() == (tmp_path / "d").read_bytes()


@pytest.mark.parametrize("network", ["nano", "resnet18"])
def test_the_seed_alone_decides_the_first_weights(network: str) -> None:
    spec = ClassifierSpec(network, 1.0, 64, CLASSES)

    def first(seed: int) -> torch.Tensor:
        return torch.cat([p.flatten() for p in build_classifier(spec, seed).parameters()])

    torch.manual_seed(0)
    one = first(3)
    torch.manual_seed(1)
    state = torch.get_rng_state()
    assert torch.equal(one, first(3))
    assert torch.equal(state, torch.get_rng_state())
    assert not torch.equal(one, first(4))


def test_the_papers_head_averages_first_and_the_darknet_head_last() -> None:
    """The 1x1 convolution is leaky before averaging, so the two heads differ (spec 1.3)."""
    torch.manual_seed(0)
    maps = torch.randn(2, 8, 3, 3)
    paper, darknet = (
        build_classifier(ClassifierSpec(name, 0.001, 96, CLASSES)).head
        for name in ("yolov1", "yolov1-darknet")
    )
    weight = torch.randn(3, 8)
    with torch.no_grad():
        paper[-1].weight.copy_(weight)
        darknet[0].weight.copy_(weight.view(3, 8, 1, 1))
        scores = torch.einsum("oc,nchw->nohw", weight, maps)
        torch.testing.assert_close(paper(maps), scores.mean((2, 3)))
        leaky = torch.where(scores > 0, scores, 0.1 * scores)
        torch.testing.assert_close(darknet(maps), leaky.mean((2, 3)))


def test_a_classifier_takes_inputs_of_other_sizes() -> None:
    classifier = build_classifier(ClassifierSpec("nano", 0.1, 64, CLASSES)).eval()
    assert classifier(torch.rand(1, 3, 96, 80)).shape == (1, 3)


def test_files_of_another_kind_or_with_a_damaged_card_are_errors(tmp_path: Path) -> None:
    classifier = build_classifier(ClassifierSpec("nano", 0.1, 64, CLASSES))
    card = classifier.card()
    for changed, message in [
        ({"kind": "detector"}, "holds a detector, not a classifier"),
        ({"backbone": [{"layer": "spline"}]}, "does not describe a network"),
        ({"backbone": [{"layer": "conv", "fliters": 3}]}, "does not describe a network"),
        ({"classes": ["a"]}, "head"),
        ({"input_range": "percent"}, "does not describe a network"),
    ]:
        if changed.get("classes"):
            changed["head"] = [*card["head"][:-1], {**card["head"][-1], "outputs": 1}]
            message = r"head\.1\.weight has shape \[3, 24\] instead of \[1, 24\]"
        weights.write(tmp_path / "c", classifier.state_dict(), {**card, **changed})
        with pytest.raises(UserError, match=message):
            load_classifier(tmp_path / "c")
    weights.write(tmp_path / "c", classifier.state_dict(), {"kind": "classifier"})
    with pytest.raises(UserError, match="c does not describe a network"):
        load_classifier(tmp_path / "c")
