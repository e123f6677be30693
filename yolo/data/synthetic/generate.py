"""Synthetic sets in the layouts of ImageFolder and VOCdevkit: the embedded default of the project.

Every image is a function of (seed, split, number): the same recipe gives the same bytes.
"""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from typing import TypeVar

import cv2
import numpy as np

from yolo.data.synthetic.recipes import ClassificationRecipe, DetectionRecipe
from yolo.data.synthetic.scenes import Item, scene, single

Member = tuple[str, bytes]
Key = tuple[int, ...]
Job = TypeVar("Job")
Result = TypeVar("Result")

_JPEG_QUALITY = 90
_VOC = "VOCdevkit/VOC2007"


def classification_members(recipe: ClassificationRecipe, workers: int = 1) -> Iterator[Member]:
    """Names and contents of an ImageFolder: `train/<class>/00000.jpg`, `val/...`.

    The classes take turns. `workers` processes draw; they do not change a byte.
    """
    jobs = []
    for split, (split_name, count) in enumerate(recipe.images):
        for number in range(count):
            shape = recipe.classes[number % len(recipe.classes)]
            name = f"{split_name}/{shape}/{number:05}.jpg"
            jobs.append((name, recipe, shape, (recipe.seed, 0, split, number)))
    yield from _map(_draw_single, jobs, workers)


def detection_members(recipe: DetectionRecipe, workers: int = 1) -> Iterator[Member]:
    """Names and contents of a VOCdevkit folder of one year, drawn by `workers` processes."""
    jobs = []
    lists: dict[str, list[str]] = {}
    for split, (split_name, count) in enumerate(recipe.images):
        lists[split_name] = []
        for number in range(count):
            name = f"{len(jobs) + 1:06}"
            lists[split_name].append(name)
            jobs.append((name, recipe, (recipe.seed, 1, split, number)))
    for image_and_annotation in _map(_draw_scene, jobs, workers):
        yield from image_and_annotation
    lists["trainval"] = lists["train"] + lists["val"]
    for split_name, names in lists.items():
        listing = "".join(f"{name}\n" for name in names)
        yield f"{_VOC}/ImageSets/Main/{split_name}.txt", listing.encode()


def _map(draw: Callable[[Job], Result], jobs: Iterable[Job], workers: int) -> Iterator[Result]:
    if workers == 1:
        yield from map(draw, jobs)
        return
    with ProcessPoolExecutor(workers) as pool:
        yield from pool.map(draw, jobs, chunksize=16)


def _draw_single(job: tuple[str, ClassificationRecipe, str, Key]) -> Member:
    name, recipe, shape, key = job
    return name, _jpeg(single(recipe, shape, np.random.default_rng(key)))


def _draw_scene(job: tuple[str, DetectionRecipe, Key]) -> tuple[Member, Member]:
    name, recipe, key = job
    image, items = scene(recipe, np.random.default_rng(key))
    return (
        (f"{_VOC}/JPEGImages/{name}.jpg", _jpeg(image)),
        (f"{_VOC}/Annotations/{name}.xml", _annotation(name, image, items)),
    )


def _jpeg(image: np.ndarray) -> bytes:
    done, data = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
    assert done
    return data.tobytes()


def _annotation(name: str, image: np.ndarray, items: list[Item]) -> bytes:
    """VOC's XML; the names in it are ours and need no escaping."""
    height, width, depth = image.shape
    lines = [
        "<annotation>",
        "\t<folder>VOC2007</folder>",
        f"\t<filename>{name}.jpg</filename>",
        "\t<source><database>synthetic shapes</database></source>",
        "\t<size>",
        f"\t\t<width>{width}</width>",
        f"\t\t<height>{height}</height>",
        f"\t\t<depth>{depth}</depth>",
        "\t</size>",
        "\t<segmented>0</segmented>",
    ]
    for item in items:
        corners = zip(("xmin", "ymin", "xmax", "ymax"), item.box, strict=True)
        lines += [
            "\t<object>",
            f"\t\t<name>{item.label}</name>",
            "\t\t<pose>Unspecified</pose>",
            f"\t\t<truncated>{int(item.truncated)}</truncated>",
            f"\t\t<difficult>{int(item.difficult)}</difficult>",
            "\t\t<bndbox>",
            *(f"\t\t\t<{corner}>{value}</{corner}>" for corner, value in corners),
            "\t\t</bndbox>",
            "\t</object>",
        ]
    return "\n".join([*lines, "</annotation>", ""]).encode()
