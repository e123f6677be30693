import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from yolo.data.formats.index import OK
from yolo.data.validate import expectations
from yolo.data.validate.rules import detection_rules, evaluate, set_rules

CLASSES = ("cat", "dog")
POLICIES = {
    rule.name: "fail" for rule in (*detection_rules(CLASSES), *set_rules(["train", "val"], 5, 0.1))
}


def random_tables(seed: int, images: int, objects: int) -> dict[str, dict[str, list]]:
    rng = np.random.default_rng(seed)

    def pick(rows: int, *values: object) -> list:
        return [values[number] for number in rng.integers(0, len(values), rows)]

    return {
        "images": {
            "file": [f"{row}.jpg" for row in range(images)],
            "image": pick(images, OK, OK, "missing"),
            "readable": pick(images, OK, OK, "is <b>damaged</b>"),
            "annotation": pick(images, OK, "missing"),
            "parsed": pick(images, OK, OK, OK),
            "stated_size": pick(images, OK, "stated 5x4, is 4x5", None),
            "stated_filename": pick(images, None),
            "listing": pick(images, OK, "listed twice"),
            "format": pick(images, OK, "named JPEG, is PNG"),
            "orientation": pick(images, OK, "EXIF orientation 6"),
            "copy": pick(images, OK, "is 3 of val"),
            "range": pick(images, OK, "its pixels use 0 to 9 of 0 to 255"),
            "tags": pick(images, OK, "Difficult: read as difficult"),
            "relabelled": pick(images, OK, "has the same bytes as 3"),
            "lookalike": pick(images, OK, "looks like 3 of val"),
            "cells": pick(images, OK, "objects 1 and 2"),
        },
        "objects": {
            "file": pick(objects, "1.xml", "2.xml"),
            "object": pick(objects, 1, 2, 3),
            "class": pick(objects, "cat", "dog", "cow", ""),
            "class_problem": pick(objects, OK, "the class 'a/b' cannot be part of a file's name"),
            "twin": pick(objects, OK, "is object 1 again"),
            "box": pick(objects, OK, "is not four finite numbers"),
            "shorter_side": pick(objects, -1.0, 0.0, 1e-9, 5.0, None),
            "overhang": pick(objects, 0.0, 1e-9, 3.0, None),
            "difficult": pick(objects, "0", "1", "true"),
            "truncated": pick(objects, "0", "1", "Unspecified"),
        },
        "splits": {"split": ["train", "val"], "images": [5, 4]},
        "classes": {
            "class": ["cat", "dog"],
            "coverage": ["cat", "dog"],
            "alike": [OK, "also 'Dog'"],
            "train": [0, 3],
            "val": [0, 1],
        },
        "lists": {"file": ["a.txt", "b.txt"], "use": [OK, "b.txt is not used"]},
        "losses": {"what": ["images", "objects"], "share": [0.1, 0.11]},
    }


@pytest.mark.parametrize(("images", "objects"), [(60, 90), (1, 1), (1, 0), (0, 0)])
def test_great_expectations_finds_the_same_rows_as_the_rules(images: int, objects: int) -> None:
    rules = (*detection_rules(CLASSES), *set_rules(["train", "val"], 5, 0.1))
    tables = random_tables(images, images, objects)
    outcome = expectations.run(rules, tables, POLICIES)
    assert outcome.broken == evaluate(rules, tables)
    assert [len(rows) for rule, rows in outcome.broken if rule.name == "max_rejected"] == [1]


def test_a_check_that_cannot_be_made_is_no_success() -> None:
    tables = random_tables(0, 3, 3)
    tables["objects"]["shorter_side"] = ["wide", "narrow", "wide"]
    with pytest.raises(RuntimeError, match="empty_box"):
        expectations.run(detection_rules(CLASSES), tables, POLICIES)


def test_data_docs_need_no_network_and_hold_no_times(tmp_path: Path) -> None:
    rules = (*detection_rules(CLASSES), *set_rules(["train", "val"], 5, 0.1))
    tables = random_tables(3, 60, 90)
    pages = []
    for run in ("a", "b"):
        folder = tmp_path / run
        folder.mkdir()
        outcome = expectations.run(rules, tables, POLICIES)
        expectations.write_data_docs(folder, [("published", outcome)])
        pages.append({path.name: path.read_text() for path in sorted(folder.iterdir())})
    assert pages[0] == pages[1]
    assert set(pages[0]) == {
        "index.html",
        *(f"published_{name}.html" for name in tables),
    }
    for text in pages[0].values():
        assert not re.search(r"https?:|<script|<link|@import|url\(", text)
        assert not re.search(r"20\d\d-?[01]\d-?[0-3]\d", text)
        assert str(tmp_path) not in text
        assert "default-src 'none'" in text
    assert "empty_box: xmax is greater than xmin" in pages[0]["published_objects.html"]
    assert 'href="published_objects.html"' in pages[0]["index.html"]


def test_names_of_the_data_are_text_in_the_data_docs(tmp_path: Path) -> None:
    tables = random_tables(4, 20, 30)
    tables["objects"]["class"][3] = "<script>alert(1)</script>"
    tables["objects"]["file"][3] = "<b>bold</b>.xml"
    outcome = expectations.run(detection_rules(CLASSES), tables, POLICIES)
    expectations.write_data_docs(tmp_path, [("published", outcome)])
    text = (tmp_path / "published_objects.html").read_text()
    assert "<script" not in text
    assert "<b>bold" not in text
    assert "&lt;script&gt;alert(1)" in text


@pytest.mark.slow
def test_data_docs_do_not_depend_on_the_order_of_sets(tmp_path: Path) -> None:
    """Great Expectations orders some of its output by Python's hash seed."""
    script = (
        "import sys; from pathlib import Path; from test_expectations import *; "
        "rules = detection_rules(CLASSES); "
        "outcome = expectations.run(rules, random_tables(3, 60, 90), POLICIES); "
        "expectations.write_data_docs(Path(sys.argv[1]), [('published', outcome)])"
    )
    pages = []
    for seed in ("1", "2"):
        folder = tmp_path / seed
        folder.mkdir()
        path = os.pathsep.join([str(Path(__file__).parent), *filter(None, sys.path)])
        subprocess.run(
            [sys.executable, "-c", script, str(folder)],
            check=True,
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": path},
        )
        pages.append({page.name: page.read_bytes() for page in sorted(folder.iterdir())})
    assert pages[0] == pages[1]
