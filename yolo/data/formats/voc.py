"""The layouts of sets in Pascal VOC's XML: which annotation belongs to which image.

VOC's own is `Annotations/ID.xml`, `JPEGImages/ID.jpg` and `ImageSets/Main/SPLIT.txt`. Programs also
write the XML beside the images, into folders of other names, or a folder per split.
"""

from collections.abc import Sequence

from yolo.data.formats import published_splits, voc_xml
from yolo.data.formats.index import (
    IMAGES,
    OK,
    RARE_IMAGES,
    Files,
    Index,
    Record,
    extension,
    plain,
    visible,
)
from yolo.data.formats.pairing import VOC_FOLDER, label_roots, pair, splits_at
from yolo.data.formats.path_lookup import Absences

_ANNOTATION_FOLDERS = frozenset(
    ("annotations", "annotation", "annots", "annot", "anns", "ann", "xmls", "xml", "labels")
)
_SAMPLES = 20
"""Files whose beginnings tell whether XML outside of a folder for it is VOC's."""


def read(files: Files) -> Index | None:
    """Find every annotation and image and join them; None when there is no VOC data.

    An image is called by its path below the folders that hold the set, without those folders and
    without ending (`000001`). Of several sets (years) each name and split begins with the set's
    (`VOC2007/000001`), and splits of one name are also joined (`train`).
    """
    names = visible(files.names())
    annotations = _annotations(files, names)
    if not annotations:
        return None
    images = [name for name in names if extension(name) in IMAGES | RARE_IMAGES]
    groups = pair(annotations, images, _ANNOTATION_FOLDERS)
    roots = label_roots({root for root, _, _, _ in groups})
    absences = Absences(names)
    records: dict[str, Record] = {}
    for root, rest, xmls, found in groups:
        name = f"{roots[root]}/{rest}" if len(roots) > 1 else rest
        more = [*found[1:], *xmls[1:]]
        records[name] = Record(
            name,
            found[0] if found else None,
            xmls[0] if xmls else None,
            listing=f"also {', '.join(more)}" if more else OK,
            absent="" if found else absences.explain(xmls[0]),
        )
    records = dict(sorted(records.items()))
    splits = published_splits.find(files, names, records, roots, absences)
    taken = {*annotations, *images, *(one.file for one in splits.lists)}
    return Index(
        "detection",
        "Pascal VOC XML",
        splits.records,
        splits.published,
        splits.lists,
        parse=voc_xml.parse,
        ignored=_others(names, taken, annotations, images),
    )


def _annotations(files: Files, names: Sequence[str]) -> list[str]:
    """All XML files that are annotations of images."""
    xmls = [name for name in names if extension(name) == ".xml"]
    placed = [name for name in xmls if _is_in(name, _ANNOTATION_FOLDERS)]
    rest = [name for name in xmls if not _is_in(name, _ANNOTATION_FOLDERS)]
    step = max(1, len(rest) // _SAMPLES)
    if rest and any(voc_xml.looks_like(files.read(name)) for name in rest[::step]):
        stems = {
            plain(name[: -len(extension(name))])
            for name in names
            if extension(name) in IMAGES | RARE_IMAGES
        }
        # One beside no image of its name may be anything: what it is, its content says.
        placed += [
            name
            for name in rest
            if plain(name[:-4]) in stems or voc_xml.looks_like(files.read(name))
        ]
    return sorted(placed)


def read_images_alone(files: Files) -> Index | None:
    """A set in VOC's folders that lost all its annotations; None when it is no such set."""
    names = visible(files.names())
    images = [
        name
        for name in names
        if extension(name) in IMAGES | RARE_IMAGES and _is_in(name, VOC_FOLDER)
    ]
    if not images:
        return None
    places = {image: splits_at(image, VOC_FOLDER)[0] for image in images}
    roots = label_roots({root for root, _, _ in places.values()})
    records = {}
    for image, (root, rest, _) in places.items():
        name = f"{roots[root]}/{rest}" if len(roots) > 1 else rest
        records[name] = Record(name, image)
    absences = Absences(names)
    splits = published_splits.find(files, names, dict(sorted(records.items())), roots, absences)
    taken = {*images, *(one.file for one in splits.lists)}
    return Index(
        "detection",
        "Pascal VOC without annotations",
        splits.records,
        splits.published,
        splits.lists,
        ignored=_others(names, taken, (), images),
    )


def _is_in(path: str, folders: frozenset[str]) -> bool:
    return any(part.lower() in folders for part in path.split("/")[:-1])


def _others(
    names: Sequence[str], taken: set[str], annotations: Sequence[str], images: Sequence[str]
) -> list[str]:
    """Files beside the images and annotations that are neither, such as notes."""
    folders = {name.rpartition("/")[0] for name in (*annotations, *images)}
    return [name for name in names if name not in taken and name.rpartition("/")[0] in folders]
