"""Nested mappings under dotted names."""

from yolo.nested import flatten


def test_each_leaf_has_a_dotted_name_and_an_empty_mapping_is_one() -> None:
    values = {"b": {"c": 1, "d": {"e": [2, 3]}}, "a": None, "f": {}}
    assert dict(flatten(values)) == {"b.c": 1, "b.d.e": [2, 3], "a": None, "f": {}}
    assert list(flatten({"c": 1}, "a.b")) == [("a.b.c", 1)]
