"""Formats of boxes that are not read, so that their sets are not taken for folders of classes."""

import re
from collections.abc import Sequence

from yolo.data.formats.csv_boxes import SIDES
from yolo.data.formats.index import IMAGES, RARE_IMAGES, Files, Limits, extension, visible
from yolo.data.formats.pairing import last
from yolo.errors import UserError

_SAMPLES = 5
"""Files of an ending whose beginnings are looked at."""
_NUMBERS = re.compile(rb"\d+(?:[.,]\d+)?")
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
        rb"(?i)\A(?:[^\n]*[,;\t\"])?\s*(x_?min|x_?1|x|left|bbox|bounding_?box|x_?cent(er|re)"
        rb"|region_shape_attributes)\s*[,;\t\"\r\n]",
    ),
    (
        "JSON with boxes in another form than COCO's",
        ".json",
        rb'(?i)"(bboxe?s?|boxe?s?|box2d|bndbox|bounding_?boxe?s?|rectangle)"\s*:',
    ),
    *(
        ("JSON lines with boxes", ending, rb'(?i)"(bboxe?s?|boxes|bounding_?box|source-ref)"\s*:')
        for ending in (".jsonl", ".ndjson", ".manifest")
    ),
    (
        "a text list of images and boxes",
        ".txt",
        rb"(?im)\.(jpe?g|png|bmp)([ \t,]+\d+(\.\d+)?(,\d+(\.\d+)?){3}"
        rb"|[ \t]*\r?\n\d+\r?\n(\d+ ){3})",
    ),
    ("Hugging Face's Arrow files", ".arrow", rb""),
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
            head = next(files.chunks(name, limits.set_annotation_bytes), b"")
            for layout, own, beginning in _FORMATS:
                if own == ending and re.search(beginning, head):
                    raise UserError(
                        f"{files.path} looks like {layout} ({name}), which is not read: export it "
                        f"as COCO JSON, Pascal VOC XML or YOLO labels{_columns(ending, head)}"
                    )
    _refuse_labels(files, names, limits)


def _columns(ending: str, head: bytes) -> str:
    if ending != ".csv":
        return ""
    header = head.split(b"\n", 1)[0].decode("utf-8-sig", "replace").strip()
    return (
        f", or name the columns filename, class, {', '.join(SIDES)} (they are called {header[:80]})"
    )


def _refuse_labels(files: Files, names: Sequence[str], limits: Limits) -> None:
    """Refuse a set in which many images have a text file of numbers that no reader knows."""
    stems = {last(name) for name in names if extension(name) in IMAGES | RARE_IMAGES}
    texts = [name for name in names if extension(name) == ".txt" and last(name) in stems]
    if not stems or len(texts) * 4 < len(stems):
        return
    for name in _samples(texts):
        head = next(files.chunks(name, limits.set_annotation_bytes), b"")
        line = next((line for line in head.splitlines() if len(_NUMBERS.findall(line)) >= 4), None)
        if line is not None:
            shown = line[:50].decode("utf-8", "replace")
            raise UserError(
                f"{files.path} looks like labels of a format that is not read ({name} has the line "
                f"{shown!r}). A line of YOLO's is the number of the class, then x, y, width and "
                "height of the box in shares of the image with decimal points, parted by blanks"
            )


def _samples(names: Sequence[str]) -> Sequence[str]:
    return names[:: max(1, len(names) // _SAMPLES)][:_SAMPLES]
