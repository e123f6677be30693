"""The clean store: one memory-mapped Arrow IPC file per split, and the class names beside them.

The images stay encoded (JPEG, PNG). Any Arrow reader opens the files.
"""

import json
from collections.abc import Mapping
from contextlib import ExitStack
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

They count the pixels of the published picture, whose size `width` and `height` tell; the encoded
picture itself may have been reduced.
"""

# Small enough that a writer holds little, large enough that an opened file has few batches.
_ROWS_PER_BATCH = 64


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


class Split:
    """Random access to the records of one split; the file is mapped, not read.

    Opening costs the same whatever the size. An object can be shared by threads, inherited by a
    forked process and sent to another process (it is opened again there).

    Raises:
        UserError: The file is missing, damaged or holds something else.
    """

    def __init__(self, path: Path):
        self.path = path
        self._batches: dict[int, pa.RecordBatch] = {}
        try:
            self._reader = pa.ipc.open_file(pa.memory_map(str(path)))
            schema = self._reader.schema
            batches = self._reader.num_record_batches
            self._rows = self._batch(0).num_rows if batches else 1
            self._length = (
                (batches - 1) * self._rows + self._batch(batches - 1).num_rows if batches else 0
            )
        except FileNotFoundError:
            raise UserError(
                f"{path} does not exist; `dvc repro validate` or `dvc pull` brings it"
            ) from None
        except (pa.ArrowException, OSError) as error:
            raise self._damaged(error) from None
        if schema not in (CLASSIFICATION_SCHEMA, DETECTION_SCHEMA):
            raise UserError(
                f"{path} holds the columns {', '.join(schema.names)}, which is neither a detection "
                "nor a classification split; `dvc repro -f validate` writes it anew"
            )

    def __len__(self) -> int:
        return self._length

    def __reduce__(self) -> tuple[type["Split"], tuple[Path]]:
        return Split, (self.path,)

    def name(self, index: int) -> str:
        """Name of the image: unique in its split, without extension."""
        return self._value("name", index).as_py()

    def image(self, index: int) -> memoryview:
        """Encoded bytes of the image, uncopied."""
        return memoryview(self._value("image", index).as_buffer())

    def size(self, index: int) -> tuple[int, int]:
        """Width and height of the published picture in pixels."""
        return self._value("width", index).as_py(), self._value("height", index).as_py()

    def label(self, index: int) -> int:
        """Class number of the image (classification)."""
        return self._value("label", index).as_py()

    def boxes(self, index: int) -> np.ndarray:
        """Boxes of the image (detection): (n, 4) float32, xmin ymin xmax ymax, VOC's pixels."""
        return _array(self._value("boxes", index).values.flatten()).reshape(-1, 4)

    def labels(self, index: int) -> np.ndarray:
        """Class numbers of the boxes (detection): (n,) int32."""
        return _array(self._value("labels", index).values)

    def difficult(self, index: int) -> np.ndarray:
        """Which boxes are marked difficult (detection): (n,) bool."""
        return self._flags("difficult", index)

    def truncated(self, index: int) -> np.ndarray:
        """Which boxes are marked truncated (detection): (n,) bool."""
        return self._flags("truncated", index)

    def _flags(self, column: str, index: int) -> np.ndarray:
        return np.array(self._value(column, index).as_py(), bool)

    def _value(self, column: str, index: int) -> Any:
        if not -self._length <= index < self._length:
            raise IndexError(f"record {index} of {self._length} in {self.path}")
        batch, row = divmod(index % self._length, self._rows)
        try:
            return self._batch(batch).column(column)[row]
        except KeyError:
            raise UserError(
                f"{self.path} has no column {column}; it has {', '.join(self._reader.schema.names)}"
            ) from None
        except (pa.ArrowException, OSError) as error:
            raise self._damaged(error) from None

    def _batch(self, number: int) -> pa.RecordBatch:
        # Kept: a batch holds addresses in the mapped file, and parsing them costs more than a read.
        if number not in self._batches:
            self._batches[number] = self._reader.get_batch(number)
        return self._batches[number]

    def _damaged(self, error: Exception) -> UserError:
        return UserError(
            f"{self.path} is damaged or no Arrow file ({error}); "
            "`dvc repro -f validate` writes it anew"
        )


def _array(values: pa.Array) -> np.ndarray:
    # Not values.to_numpy(), which imports pandas: seconds in every process that reads.
    return np.from_dlpack(values).copy()


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
