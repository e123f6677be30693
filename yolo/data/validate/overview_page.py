"""A set on one page, with images: how much there is of what, where, and the worst offenders.

The page needs no network and holds no times: the same data give the same bytes.
"""

import base64
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from yolo.data.formats.index import Files, Record
from yolo.data.store.images import decode, encode_jpeg, turn
from yolo.data.validate.filtering import Finding
from yolo.data.validate.probe import Probe
from yolo.data.validate.tables import Columns
from yolo.data.validate.validation import ValidationResult
from yolo.errors import UserError
from yolo.files import replacing

_CELLS = 40
"""Cells of a heat map along each side."""
_WORST = 12
_LINES = 4
"""Findings that are written below an image."""
_SIDE = 380
"""Longest side of an image on the page."""
_GRAVITY = ("fail", "drop_image", "drop_object", "clip", "warn")
_SIDES = ("xmin", "ymin", "xmax", "ymax")
_RED, _GREEN = (214, 39, 40), (44, 160, 44)


def write_page(path: Path, title: str, files: Files, result: ValidationResult) -> None:
    """Write the page.

    Args:
        path: HTML file, beside `rejected.csv` and `data_docs`.
        title: What the page is called.
        files: The set's archives, for the offenders' images.
        result: What was found.
    """
    from jinja2 import Environment, StrictUndefined

    template = Path(__file__).with_name("templates") / "overview_page.html"
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    text = environment.from_string(template.read_text(encoding="utf-8")).render(
        title=title,
        failures=[rule.name for rule, _ in result.failures],
        objects=result.objects is not None,
        splits=_splits(result),
        rules=_rules(result),
        classes=_classes(result),
        maps=_maps(result.objects) if result.objects is not None else [],
        worst=_worst(files, result),
    )
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def heat_maps(objects: Columns) -> tuple[np.ndarray, np.ndarray]:
    """Where boxes lie and how large they are, all in shares of their images.

    Args:
        objects: Table of admitted objects.

    Returns:
        Two (40, 40) float64, sums 1 unless there are no boxes: of each cell of the image the
        share of boxes that cover it, row by row from the top; of widths (columns) and heights
        (rows, the greatest on top) the share of boxes.
    """
    places = np.zeros((_CELLS + 1, _CELLS + 1))
    columns = [objects[name] for name in (*_SIDES, "width", "height")]
    known = np.array(columns, np.float64).reshape(6, -1)
    known = known[:, np.isfinite(known).all(axis=0)]
    corners, size = known[:4], known[4:]
    low, high = (corners[:2] - 1) / size, corners[2:] / size
    first = np.clip((low * _CELLS).astype(int), 0, _CELLS - 1)
    last = np.clip(np.ceil(high * _CELLS).astype(int), first + 1, _CELLS)
    # Sums over the four corners of each box, then along both axes, cover the boxes.
    for x, y, sign in (
        (first[0], first[1], 1),
        (last[0], first[1], -1),
        (first[0], last[1], -1),
        (last[0], last[1], 1),
    ):
        np.add.at(places, (y, x), sign)
    covered = places.cumsum(axis=0).cumsum(axis=1)[:_CELLS, :_CELLS]
    width, height = np.clip(((high - low) * _CELLS).astype(int), 0, _CELLS - 1)
    sizes = np.zeros((_CELLS, _CELLS))
    np.add.at(sizes, (_CELLS - 1 - height, width), 1)
    return covered / max(1.0, covered.sum()), sizes / max(1.0, sizes.sum())


def _split_names(result: ValidationResult) -> list[str]:
    """In the order of the columns of `examples`, the first of which names the class."""
    return list(result.examples)[1:]


def _splits(result: ValidationResult) -> list[dict[str, Any]]:
    images = Counter(result.images["split"])
    objects = Counter(result.objects["split"] if result.objects is not None else ())
    return [
        {"name": name, "images": images[name], "objects": objects[name], "origin": origin}
        for name, origin in ((name, result.origin[name]) for name in _split_names(result))
    ]


def _rules(result: ValidationResult) -> list[dict[str, Any]]:
    counts = Counter((found.rule, found.action) for found in result.filtered.findings)
    return [
        {"name": rule, "meaning": result.meanings[rule], "action": action, "count": count}
        for (rule, action), count in sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))
    ]


def _classes(result: ValidationResult) -> list[dict[str, Any]]:
    """Examples by class, and their shares of the largest class in per cent."""
    columns = [result.examples[split] for split in _split_names(result)]
    rows = list(zip(*columns, strict=True))
    largest = max((sum(row) for row in rows), default=0) or 1
    return [
        {"name": name, "counts": row, "shares": [95 * count / largest for count in row]}
        for name, row in zip(result.classes, rows, strict=True)
    ]


def _maps(objects: Columns) -> list[dict[str, str]]:
    places, sizes = heat_maps(objects)
    return [
        {
            "title": "Position",
            "text": "How many boxes cover each part of the image.",
            "image": _heat(places),
        },
        {
            "title": "Size",
            "text": "Width from left to right, height from bottom to top, from nothing to the "
            "whole image; each step of colour is a share of boxes, on a logarithmic scale.",
            "image": _heat(np.log1p(1000 * sizes)),
        },
    ]


def _heat(values: np.ndarray) -> str:
    """PNG: from dark for nothing to bright for the largest value."""
    scaled = (255 * values / (values.max() or 1.0)).round().astype(np.uint8)
    coloured = cv2.applyColorMap(scaled, cv2.COLORMAP_INFERNO)
    _, data = cv2.imencode(".png", coloured)
    return _inline("png", data.tobytes())


def _worst(files: Files, result: ValidationResult) -> list[dict[str, Any]]:
    owners: dict[str, Record] = {}
    for record in result.records.values():
        for part in (record.image, record.annotation, record.name):
            owners.setdefault(part or "", record)
    findings: dict[str, list[Finding]] = {}
    for found in result.filtered.findings:
        if found.file in owners:
            findings.setdefault(owners[found.file].name, []).append(found)
    ranked = sorted(findings, key=lambda name: (_rank(findings[name]), name))[:_WORST]
    boxes = _boxes(result, set(ranked))
    return [
        {
            "name": name,
            "image": _drawn(
                files, result.records[name], result.probes, findings[name], boxes[name]
            ),
            "lines": _lines(findings[name]),
        }
        for name in ranked
    ]


def _rank(findings: Sequence[Finding]) -> tuple[int, int]:
    """The gravest action first, then the most findings."""
    return min(_GRAVITY.index(found.action) for found in findings), -len(findings)


def _lines(findings: Sequence[Finding]) -> list[str]:
    lines = [
        f"{found.rule}: {found.value} ({found.action})"
        if found.object == 0
        else f"{found.rule}, object {found.object}: {found.value} ({found.action})"
        for found in sorted(findings, key=lambda one: _GRAVITY.index(one.action))
    ]
    more = len(lines) - _LINES
    return lines[:_LINES] + ([f"and {more} more"] if more > 0 else [])


def _boxes(result: ValidationResult, names: set[str]) -> dict[str, dict[int, tuple[float, ...]]]:
    """Published boxes by number of the object, of these images."""
    found: dict[str, dict[int, tuple[float, ...]]] = {name: {} for name in names}
    objects = result.published.get("objects", {"image_row": []})
    images = result.published["images"]["name"]
    for row, image_row in enumerate(objects["image_row"]):
        name = images[image_row]
        if name in names and objects["xmin"][row] is not None:
            corners = tuple(objects[side][row] for side in _SIDES)
            found[name][objects["object"][row]] = corners
    return found


def _drawn(
    files: Files,
    record: Record,
    probes: Mapping[str, Probe],
    findings: Sequence[Finding],
    boxes: dict[int, tuple[float, ...]],
) -> str | None:
    """The image with its boxes; None when it cannot be decoded."""
    # What was found too large to decode is not decoded here either.
    if record.image is None or any(found.rule == "unreadable_image" for found in findings):
        return None
    try:
        image = turn(
            decode(files.read(record.image), record.image), probes[record.name].image.orientation
        )
    except UserError:
        return None
    scale = min(1.0, _SIDE / max(image.shape[:2]))
    height, width = (max(1, round(side * scale)) for side in image.shape[:2])
    image = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
    wrong = {found.object for found in findings}
    for number, corners in sorted(boxes.items(), key=lambda pair: pair[0] in wrong):
        # Far outside is as good as just outside, and fits the drawing's integers.
        xmin, ymin, xmax, ymax = (
            round(min(max(corner * scale, -9.0), _SIDE + 9.0)) for corner in corners
        )
        colour = _RED if number in wrong else _GREEN
        cv2.rectangle(image, (xmin, ymin), (xmax, ymax), colour, 2)
    return _inline("jpeg", encode_jpeg(image, 85))


def _inline(kind: str, data: bytes) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"
