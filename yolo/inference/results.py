"""Detections as JSON records, VOC files or COCO results."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as xml

import numpy as np

from yolo.errors import UserError
from yolo.evaluation.analysis import devkit
from yolo.files import replacing, write_json
from yolo.metrics.inputs import to_columns
from yolo.model.detector.predict import Detected


def record(
    name: str, width: int, height: int, found: Detected, classes: Sequence[str]
) -> dict[str, Any]:
    """Return an image and its detections as plain values; box: xmin ymin xmax ymax, 1-based."""
    return {
        "image": name,
        "width": width,
        "height": height,
        "detections": [
            {
                "label": classes[label],
                "score": round(score, 6),
                "box": [round(corner, 2) for corner in box],
            }
            for label, score, box in zip(
                found.labels.tolist(), found.scores.tolist(), found.boxes.tolist(), strict=True
            )
        ],
    }


def write_voc(folder: Path, records: Sequence[dict[str, Any]], classes: Sequence[str]) -> None:
    """Write `comp4_det_test_<class>.txt`, which the devkit and `yolov1 score` read.

    An image is named by its file name without suffix, a frame of a video also by its number
    (`street-000012`). Raises UserError when two have the same name.
    """
    names = identifiers(records)
    index = {name: number for number, name in enumerate(classes)}
    found = [
        Detected(
            np.array([d["box"] for d in r["detections"]], np.float32).reshape(-1, 4),
            np.array([d["score"] for d in r["detections"]], np.float32),
            np.array([index[d["label"]] for d in r["detections"]], np.int64),
        )
        for r in records
    ]
    devkit.write_detections(folder, to_columns(found), names, classes, "test")


def write_voc_xml(folder: Path, records: Sequence[dict[str, Any]]) -> None:
    """Write `<image>.xml` per image, whole pixels, as labelling tools read it."""
    for name, own in zip(identifiers(records), records, strict=True):
        root = xml.Element("annotation")
        xml.SubElement(root, "filename").text = Path(own["image"]).name
        size = xml.SubElement(root, "size")
        for key, value in (("width", own["width"]), ("height", own["height"]), ("depth", 3)):
            xml.SubElement(size, key).text = str(value)
        for detection in own["detections"]:
            item = xml.SubElement(root, "object")
            xml.SubElement(item, "name").text = detection["label"]
            xml.SubElement(item, "score").text = str(detection["score"])
            xml.SubElement(item, "difficult").text = "0"
            box = xml.SubElement(item, "bndbox")
            corners = zip(("xmin", "ymin", "xmax", "ymax"), detection["box"], strict=True)
            for key, corner in corners:
                xml.SubElement(box, key).text = str(round(corner))
        xml.indent(root)
        with replacing(folder / f"{name}.xml") as temporary:
            xml.ElementTree(root).write(temporary, encoding="utf-8")


def write_coco(
    folder: Path,
    records: Sequence[dict[str, Any]],
    classes: Sequence[str],
    annotations: Path | None = None,
) -> None:
    """Write `detections.json`, COCO's list of results: image_id, category_id, bbox, score.

    bbox is x, y, width, height in pixels from 0. Ids are those of the COCO file `annotations`,
    looked up by file name and category name. Without it images and classes are numbered from 1,
    and `images.json` lists them (`images`, `categories`).

    Raises:
        UserError: `annotations` cannot be read or lacks an image or a class.
    """
    if annotations is None:
        images = {_key(own): number for number, own in enumerate(records, 1)}
        categories = {name: number for number, name in enumerate(classes, 1)}
        listed = {
            "images": [
                {
                    "id": images[_key(own)],
                    "file_name": own["image"],
                    **({"frame": own["frame"]} if "frame" in own else {}),
                    "width": own["width"],
                    "height": own["height"],
                }
                for own in records
            ],
            "categories": [{"id": number, "name": name} for name, number in categories.items()],
        }
        write_json(folder / "images.json", listed)
    else:
        images, categories = _numbers(annotations, records, classes)
    results = []
    for own in records:
        for detection in own["detections"]:
            left, top, right, bottom = detection["box"]
            results.append(
                {
                    "image_id": images[_key(own)],
                    "category_id": categories[detection["label"]],
                    # the inverse of how labels are made: from xmin - 1 to xmax - 1
                    "bbox": [round(v, 2) for v in (left - 1, top - 1, right - left, bottom - top)],
                    "score": detection["score"],
                }
            )
    write_json(folder / "detections.json", results)


def identifiers(records: Sequence[dict[str, Any]]) -> list[str]:
    """File names without suffix, frames numbered; UserError when two are equal."""
    names: dict[str, str] = {}
    for own in records:
        stem = Path(own["image"]).stem + (f"-{own['frame']:06}" if "frame" in own else "")
        if stem in names:
            raise UserError(
                f"{names[stem]} and {own['image']} would both be named {stem} in VOC files; "
                "predict them separately, or use --format json or coco"
            )
        names[stem] = own["image"]
    return list(names)


def _key(own: dict[str, Any]) -> tuple[str, int | None]:
    """What identifies an image or a frame of a video."""
    return own["image"], own.get("frame")


def _numbers(
    annotations: Path, records: Sequence[dict[str, Any]], classes: Sequence[str]
) -> tuple[dict[tuple[str, int | None], int], dict[str, int]]:
    if moving := next((own["image"] for own in records if "frame" in own), None):
        raise UserError(f"{annotations} has ids for images, and {moving} is a video")
    try:
        document = json.loads(annotations.read_text(encoding="utf-8"))
        by_file = {Path(image["file_name"]).name: image["id"] for image in document["images"]}
        by_name = {category["name"]: category["id"] for category in document["categories"]}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{annotations} is not a readable COCO annotation file: {error}") from None
    try:
        return (
            {_key(own): by_file[Path(own["image"]).name] for own in records},
            {name: by_name[name] for name in classes},
        )
    except KeyError as error:
        raise UserError(f"{annotations} has no image or category {error}") from None
