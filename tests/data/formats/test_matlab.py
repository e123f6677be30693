"""Tables of MATLAB files, against SciPy, which writes them."""

import io

import numpy as np
import pytest
from scipy.io import savemat

from yolo.data.formats.matlab import read_table

ROWS = [(1, "n02123045", 0.5), (257, "n02085620", -3.0), (70000, "grüße, 猫", 1e300)]


def written(compressed: bool, shape: tuple[int, ...] = (3,)) -> bytes:
    table = np.zeros(3, dtype=[("id", "O"), ("a_long_name", "O"), ("x", "O")])
    for row, values in enumerate(ROWS):
        table[row] = values
    file = io.BytesIO()
    other = {"before": np.arange(12.0), "text": "synsets"}
    savemat(file, {**other, "synsets": table.reshape(shape)}, do_compression=compressed)
    return file.getvalue()


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("shape", [(3,), (3, 1)])
def test_a_table_is_read_as_it_was_written(compressed: bool, shape: tuple[int, ...]) -> None:
    rows = read_table(written(compressed, shape), "synsets")
    assert [tuple(row.values()) for row in rows] == ROWS
    assert list(rows[0]) == ["id", "a_long_name", "x"]


def test_a_cell_that_is_no_single_value_is_none() -> None:
    table = np.zeros(1, dtype=[("id", "O"), ("children", "O")])
    table[0] = (7, np.array([1.0, 2.0]))
    file = io.BytesIO()
    savemat(file, {"synsets": table})
    assert read_table(file.getvalue(), "synsets") == [{"id": 7, "children": None}]


@pytest.mark.parametrize("kept", [0, 127, 128, 200, 500])
def test_a_cut_file_is_an_error(kept: int) -> None:
    with pytest.raises(ValueError, match="it "):
        read_table(written(False)[:kept], "synsets")


def test_another_table_is_an_error() -> None:
    with pytest.raises(ValueError, match="it has no table text"):
        read_table(written(True), "text")
