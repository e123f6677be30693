from pathlib import Path

from judged_sets import JPG, ROOT, XML, clean_set, damaged, judge
from small_sets import annotation

from yolo.data.validate.messages import refusal, warnings


def test_the_text_names_rule_offender_remedy_and_report() -> None:
    files = damaged({"JPEGImages/6.jpg": clean_set()[f"{ROOT}/{JPG}"]})
    text = refusal("detection", judge(files), Path("reports"))
    assert "duplicate_image (1): No image is in two splits (same bytes)." in text
    assert f"{ROOT}/{JPG}: is 6 of test" in text
    assert "validate.detection.rules.duplicate_image" in text
    assert "reports/rejected.csv" in text


def test_the_text_shows_some_of_many_and_the_worst_rules() -> None:
    objects = [("cat", (5, 5, 5, 9))] * 9 + [("cat", (1, "x", 2, 3))]
    text = refusal("detection", judge(damaged({XML: annotation(objects)})), Path("reports"))
    assert "10 of 16 objects" in text
    assert f"most: empty_box 9, e.g. {ROOT}/{XML}: 5 5 5 9" in text
    assert f"most: invalid_box 1, e.g. {ROOT}/{XML}: 1 x 2 3" in text
    assert "raise validate.detection.max_rejected" in text


def test_offenders_beyond_the_first_are_counted() -> None:
    objects = [("cat", (5, 5, 5, 9))] * 9
    assessment = judge(damaged({XML: annotation(objects)}), policies={"empty_box": "fail"})
    assert "and 4 more" in refusal("detection", assessment, Path("reports"))


def test_what_is_tolerated_is_counted_by_rule_and_action() -> None:
    objects = [("cat", (5, 5, 5, 9)), ("cat", (0, 5, 9, 9)), ("dog", (22, 12, 29, 19))]
    assert warnings(judge(damaged({XML: annotation(objects)}))) == [
        "  box_outside: 1 (clip)",
        "  empty_box: 1 (drop_object)",
        "  evaluation_coverage: dog: val 0, test 0 (warn)",
    ]
