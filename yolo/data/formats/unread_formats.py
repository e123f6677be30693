"""Formats of boxes that are not read, so that their sets are not taken for folders of classes."""

import re
from collections.abc import Sequence

from yolo.data.formats.index import Files, Limits, extension, visible
from yolo.errors import UserError

_SAMPLES = 5
"""Files of an ending whose beginnings are looked at."""
_FORMATS = (
    ("LabelMe's JSON", ".json", rb'"shapes"\s*:|"imagePath"\s*:'),
    ("CreateML's JSON", ".json", rb'"annotations"\s*:\s*\[\s*\{\s*"(label|coordinates)"\s*:'),
    ("VIA's JSON", ".json", rb'"(_via_img_metadata|file_attributes|shape_attributes)"\s*:'),
    ("Supervisely's JSON", ".json", rb'"classTitle"\s*:'),
    ("Label Studio's own JSON", ".json", rb'"rectanglelabels"'),
    ("VoTT's JSON", ".json", rb'"boundingBox"\s*:'),
    ("CVAT's own XML", ".xml", rb"<annotations>[\s\S]*<(image|meta|track)[ >]"),
    (
        "a CSV table of boxes with other columns",
        ".csv",
        rb"(?i)^[^\n]*\b(x_?min|xmax|x1|bbox)\b",
    ),
    ("TFRecord", ".tfrecord", rb""),
    ("TFRecord", ".record", rb""),
)


def refuse(files: Files, limits: Limits) -> None:
    """Look for such files.

    Raises:
        UserError: There are some; it says what they look like and how to export them.
    """
    names = visible(files.names())
    for ending in dict.fromkeys(ending for _, ending, _ in _FORMATS):
        for name in _samples([name for name in names if extension(name) == ending]):
            head = next(files.chunks(name, limits.set_annotation_bytes), b"")[: 1 << 16]
            for layout, own, beginning in _FORMATS:
                if own == ending and re.search(beginning, head):
                    raise UserError(
                        f"{files.path} looks like {layout} ({name}), which is not read: export it "
                        "as COCO JSON, Pascal VOC XML or YOLO labels"
                    )


def _samples(names: Sequence[str]) -> Sequence[str]:
    return names[:: max(1, len(names) // _SAMPLES)][:_SAMPLES]
