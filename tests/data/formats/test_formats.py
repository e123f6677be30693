"""The same images and boxes, in each format: the same clean data."""

from dataclasses import replace
from pathlib import Path

import pytest
from format_sets import FORMATS, examples
from judged_sets import DETECTION
from small_sets import write_folder

from yolo.data.archives.reader import Archives
from yolo.data.formats.layouts import read_index_of
from yolo.data.store.clean_set import CleanSet
from yolo.data.validate import rules
from yolo.data.validate.validation import ValidationResult, validate
from yolo.data.validate.write_clean import write_store
from yolo.runtime.workers import Workers

SPLITS = ["train", "val", "test"]


def admitted(path: Path, clean: Path, **changes) -> tuple[ValidationResult, CleanSet]:
    """Validate what is in a folder and write the clean data."""
    with Archives(path) as files:
        index = read_index_of("detection", files, DETECTION.limits)
        contract = replace(DETECTION, **changes)
        result = validate(files, index, contract, rules.run, "test", Workers())
        clean.mkdir()
        write_store(clean, files, result, SPLITS, None, Workers())
    return result, CleanSet(clean)


def content(clean: CleanSet) -> dict[str, list[tuple]]:
    """What each split holds, whatever its images are called."""
    return {
        name: sorted(
            (
                bytes(split.image(i)),
                split.size(i),
                split.boxes(i).tolist(),
                split.labels(i).tolist(),
                split.difficult(i).tolist(),
            )
            for i in range(len(split))
        )
        for name in SPLITS
        for split in [clean.split(name)]
    }


@pytest.mark.parametrize("form", FORMATS)
def test_every_format_gives_the_same_clean_data(tmp_path: Path, form: str) -> None:
    result, clean = admitted(
        write_folder(tmp_path / "set", FORMATS[form](examples())), tmp_path / "clean"
    )
    assert clean.classes == ("dog", "tabby cat")
    assert content(clean) == {
        split: sorted(
            (
                one.image,
                (one.width, one.height),
                [list(box) for _, box in one.objects],
                [clean.classes.index(label) for label, _ in one.objects],
                [False] * len(one.objects),
            )
            for one in own.values()
        )
        for split, own in examples().items()
    }
    found = {one.rule for one in result.filtered.findings} - {"cell_collision", "near_duplicate"}
    assert found == set()
    assert result.failures == []
    assert [rule.name for rule, _ in result.warnings] == []
    assert result.drawn == ()
