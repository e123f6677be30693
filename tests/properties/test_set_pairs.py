"""Sets written and read again in every format, our own store, and splits."""

import tempfile
from itertools import chain
from pathlib import Path

import cv2
import format_sets
import numpy as np
import pytest
from format_sets import CLASSES, FORMATS, Example
from hypothesis import given, settings
from hypothesis import strategies as st
from small_sets import MemoryFiles

from yolo.data.archives.reader import Archives
from yolo.data.formats import voc_xml
from yolo.data.formats.annotations import in_pixels
from yolo.data.formats.index import Limits
from yolo.data.formats.layouts import read_index_of
from yolo.data.store.clean_set import DETECTION_SCHEMA, Split, Writer
from yolo.data.validate import splits
from yolo.errors import UserError
from yolo.evaluation.analysis import devkit
from yolo.inference.results import write_voc_xml
from yolo.metrics.voc_ap import Detections

SPLITS = ("train", "val", "test")


@st.composite
def boxes_in(draw: st.DrawFn, width: int, height: int) -> tuple[int, int, int, int]:
    x = sorted(draw(st.lists(st.integers(1, width), min_size=2, max_size=2, unique=True)))
    y = sorted(draw(st.lists(st.integers(1, height), min_size=2, max_size=2, unique=True)))
    return x[0], y[0], x[1], y[1]


@st.composite
def images(draw: st.DrawFn) -> Example:
    width, height = draw(st.integers(2, 300)), draw(st.integers(2, 300))
    label = st.sampled_from(CLASSES)
    objects = draw(st.lists(st.tuples(label, boxes_in(width, height)), min_size=1, max_size=4))
    pixels = np.full((height, width, 3), draw(st.integers(0, 255)), np.uint8)
    return Example(cv2.imencode(".png", pixels)[1].tobytes(), width, height, objects)


sets = st.fixed_dictionaries(
    {
        split: st.dictionaries(
            st.sampled_from([f"{split}{number}" for number in range(9)]),
            images(),
            min_size=1,
            max_size=3,
        )
        for split in SPLITS
    }
)


@pytest.mark.parametrize("form", [name for name in FORMATS if name != "parquet"])
@settings(max_examples=15)
@given(sets)
def test_a_set_in_any_format_is_read_as_written(form: str, examples) -> None:
    files = MemoryFiles(FORMATS[form](examples))
    index = read_index_of("detection", files, Limits())
    read = {
        split: {
            Path(name).name.split(".")[0]: _objects(index, files, name)
            for name in index.published[split]
        }
        for split in SPLITS
    }
    assert read == {
        split: {name: sorted(one.objects) for name, one in own.items()}
        for split, own in examples.items()
    }


@settings(max_examples=10)
@given(sets)
def test_a_parquet_set_is_read_as_written(examples) -> None:
    with tempfile.TemporaryDirectory() as folder:
        for name, data in format_sets.parquet(examples).items():
            Path(folder, name).write_bytes(data)
        with Archives(Path(folder)) as files:
            index = read_index_of("detection", files, Limits())
            read = {
                split: [_objects(index, files, name) for name in index.published[split]]
                for split in SPLITS
            }
    assert read == {
        split: [sorted(one.objects) for one in own.values()] for split, own in examples.items()
    }


def _objects(index, files, name: str) -> list[tuple[str, tuple[float, ...]]]:
    record = index.records[name]
    annotation = record.boxes or index.parse(files.read(record.annotation))
    height, width = cv2.imdecode(np.frombuffer(files.read(record.image), np.uint8), 1).shape[:2]
    return sorted(
        (one.name, in_pixels(one.box, width, height) if annotation.shares else one.box)
        for one in annotation.objects
    )


@settings(max_examples=30)
@given(st.dictionaries(st.sampled_from("abcdef"), images(), max_size=3))
def test_predictions_written_as_voc_xml_are_read_as_written(examples) -> None:
    records = [
        {
            "image": f"{name}.jpg",
            "width": one.width,
            "height": one.height,
            "detections": [
                {"label": label, "score": 0.5, "box": list(box)} for label, box in one.objects
            ],
        }
        for name, one in examples.items()
    ]
    with tempfile.TemporaryDirectory() as folder:
        write_voc_xml(Path(folder), records)
        for name, one in examples.items():
            read = voc_xml.parse(Path(folder, f"{name}.xml").read_bytes())
            assert read.size == f"{one.width}x{one.height}"
            assert [(own.name, own.box) for own in read.objects] == one.objects


numbers = st.floats(-1e4, 1e4, width=32)


@settings(max_examples=30)
@given(
    st.lists(
        st.tuples(st.integers(0, 2), st.integers(0, 1), st.floats(0, 1), *[numbers] * 4),
        max_size=20,
    )
)
def test_detection_files_of_the_devkit_are_read_as_written(rows) -> None:
    table = np.array(rows, np.float64).reshape(-1, 7)
    found = Detections(table[:, 0].astype(int), table[:, 1].astype(int), table[:, 2], table[:, 3:])
    names, classes = ["a b", "c", "ü"], ["cat", "dog"]
    with tempfile.TemporaryDirectory() as folder:
        devkit.write_detections(Path(folder), found, names, classes, "test")
        files = {name: Path(folder, f"comp4_det_test_{name}.txt") for name in classes}
        read = devkit.read_detections(files, names, classes)
    expected = devkit.rounded(found)
    order = np.argsort(expected.label, kind="stable")
    for column in ("image", "label", "score", "box"):
        np.testing.assert_array_equal(getattr(read, column), getattr(expected, column)[order])


@st.composite
def records(draw: st.DrawFn) -> dict:
    count = draw(st.integers(0, 4))
    flags = st.lists(st.booleans(), min_size=count, max_size=count)
    row = st.lists(st.floats(width=32, allow_nan=False), min_size=4, max_size=4)
    return {
        "name": draw(st.text(st.characters(exclude_categories=["Cs"]), max_size=20)),
        "image": draw(st.binary(max_size=40)),
        "width": draw(st.integers(1, 2**31 - 1)),
        "height": draw(st.integers(1, 2**31 - 1)),
        "boxes": draw(st.lists(row, min_size=count, max_size=count)),
        "labels": draw(st.lists(st.integers(0, 2**31 - 1), min_size=count, max_size=count)),
        "difficult": draw(flags),
        "truncated": draw(flags),
    }


@settings(max_examples=40)
@given(st.lists(records(), max_size=4), st.integers(1, 40))
def test_the_store_gives_back_what_was_written(rows, times: int) -> None:
    rows = rows * times
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "train.arrow")
        with Writer(path, DETECTION_SCHEMA) as writer:
            for row in rows:
                writer.append(row)
        split = Split(path)
        read = [
            {
                "name": split.name(i),
                "image": bytes(split.image(i)),
                "width": split.size(i)[0],
                "height": split.size(i)[1],
                "boxes": split.boxes(i).tolist(),
                "labels": split.labels(i).tolist(),
                "difficult": split.difficult(i).tolist(),
                "truncated": split.truncated(i).tolist(),
            }
            for i in range(len(split))
        ]
    assert read == rows


@given(
    st.lists(st.integers(0, 15), min_size=1, max_size=40),
    st.sets(st.sampled_from(["val", "test"])),
    st.tuples(st.floats(0.05, 0.4), st.floats(0.05, 0.4)),
    st.integers(0, 99),
)
def test_splits_that_are_drawn_share_no_image_and_lose_none(contents, published, shares, seed):
    content = {f"image{number}": str(value) for number, value in enumerate(contents)}
    names = list(content)
    # What the set publishes comes from the end of the images, without copies elsewhere.
    own = {split: [f"{split}{number}" for number in range(3)] for split in sorted(published)}
    content |= {name: name for images in own.values() for name in images}
    planned = splits.plan(own, [*names, *chain(*own.values())], dict.fromkeys(SPLITS))

    def draw(seed: int) -> dict[str, list[str]]:
        return splits.draw(
            planned,
            dict(zip(("val", "test"), shares, strict=True)),
            seed,
            content=content.__getitem__,
            # Copies are of one class; validation refuses a set in which they are not.
            group=lambda name: content[name][-1],
        )

    try:
        lists = draw(seed)
    except UserError:
        # A group keeps one content at least; too few different ones cannot make all splits.
        assert len(set(contents)) < 12
        return
    assert sorted(chain(*lists.values())) == sorted(content)
    seen = [{content[name] for name in images} for images in lists.values()]
    assert sum(map(len, seen)) == len(set().union(*seen))
    assert draw(seed) == lists
