"""Sets with boxes in Hugging Face's parquet files: a column `objects` beside the image.

`yolo.data.archives.parquet_objects` shows each row as `SPLIT/NUMBER.jpg` and
`SPLIT/NUMBER.objects.json`; the latter is read here. Boxes are x, y, width, height in pixels from
0, as COCO's.
"""

import json
from collections.abc import Sequence
from typing import Any

from yolo.data.archives.parquet_objects import ENDING
from yolo.data.formats.annotations import Annotation, Object
from yolo.data.formats.coco import read_box
from yolo.data.formats.image_names import Images
from yolo.data.formats.index import Files, Index, Record, visible
from yolo.data.formats.split_names import by_folder
from yolo.errors import UserError


def read(files: Files) -> Index | None:
    """Join images and objects of each row; None when there are none."""
    names = visible(files.names())
    objects = {name[: -len(ENDING)]: name for name in names if name.endswith(ENDING)}
    if not objects:
        return None
    images = Images(names)
    records = {}
    for member in images.members:
        name = images.name(member)
        records[name] = Record(name, member, objects.get(member.rpartition(".")[0]))
    records = dict(sorted(records.items()))
    published = by_folder({name: record.image or "" for name, record in records.items()})
    return Index("detection", "Hugging Face parquet", records, published, parse=parse)


def parse(data: bytes) -> Annotation:
    """Read the objects of one row.

    Raises:
        UserError: The columns do not belong together. Says only what is wrong.
    """
    try:
        row = json.loads(data)
        boxes, classes = row["boxes"], row["classes"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise UserError(f"is no row of objects: {error}") from None
    if not isinstance(boxes, list) or not isinstance(classes, list):
        raise UserError("has no lists of boxes and classes")
    if len(boxes) != len(classes):
        raise UserError(f"has {len(boxes)} boxes and {len(classes)} classes")
    crowds = row.get("crowds") or [0] * len(boxes)
    return Annotation(
        tuple(
            _object(number, *parts)
            for number, parts in enumerate(zip(boxes, classes, crowds, strict=False), 1)
        ),
        size=row.get("size"),
    )


def _object(number: int, box: Any, name: Any, crowd: Any) -> Object:
    shown = " ".join(map(str, box)) if isinstance(box, Sequence) else str(box)
    return Object(
        number, str(name or "").strip(), read_box(box), shown, "1" if crowd in (1, True) else "0"
    )
