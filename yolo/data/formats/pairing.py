"""Which annotation file belongs to which image, where each image has one of its own."""

from collections import Counter
from collections.abc import Sequence
from pathlib import PurePosixPath

from yolo.data.formats.image_names import common_folder
from yolo.data.formats.index import extension, plain

IMAGE_FOLDERS = frozenset(
    ("jpegimages", "images", "image", "imgs", "img", "pictures", "photos", "jpgs", "pngs", "data")
)
VOC_FOLDER = frozenset(("jpegimages",))
Place = tuple[str | None, str]
"""Folder of the set (None: no folder of it is known) and the image's path below, without ending."""
Group = tuple[str, str, list[str], list[str]]
"""Folder of the set, path below it, annotations and images that are called so."""


def pair(annotations: Sequence[str], images: Sequence[str], folders: frozenset[str]) -> list[Group]:
    """Join each annotation with its image.

    An annotation in `Annotations/a/1.xml` belongs to `JPEGImages/a/1.jpg`, to `a/1.jpg` beside the
    folder, or to `1.jpg` beside itself. The files of a folder that matches nowhere so belong to the
    images of their names, wherever these lie.

    Args:
        annotations: Members, one for each image.
        images: Members.
        folders: Names of folders for annotations, in small letters.
    """
    by_key = _by_key(images)
    groups: dict[Place, tuple[list[str], list[str]]] = {}
    alone: dict[str, list[str]] = {}
    joined: set[str] = set()
    for xml in annotations:
        folder, whole = xml.rpartition("/")[0], stem(xml)
        places: list[Place] = [(root, rest) for root, rest, _ in splits_at(xml, folders)]
        place = next((p for p in (*places, (None, whole)) if _join(*p) in by_key), None)
        if place is None:
            alone.setdefault(folder, []).append(xml)
        else:
            joined.add(folder)
            groups.setdefault(place, ([], by_key[_join(*place)]))[0].append(xml)
    used = {image for _, found in groups.values() for image in found}
    by_stem = _by_unique_stem(images)
    for folder, xmls in alone.items():
        for xml in xmls:
            splits = splits_at(xml, folders)
            place = splits[0][:2] if splits else (None, stem(xml))
            # A folder none of whose files belongs to an image so far may have any name.
            image = None if folder in joined else by_stem.get(last(xml))
            found = [] if image is None or image in used else [image]
            used.update(found)
            groups.setdefault(place, ([], found))[0].append(xml)
    roots = sorted({root for root, _ in groups if root is not None})
    for image in images:
        if image not in used:
            place = _place_alone(image, roots)
            # Several folders may hold one of the name; this one is in the others' shadow.
            place = (place[0], image) if place in groups else place
            groups[place] = ([], [image])
    common = common_folder([rest for root, rest in groups if root is None])
    return [
        (common, rest.removeprefix(f"{common}/"), *found) if root is None else (root, rest, *found)
        for (root, rest), found in groups.items()
    ]


def _by_key(images: Sequence[str]) -> dict[str, list[str]]:
    """Images by their paths with and without the folder for images, without ending.

    Where several folders hold one of the name, VOC's own folder comes first, then others for
    images; only the images of the first of them are meant.
    """
    found: dict[str, list[tuple[int, str, str]]] = {}
    for image in images:
        folder = image.rpartition("/")[0]
        for root, rest, named in splits_at(image, IMAGE_FOLDERS):
            rank = 0 if named == "jpegimages" else 1
            found.setdefault(_join(root, rest), []).append((rank, folder, image))
        found.setdefault(stem(image), []).append((2, folder, image))
    result = {}
    for key, ranked in found.items():
        best = min(ranked)[:2]
        result[key] = sorted({image for rank, folder, image in ranked if (rank, folder) == best})
    return result


def _place_alone(image: str, roots: Sequence[str]) -> Place:
    """Where an image without annotation belongs: to a known set, or to one that lost them all."""
    splits = splits_at(image, IMAGE_FOLDERS)
    for root, rest, named in splits:
        if root in roots or named == "jpegimages":
            return root, rest
    around = [root for root in roots if image.startswith(f"{root}/" if root else "")]
    if around:
        root = max(around, key=len)
        return root, stem(image).removeprefix(f"{root}/")
    return (roots[0] if roots else None), stem(image)


def _by_unique_stem(images: Sequence[str]) -> dict[str, str]:
    counts = Counter(map(last, images))
    return {last(image): image for image in images if counts[last(image)] == 1}


def splits_at(path: str, folders: frozenset[str]) -> list[tuple[str, str, str]]:
    """Each way to take such a folder out of a path: above it, below it, what it is called.

    Folders one in the other (`annotations/xmls`) are also taken out together.
    """
    parts = stem(path).split("/")
    found = []
    for first, part in enumerate(parts[:-1]):
        for place in range(first, len(parts) - 1):
            if parts[place].lower() not in folders:
                break
            found.append(("/".join(parts[:first]), "/".join(parts[place + 1 :]), part.lower()))
    return found


def _join(root: str | None, rest: str) -> str:
    return f"{root}/{rest}" if root else rest


def stem(path: str) -> str:
    """The path without its ending, in one spelling."""
    ending = extension(path)
    return plain(path[: -len(ending)] if ending else path)


def last(path: str) -> str:
    """The file's name without its ending, in one spelling."""
    return stem(path).rpartition("/")[2]


def label_roots(roots: set[str]) -> dict[str, str]:
    """Folders of sets, sorted, each with its shortest unique name."""
    ordered = sorted(roots)
    labels = [PurePosixPath(root).name for root in ordered]
    if len(set(labels)) < len(labels):
        labels = ordered
    return dict(zip(ordered, labels, strict=True))
