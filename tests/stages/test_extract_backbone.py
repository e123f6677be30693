import json
from pathlib import Path

import pytest

from stages import extract_backbone
from yolo.errors import UserError
from yolo.model.classifier.classifier import ClassifierSpec, build_classifier, save_classifier
from yolo.model.network import weights


def test_the_stage_writes_the_backbone_and_its_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    classifier = build_classifier(ClassifierSpec("nano", 0.5, 64, ("a", "b")))
    save_classifier(Path("models/classifier.safetensors"), classifier)
    extract_backbone.main()
    metrics = json.loads(Path("reports/extract_backbone/details.json").read_text())
    parameters = sum(parameter.numel() for parameter in classifier.backbone.parameters())
    assert metrics == {"layers": 7, "parameters": parameters, "stride": 16}
    written = Path("models/backbone.safetensors").read_bytes()
    assert weights.read_card(Path("models/backbone.safetensors"))["network"] == "nano"
    extract_backbone.main()
    assert Path("models/backbone.safetensors").read_bytes() == written


def test_a_file_that_is_no_classifier_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    weights.write(Path("models/classifier.safetensors"), {}, {"kind": "detector"})
    with pytest.raises(UserError, match="holds a detector, not a classifier"):
        extract_backbone.main()
    assert not Path("models/backbone.safetensors").exists()
    assert not Path("reports").exists()
