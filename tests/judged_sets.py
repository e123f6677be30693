"""Clean sets, what is asked of them by default, and how they are judged in tests."""

from dataclasses import replace
from pathlib import Path

from ruamel.yaml import YAML
from small_sets import MemoryFiles, picture, voc_set

from yolo.data.formats.index import Limits
from yolo.data.formats.layouts import read_index_of
from yolo.data.validate import rules
from yolo.data.validate.validation import Contract, ValidationResult, validate
from yolo.runtime.workers import Workers

ROOT = "set/VOCdevkit/VOC2007"
BASE = YAML(typ="safe").load(Path(__file__).resolve().parents[1] / "presets" / "base.yaml")
DEFAULTS = BASE["validate"]
DETECTION = Contract(
    classes=None,
    splits={"train": None, "val": None, "test": None},
    shares={"val": 0.1, "test": 0.2},
    seed=0,
    min_images=1,
    max_rejected=0.5,
    policies=DEFAULTS["detection"]["rules"],
    near_duplicate_bits=DEFAULTS["detection"]["near_duplicate_bits"],
    grid=7,
    limits=Limits(),
)
CLASSIFICATION = replace(
    DETECTION,
    splits={"train": None, "val": None},
    policies=DEFAULTS["classification"]["rules"],
)
XML, JPG = "Annotations/2.xml", "JPEGImages/2.jpg"
"""Annotation and image of number 2, which tests damage."""


def judge(files: dict[str, bytes], contract: Contract = DETECTION, **changes) -> ValidationResult:
    policies = {**contract.policies, **changes.pop("policies", {})}
    kind = "detection" if contract.policies is DETECTION.policies else "classification"
    contract = replace(contract, policies=policies, **changes)
    held = MemoryFiles(files)
    index = read_index_of(kind, held, contract.limits)
    return validate(held, index, contract, rules.run, "test", Workers())


def clean_set() -> dict[str, bytes]:
    return voc_set({"train": ["1", "2", "3"], "val": ["4", "5"], "test": ["6", "7"]})


def damaged(changes: dict[str, bytes | None]) -> dict[str, bytes]:
    files: dict = clean_set() | {f"{ROOT}/{name}": data for name, data in changes.items()}
    return {name: data for name, data in files.items() if data is not None}


def image_folder() -> dict[str, bytes]:
    return {
        f"set/{split}/{label}/{i}.jpg": picture(100 * first + 10 * second + i)
        for first, split in enumerate(("train", "val"))
        for second, label in enumerate(("cat", "dog"))
        for i in range(3)
    }
