"""The clean store: memory-mapped Arrow IPC files, and the class names beside them.

A split is one file (`train.arrow`), or several of equal length when it is large
(`train-00000-of-00008.arrow`). The images stay encoded (JPEG, PNG). Any Arrow reader opens the
files.
"""

import json
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import pyarrow as pa

from yolo.errors import UserError
from yolo.files import replacing, write_json

CLASSES_FILE = "classes.json"


def _field(name: str, kind: pa.DataType) -> pa.Field:
    return pa.field(name, kind, nullable=False)


def _list(kind: pa.DataType) -> pa.DataType:
    return pa.list_(_field("item", kind))


_IMAGE_FIELDS = [
    _field("name", pa.string()),
    _field("image", pa.large_binary()),
    _field("width", pa.int32()),
    _field("height", pa.int32()),
]
CLASSIFICATION_SCHEMA = pa.schema([*_IMAGE_FIELDS, _field("label", pa.int32())])
"""One class number per image."""
DETECTION_SCHEMA = pa.schema(
    [
        *_IMAGE_FIELDS,
        _field("boxes", _list(pa.list_(_field("item", pa.float32()), 4))),
        _field("labels", _list(pa.int32())),
        _field("difficult", _list(pa.bool_())),
        _field("truncated", _list(pa.bool_())),
    ]
)
"""Boxes are xmin, ymin, xmax, ymax in VOC's pixels: the first is 1, both ends belong to the box.

They count the pixels of the published image, whose size `width` and `height` tell; the encoded
image itself may have been reduced.
"""

# Small enough that a writer holds little, large enough that an opened file has few batches.
_ROWS_PER_BATCH = 64
RECORDS_PER_FILE = 16_384
"""About 2 GB of VOC's pictures: object stores take 5 GB in one piece, a transfer that breaks is
repeated in parts, and DVC hashes and sends several files at a time. VOC's splits are one file each,
ImageNet-1k's training images 79. A multiple of the rows of a batch."""


class Writer:
    """Write one split record by record; the file appears when the block ends without an error.

    A record is a mapping with the fields of the schema; `boxes` is anything of shape (n, 4).
    The same records give the same bytes.
    """

    def __init__(self, path: Path, schema: pa.Schema):
        self._path = path
        self._schema = schema
        self._records: list[dict[str, Any]] = []
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        temporary = self._stack.enter_context(replacing(self._path))
        self._file = self._stack.enter_context(
            pa.ipc.new_file(str(temporary), self._schema)  # pyright: ignore[reportArgumentType]
        )
        return self

    def append(self, record: Mapping[str, Any]) -> None:
        """Add one record; a field that the schema does not have is a mistake of the caller."""
        if record.keys() != set(self._schema.names):
            raise ValueError(f"record has {sorted(record)}, not {self._schema.names}")
        row = dict(record)
        if "boxes" in row:
            row["boxes"] = np.asarray(row["boxes"], np.float32).reshape(-1, 4).tolist()
        self._records.append(row)
        if len(self._records) == _ROWS_PER_BATCH:
            self._flush()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is None:
            self._flush()
        self._stack.__exit__(kind, error, trace)

    def _flush(self) -> None:
        if self._records:
            self._file.write_batch(pa.RecordBatch.from_pylist(self._records, self._schema))
            self._records = []


def write_split(
    folder: Path, split: str, schema: pa.Schema, count: int, records: Iterable[Mapping[str, Any]]
) -> None:
    """Write the `count` records of a split, as several files when they are many.

    Raises:
        ValueError: There are more or fewer than `count` records.
    """
    rest = iter(records)
    written = 0
    for path in _paths(folder, split, count):
        with Writer(path, schema) as writer:
            for record in islice(rest, RECORDS_PER_FILE):
                writer.append(record)
                written += 1
    if written != count or next(rest, None) is not None:
        raise ValueError(f"{split} should have {count} records")


def _paths(folder: Path, split: str, count: int) -> list[Path]:
    """Files of a split of `count` records."""
    files = -(-count // RECORDS_PER_FILE)
    if files <= 1:
        return [split_path(folder, split)]
    return [folder / f"{split}-{number:05}-of-{files:05}.arrow" for number in range(files)]


def _existing(path: Path) -> list[Path]:
    """The split's file, or all of its files in their order.

    Raises:
        UserError: None is there, or not all.
    """
    if path.exists():
        return [path]
    found = sorted(path.parent.glob(f"{path.stem}-[0-9]*-of-[0-9]*.arrow"))
    if not found:
        raise UserError(f"{path} does not exist; `dvc repro validate` or `dvc pull` brings it")
    total = found[0].stem.rpartition("-")[2]
    wanted = [path.with_stem(f"{path.stem}-{i:05}-of-{total}") for i in range(int(total))]
    if found != wanted:
        wrong = sorted(set(found) ^ set(wanted))[0]
        raise UserError(
            f"{path.parent} holds not exactly the {int(total)} files of {path.stem}: see {wrong}; "
            "`dvc checkout` or `dvc pull` puts it right"
        )
    return found


class Split:
    """Random access to the records of one split; its files are mapped, not read.

    Opening costs the same whatever the size: files between the first and the last are opened when
    they are needed. An object can be shared by threads, inherited by a forked process and sent to
    another process (it is opened again there).

    Raises:
        UserError: A file is missing, damaged or holds something else.
    """

    def __init__(self, path: Path):
        self.path = path
        self._paths = _existing(path)
        self._files = {0: _File(self._paths[0])}
        last = self._file(len(self._paths) - 1)
        self._per_file = len(self._files[0])
        self._length = (len(self._paths) - 1) * self._per_file + len(last)

    def __len__(self) -> int:
        return self._length

    def __reduce__(self) -> tuple[type["Split"], tuple[Path]]:
        return Split, (self.path,)

    def name(self, index: int) -> str:
        """Name of the image: unique in its split, without extension."""
        return str(self._value("name", index), "utf-8")

    def image(self, index: int) -> memoryview:
        """Encoded bytes of the image, uncopied."""
        return self._value("image", index)

    def size(self, index: int) -> tuple[int, int]:
        """Width and height of the published image in pixels."""
        return int(self._value("width", index)), int(self._value("height", index))

    def label(self, index: int) -> int:
        """Class number of the image (classification)."""
        return int(self._value("label", index))

    def boxes(self, index: int) -> np.ndarray:
        """Boxes of the image (detection): (n, 4) float32, xmin ymin xmax ymax, VOC's pixels."""
        return self._value("boxes", index).copy()

    def labels(self, index: int) -> np.ndarray:
        """Class numbers of the boxes (detection): (n,) int32."""
        return self._value("labels", index).copy()

    def difficult(self, index: int) -> np.ndarray:
        """Which boxes are marked difficult (detection): (n,) bool."""
        return self._value("difficult", index).copy()

    def truncated(self, index: int) -> np.ndarray:
        """Which boxes are marked truncated (detection): (n,) bool."""
        return self._value("truncated", index).copy()

    def _value(self, column: str, index: int) -> Any:
        if not -self._length <= index < self._length:
            raise IndexError(f"record {index} of {self._length} in {self.path}")
        number, row = divmod(index % self._length, self._per_file)
        return self._file(number).value(column, row)

    def _file(self, number: int) -> "_File":
        if number not in self._files:
            file = _File(self._paths[number])
            if 0 < number < len(self._paths) - 1 and len(file) != self._per_file:
                raise file.damaged(f"it has {len(file)} records, not {self._per_file}")
            self._files[number] = file
        return self._files[number]


class _File:
    """One mapped file of a split."""

    def __init__(self, path: Path):
        self.path = path
        self._batches: dict[int, pa.RecordBatch] = {}
        self._cells: dict[tuple[int, str], _Cells] = {}
        try:
            self._reader = pa.ipc.open_file(pa.memory_map(str(path)))
            schema = self._reader.schema
            batches = self._reader.num_record_batches
            self._rows = self._batch(0).num_rows if batches else 1
            self._length = (
                (batches - 1) * self._rows + self._batch(batches - 1).num_rows if batches else 0
            )
        except (pa.ArrowException, OSError) as error:
            raise self.damaged(error) from None
        if schema not in (CLASSIFICATION_SCHEMA, DETECTION_SCHEMA):
            raise UserError(
                f"{path} holds the columns {', '.join(schema.names)}, which is neither a detection "
                "nor a classification split; `dvc repro -f validate` writes it anew"
            )

    def __len__(self) -> int:
        return self._length

    def value(self, column: str, index: int) -> Any:
        """One value, `index` from 0."""
        batch, row = divmod(index, self._rows)
        cells = self._cells.get((batch, column))
        return (self._open(batch, column) if cells is None else cells)[row]

    def _open(self, batch: int, column: str) -> "_Cells":
        # Kept, like the batch: a look-up in Python takes a tenth of the time of one through Arrow.
        try:
            cells = self._cells[batch, column] = _cells_of(self._batch(batch).column(column))
            return cells
        except KeyError:
            raise UserError(
                f"{self.path} has no column {column}; it has {', '.join(self._reader.schema.names)}"
            ) from None
        except (pa.ArrowException, OSError) as error:
            raise self.damaged(error) from None

    def _batch(self, number: int) -> pa.RecordBatch:
        # Kept: a batch holds addresses in the mapped file, and parsing them costs more than a read.
        if number not in self._batches:
            self._batches[number] = self._reader.get_batch(number)
        return self._batches[number]

    def damaged(self, error: object) -> UserError:
        """What to raise when the content is not what it should be."""
        return UserError(
            f"{self.path} is damaged or no Arrow file ({error}); "
            "`dvc repro -f validate` writes it anew"
        )


class _Slices:
    """A column whose values differ in length: stretches of what lies end to end."""

    def __init__(self, ends: np.ndarray, values: Any):
        self._ends, self._values = ends, values

    def __getitem__(self, row: int) -> Any:
        return self._values[self._ends[row] : self._ends[row + 1]]


_Cells = np.ndarray | _Slices
"""The values of one column of a batch by row, in the mapped memory."""


def _cells_of(column: Any) -> _Cells:
    kind, (_, first, *others) = column.type, column.buffers()
    if pa.types.is_list(kind):
        return _Slices(_numbers(first, np.int32), _cells_of(column.values))
    if pa.types.is_fixed_size_list(kind):
        return _cells_of(column.flatten()).reshape(-1, kind.list_size)  # pyright: ignore
    if pa.types.is_string(kind) or pa.types.is_large_binary(kind):
        ends = _numbers(first, np.int32 if pa.types.is_string(kind) else np.int64)
        return _Slices(ends, memoryview(others[0] or b""))
    if pa.types.is_boolean(kind):
        bits = np.unpackbits(_numbers(first, np.uint8), bitorder="little")
        return bits[: len(column)].astype(bool)
    # Not column.to_numpy(), which imports pandas: seconds in every process that reads.
    return np.from_dlpack(column)


def _numbers(buffer: pa.Buffer | None, kind: type[np.number]) -> np.ndarray:
    return np.frombuffer(buffer, kind) if buffer else np.zeros(0, kind)


class CleanSet:
    """A folder of splits that share their classes.

    Raises:
        UserError: The class list is missing or damaged.
    """

    def __init__(self, folder: Path):
        self.folder = folder
        path = folder / CLASSES_FILE
        try:
            self.classes: tuple[str, ...] = tuple(json.loads(path.read_bytes())["classes"])
        except FileNotFoundError:
            raise UserError(
                f"{path} does not exist; `dvc repro validate` or `dvc pull` brings it"
            ) from None
        except (ValueError, KeyError, TypeError):
            raise UserError(
                f"{path} is no class list; `dvc repro -f validate` writes it anew"
            ) from None

    def split(self, name: str) -> Split:
        """Open one split (`train`, `val`, `test`)."""
        return Split(split_path(self.folder, name))


def split_path(folder: Path, name: str) -> Path:
    """File of a split in the folder of a clean set."""
    return folder / f"{name}.arrow"


def write_classes(folder: Path, classes: tuple[str, ...]) -> None:
    """Write the class names in the order of their numbers."""
    write_json(folder / CLASSES_FILE, {"classes": list(classes)})
