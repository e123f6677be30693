import dataclasses

import pytest

from yolo.data.validate.rules import (
    OneOf,
    Rule,
    Within,
    broken_rows,
    detection_rules,
    evaluate,
    image_rules,
    set_rules,
    shown,
)
from yolo.params.validate import ClassificationPolicies, DetectionPolicies


def rows(check, table) -> list[int]:
    return broken_rows(Rule("r", "t", (check,), "", ""), {"t": table})


@pytest.mark.parametrize(
    ("check", "table", "broken"),
    [
        (OneOf("a"), {"a": ["ok", "bad", None, "ok"]}, [1]),
        (OneOf("a", ("0", "1")), {"a": ["0", "1", "true", ""]}, [2, 3]),
        (Within("a", minimum=1), {"a": [0, 1, 2, None]}, [0]),
        (Within("a", minimum=0, strict=True), {"a": [-1.0, 0.0, 0.5, None]}, [0, 1]),
        (Within("a", maximum=0), {"a": [-1.0, 0.0, 0.5, None]}, [2]),
        (Within("a", minimum=1, maximum=2), {"a": [0, 1, 2, 3]}, [0, 3]),
        (OneOf("a"), {"a": []}, []),
        (Within("a", minimum=1), {"a": []}, []),
    ],
)
def test_checks_find_the_rows_that_break_them(check, table, broken) -> None:
    assert rows(check, table) == broken


def test_a_row_that_breaks_several_checks_of_a_rule_counts_once() -> None:
    rule = Rule("r", "t", (OneOf("a"), OneOf("b")), "{a} {b}", "")
    table = {"a": ["ok", "x", "x"], "b": ["y", "ok", "y"]}
    assert evaluate([rule], {"t": table}) == [(rule, [0, 1, 2])]
    assert shown(rule, table, 2) == "x y"


def test_every_rule_about_rows_has_a_policy_and_every_policy_a_rule() -> None:
    about_sets = {rule.name for rule in set_rules(["train", "val"], 1, 0.1)}
    with_choice = about_sets - {"min_images", "max_rejected"}
    for found, policies in (
        (detection_rules([]), DetectionPolicies),
        (image_rules([]), ClassificationPolicies),
    ):
        names = [rule.name for rule in found]
        assert len(set(names)) == len(names)
        assert set(names) | with_choice == set(policies.model_fields)


def test_each_rule_says_what_must_hold() -> None:
    for rule in (*detection_rules([]), *image_rules([]), *set_rules(["train", "val"], 1, 0.1)):
        assert rule.meaning.endswith(".")
        assert dataclasses.is_dataclass(rule)


def test_rules_about_a_set() -> None:
    tables = {
        "splits": {"split": ["train", "val"], "images": [10, 4]},
        "classes": {
            "class": ["a", "b"],
            "coverage": ["a (the set has b)", "b"],
            "alike": ["ok", "ok"],
            "train": [0, 3],
            "val": [1, 0],
        },
        "lists": {"file": ["a.txt"], "use": ["a.txt is not used"]},
        "losses": {
            "what": ["images", "objects"],
            "lost": [1, 5],
            "listed": [100, 10],
            "share": [0.01, 0.5],
        },
    }
    found = {
        rule.name: [shown(rule, tables[rule.table], row) for row in broken]
        for rule, broken in evaluate(set_rules(["train", "val"], 5, 0.05), tables)
    }
    assert found == {
        "min_images": ["val: 4"],
        "class_coverage": ["a (the set has b)"],
        "evaluation_coverage": ["b: val 0"],
        "similar_classes": [],
        "unused_list": ["a.txt is not used"],
        "max_rejected": ["5 of 10 objects"],
    }
