"""`params.yaml`: strict, with errors that name key, value and what is allowed."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from yolo.errors import UserError
from yolo.params.base import parse, read_document
from yolo.params.root import Params, check

BASE = Path(__file__).resolve().parents[2] / "presets" / "base.yaml"
Change = Callable[[dict[str, Any]], object]


def refusal(change: Change) -> str:
    document = YAML(typ="safe", pure=True).load(BASE)
    change(document)
    with pytest.raises(UserError) as caught:
        parse(Params, document)
    return str(caught.value)


def schedule(document: dict[str, Any]) -> dict[str, Any]:
    return document["detect_train"]["optimisation"]["schedule"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda d: d["model"].update(depth=3),
            "params.yaml: unknown key model.depth (value 3); "
            "allowed here: network, width, head, input_size, grid, boxes",
        ),
        (
            lambda d: d.update(extra=1),
            "params.yaml: unknown key extra (value 1); "
            "allowed here: data, limits, model, validate, pretrain, detect_train, evaluate, "
            "promotion",
        ),
        (lambda d: d["pretrain"].pop("seed"), "params.yaml: missing key pretrain.seed"),
        (lambda d: d.pop("evaluate"), "params.yaml: missing key evaluate"),
        (
            lambda d: d["evaluate"].update(pictures="5"),
            "params.yaml: evaluate.pictures is '5'; it should be a valid integer",
        ),
        (
            lambda d: d["evaluate"].update(pictures=True),
            "params.yaml: evaluate.pictures is True; it should be a valid integer",
        ),
        (
            lambda d: d["detect_train"].update(keep="newest"),
            "params.yaml: detect_train.keep is 'newest'; it should be 'best' or 'last'",
        ),
        (
            lambda d: schedule(d).update(learning_rate=0),
            "params.yaml: detect_train.optimisation.schedule.learning_rate is 0; "
            "it should be greater than 0",
        ),
        (
            lambda d: schedule(d).update(learning_rate="1e-3"),
            "params.yaml: detect_train.optimisation.schedule.learning_rate is '1e-3'; "
            "it should be a valid number",
        ),
        (
            lambda d: schedule(d).update(learning_rate=float("nan")),
            "params.yaml: detect_train.optimisation.schedule.learning_rate is nan; "
            "it should be greater than 0",
        ),
    ],
)
def test_a_wrong_key_is_named_with_its_value_and_what_is_allowed(
    change: Change, message: str
) -> None:
    assert refusal(change) == message


@pytest.mark.parametrize(
    ("change", "key", "message"),
    [
        (
            lambda d: schedule(d).update(steps=[10, 20], scales=[0.1]),
            "detect_train.optimisation.schedule",
            "has 2 steps and 1 scales; each step needs one",
        ),
        (
            lambda d: schedule(d).update(steps=[20, 10], scales=[0.1, 0.1]),
            "detect_train.optimisation.schedule",
            "must have steps in strictly rising order",
        ),
        (
            lambda d: d["detect_train"]["optimisation"].update(batch=60),
            "detect_train.optimisation",
            "has batch 60, which batch_norm_images 8 does not divide",
        ),
        (
            lambda d: d["pretrain"]["augmentation"].update(min_crop=400),
            "pretrain.augmentation",
            "has min_crop 400 above max_crop 320",
        ),
        (
            lambda d: d["pretrain"].update(input_size=256),
            "pretrain",
            "has augmentation.min_crop 224 below input_size 256",
        ),
    ],
)
def test_values_that_do_not_fit_together_are_refused(
    change: Change, key: str, message: str
) -> None:
    said = refusal(change)
    assert said.startswith(f"params.yaml: {key} ")
    assert said.endswith(message)


def test_every_wrong_key_is_reported_at_once() -> None:
    def change(document: dict[str, Any]) -> None:
        document["evaluate"]["pictures"] = -1
        document["model"]["grid"] = 0

    assert refusal(change).splitlines() == [
        "params.yaml: model.grid is 0; it should be greater than or equal to 1",
        "params.yaml: evaluate.pictures is -1; it should be greater than or equal to 0",
    ]


@pytest.mark.parametrize(("value", "text"), [(7, "7"), (True, "true"), (0.5, "0.5")])
def test_a_value_that_yaml_makes_no_text_is_to_be_quoted(value: object, text: str) -> None:
    said = refusal(lambda d: d["data"]["detection"].update(classes=["cat", value]))
    assert said.startswith(f"params.yaml: data.detection.classes.1 is {value!r}; it should be text")
    assert f'("{text}")' in said


def test_whole_numbers_count_as_floats_and_nothing_else_is_converted() -> None:
    document = YAML(typ="safe", pure=True).load(BASE)
    document["model"]["width"] = 1
    assert parse(Params, document).model.width == 1.0
    document["model"]["grid"] = 7.0
    with pytest.raises(UserError, match=r"model\.grid is 7\.0; it should be a valid integer"):
        parse(Params, document)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("data: [\n", "is not valid YAML"),
        ("- data\n", "must be a mapping of blocks, not list"),
        ("", "must be a mapping of blocks, not NoneType"),
        ("a: 1\na: 2\n", "is not valid YAML"),
    ],
)
def test_a_file_that_is_no_mapping_is_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "params.yaml"
    path.write_text(text)
    with pytest.raises(UserError, match=message):
        read_document(path)


def test_a_missing_file_says_where_and_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"does not exist here .*`yolov1 preset demo`"):
        check(tmp_path / "params.yaml")


def test_numbers_are_read_as_dvc_reads_them(tmp_path: Path) -> None:
    """YAML 1.2: 1e-3 is a number, `no` is text, 010 is ten."""
    path = tmp_path / "params.yaml"
    path.write_text("a: 1e-3\nb: no\nc: 010\n")
    assert read_document(path) == {"a": 0.001, "b": "no", "c": 10}
