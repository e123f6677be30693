"""Where a training starts from (detect_train.start)."""

from pathlib import Path

import pytest
import torch

from stages import detect_train
from yolo.errors import UserError
from yolo.files import digest
from yolo.model.detector.detector import Detector, DetectorSpec, build_detector, save_detector
from yolo.params.detect_train import Start

SPEC = DetectorSpec("nano", 0.1, 64, 4, 2, ("a", "b"))


@pytest.fixture
def released(tmp_path: Path) -> tuple[Detector, Path]:
    detector = build_detector(SPEC, 1)
    save_detector(tmp_path / "d.safetensors", detector)
    return detector, tmp_path / "d.safetensors"


def begin(source: str, sha256: str | None = None, repo: str | None = None) -> tuple[Detector, dict]:
    detector = build_detector(SPEC, 2)
    start = Start(source=source, repo=repo, sha256=sha256)
    return detector, detect_train.first_weights(detector, start)


def test_a_file_with_its_sum_is_taken_and_named_in_the_card(
    released: tuple[Detector, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    old, path = released
    new, card = begin(str(path), digest(path))
    assert torch.equal(new.head[-2].weight, old.head[-2].weight)
    assert card == {"started_from": {"source": str(path), "sha256": digest(path)}}
    assert "backbone and head are taken" in capsys.readouterr().err


def test_a_file_without_its_sum_is_refused_with_the_sum(released: tuple[Detector, Path]) -> None:
    _, path = released
    with pytest.raises(UserError, match=f"start.sha256 is empty; .* has {digest(path)}"):
        begin(str(path))
    with pytest.raises(UserError, match=f"start.sha256 is {'0' * 64}; .* has {digest(path)}"):
        begin(str(path), "0" * 64)


def test_a_released_version_is_one_parameter(
    released: tuple[Detector, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    old, path = released
    asked: list[tuple[str, str | None]] = []

    def fetch(model: str, repo: str | None) -> Path:
        asked.append((model, repo))
        return path

    monkeypatch.setattr(detect_train, "fetch", fetch)
    new, card = begin("detector@v1.2.0")
    assert torch.equal(new.head[-2].weight, old.head[-2].weight)
    assert card["started_from"]["sha256"] == digest(path)
    begin("detector@v1.2.0", repo="../other")
    assert asked == [("detector@v1.2.0", None), ("detector@v1.2.0", "../other")]


@pytest.mark.parametrize("source", ["detector", "detector@latest", "no/such.safetensors"])
def test_anything_else_is_refused(source: str) -> None:
    with pytest.raises(UserError, match=r"must be empty, the path .* detector@v1\.2\.0"):
        begin(source)
