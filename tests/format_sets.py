"""One small detection set, written in every format that is read."""

import io
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.parquet as pq
from small_sets import annotation, picture

CLASSES = ["dog", "tabby cat"]
Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Example:
    """One image and its objects, boxes as VOC counts them."""

    image: bytes
    width: int
    height: int
    objects: list[tuple[str, Box]]


def examples() -> dict[str, dict[str, Example]]:
    """Images by id, by split: boxes at all edges, several objects, one image without any."""
    sizes = [(40, 30), (37, 53), (64, 64), (50, 31), (101, 77), (33, 90), (40, 40)]
    splits = {"train": ["a1", "a2", "a3"], "val": ["b1", "b2"], "test": ["c1", "c2"]}
    found: dict[str, dict[str, Example]] = {}
    for number, (split, name) in enumerate((s, n) for s, own in splits.items() for n in own):
        width, height = sizes[number]
        objects: list[tuple[str, Box]] = [
            ("tabby cat", (1, 1, width, height)),
            ("dog", (number + 2, 3, number + 15, 20 + number)),
            ("tabby cat", (width - 12, height - 9, width, height - 1)),
        ]
        data = picture(number, width, height, ".png")
        found.setdefault(split, {})[name] = Example(data, width, height, objects[: 3 - number % 2])
    return found


def voc(splits: Mapping[str, Mapping[str, Example]]) -> dict[str, bytes]:
    """VOCdevkit."""
    files = {}
    for split, own in splits.items():
        for name, one in own.items():
            files[f"set/VOC2007/JPEGImages/{name}.png"] = one.image
            files[f"set/VOC2007/Annotations/{name}.xml"] = xml(name, one)
        files[f"set/VOC2007/ImageSets/Main/{split}.txt"] = "\n".join(own).encode()
    return files


def xml(name: str, one: Example) -> bytes:
    return annotation(one.objects, filename=f"{name}.png", size=(one.width, one.height))


def voc_beside(splits: Mapping[str, Mapping[str, Example]]) -> dict[str, bytes]:
    """The XML beside the images, and lists at the top."""
    files = {}
    for split, own in splits.items():
        for name, one in own.items():
            files |= {f"set/{name}.png": one.image, f"set/{name}.xml": xml(name, one)}
        files[f"set/{split}.TXT"] = "\r\n".join(f"./{name}.png" for name in own).encode()
    return files


def roboflow(splits: Mapping[str, Mapping[str, Example]]) -> dict[str, bytes]:
    """A folder per split, the XML beside the images."""
    files = {"README.roboflow.txt": b"exported"}
    for split, own in splits.items():
        folder = {"val": "valid"}.get(split, split)
        for name, one in own.items():
            files |= {f"{folder}/{name}.png": one.image, f"{folder}/{name}.xml": xml(name, one)}
    return files


def coco_document(own: Mapping[str, Example], folder: str = "") -> dict:
    """COCO counts from 0; ids begin anywhere."""
    images, boxes = [], []
    for number, (name, one) in enumerate(own.items(), 70):
        size = {"width": one.width, "height": one.height}
        images.append({"id": number, "file_name": f"{folder}{name}.png", **size})
        for label, (xmin, ymin, xmax, ymax) in one.objects:
            box = [xmin - 1, ymin - 1, xmax - xmin + 1, ymax - ymin + 1]
            boxes.append(
                {
                    "id": 1000 + len(boxes),
                    "image_id": number,
                    "category_id": 5 + 3 * CLASSES.index(label),
                    "bbox": [float(side) for side in box],
                    "area": box[2] * box[3],
                    "segmentation": [[0, 0, 1, 0, 1, 1]],
                    "iscrowd": 0,
                }
            )
    categories = [{"id": 5 + 3 * n, "name": name} for n, name in enumerate(CLASSES)]
    return {"info": {}, "images": images, "annotations": boxes, "categories": categories}


def coco(splits: Mapping[str, Mapping[str, Example]]) -> dict[str, bytes]:
    """COCO's own layout."""
    files = {}
    for split, own in splits.items():
        for name, one in own.items():
            files[f"{split}2017/{name}.png"] = one.image
        document = json.dumps(coco_document(own))
        files[f"annotations/instances_{split}2017.json"] = document.encode()
    return files


def coco_per_split(splits: Mapping[str, Mapping[str, Example]]) -> dict[str, bytes]:
    """Roboflow's export: a folder per split with its JSON."""
    files = {}
    for split, own in splits.items():
        folder = {"val": "valid"}.get(split, split)
        for name, one in own.items():
            files[f"{folder}/{name}.png"] = one.image
        files[f"{folder}/_annotations.coco.json"] = json.dumps(coco_document(own)).encode()
    return files


def yolo_lines(one: Example) -> bytes:
    lines = []
    for label, (xmin, ymin, xmax, ymax) in one.objects:
        left, top = (xmin - 1) / one.width, (ymin - 1) / one.height
        right, bottom = xmax / one.width, ymax / one.height
        numbers = (left + right) / 2, (top + bottom) / 2, right - left, bottom - top
        lines.append(f"{CLASSES.index(label)} " + " ".join(f"{n:.6f}" for n in numbers))
    return "\n".join(lines).encode()


def yolo(splits: Mapping[str, Mapping[str, Example]]) -> dict[str, bytes]:
    """Ultralytics' layout."""
    files = {
        "coco8/data.yaml": b"path: ../datasets/coco8\ntrain: images/train\nval: images/val\n"
        b"test: images/test\nnames:\n  0: dog\n  1: tabby cat\n"
    }
    for split, own in splits.items():
        for name, one in own.items():
            files[f"coco8/images/{split}/{name}.png"] = one.image
            files[f"coco8/labels/{split}/{name}.txt"] = yolo_lines(one)
    return files


def yolo_per_split(splits: Mapping[str, Mapping[str, Example]]) -> dict[str, bytes]:
    """Roboflow's export for YOLO."""
    files = {
        "data.yaml": b"train: ../train/images\nval: ../valid/images\ntest: ../test/images\n\n"
        b"nc: 2\nnames: ['dog', 'tabby cat']\n"
    }
    for split, own in splits.items():
        folder = {"val": "valid"}.get(split, split)
        for name, one in own.items():
            files[f"{folder}/images/{name}.png"] = one.image
            files[f"{folder}/labels/{name}.txt"] = yolo_lines(one)
    return files


def darknet(splits: Mapping[str, Mapping[str, Example]]) -> dict[str, bytes]:
    """Darknet's files, as CVAT exports them."""
    files = {
        "obj.data": b"classes = 2\ntrain = data/train.txt\nnames = data/obj.names\nbackup = b/\n",
        "obj.names": b"dog\ntabby cat\n",
    }
    for split, own in splits.items():
        for name, one in own.items():
            files[f"obj_data/{name}.png"] = one.image
            files[f"obj_data/{name}.txt"] = yolo_lines(one)
        listed = "\n".join(f"data/obj_data/{name}.png" for name in own)
        files[f"{ {'val': 'valid'}.get(split, split) }.txt"] = listed.encode()
    return files


def csv_table(splits: Mapping[str, Mapping[str, Example]]) -> dict[str, bytes]:
    """TensorFlow's tutorials."""
    files = {}
    for split, own in splits.items():
        lines = ["filename,width,height,class,xmin,ymin,xmax,ymax"]
        for name, one in own.items():
            files[f"images/{split}/{name}.png"] = one.image
            for label, box in one.objects:
                sides = ",".join(map(str, box))
                lines.append(f"{name}.png,{one.width},{one.height},{label},{sides}")
        files[f"annotations/{split}_labels.csv"] = "\r\n".join([*lines, ""]).encode()
    return files


def parquet(splits: Mapping[str, Mapping[str, Example]]) -> dict[str, bytes]:
    """A Hugging Face data set with a column `objects`; archives, not members of one."""
    names = {"names": CLASSES, "_type": "ClassLabel"}
    features = {"objects": {"bbox": {"_type": "List"}, "category": {"feature": names}}}
    files = {}
    for split, own in splits.items():
        rows = []
        for one in own.values():
            boxes = [[a - 1, b - 1, c - a + 1, d - b + 1] for _, (a, b, c, d) in one.objects]
            objects = {
                "bbox": [[float(side) for side in box] for box in boxes],
                "category": [CLASSES.index(label) for label, _ in one.objects],
            }
            rows.append(
                {
                    "image": {"bytes": one.image, "path": None},
                    "width": one.width,
                    "height": one.height,
                    "objects": objects,
                }
            )
        table = pa.Table.from_pylist(rows).replace_schema_metadata(
            {"huggingface": json.dumps({"info": {"features": features}})}
        )
        buffer = io.BytesIO()
        pq.write_table(table, buffer)
        name = {"val": "validation"}.get(split, split)
        files[f"{name}-00000-of-00001.parquet"] = buffer.getvalue()
    return files


FORMATS: dict[str, Callable[[Mapping[str, Mapping[str, Example]]], dict[str, bytes]]] = {
    one.__name__: one
    for one in (
        voc,
        voc_beside,
        roboflow,
        coco,
        coco_per_split,
        yolo,
        yolo_per_split,
        darknet,
        csv_table,
        parquet,
    )
}
