"""Sets as tools and sites publish them: read right, or refused with a sentence that says why."""

import json

import pytest
from format_sets import examples, yolo
from small_sets import MemoryFiles, annotation, picture, voc_set

from yolo.data.formats.index import Index, Limits
from yolo.data.formats.layouts import read_index
from yolo.data.formats.path_lookup import same_name
from yolo.errors import UserError

NAMES = ("a1", "a2", "a3", "a4")
SPLITS = {"train": NAMES[:2], "valid": NAMES[2:3], "test": NAMES[3:]}
HEADER = "filename,width,height,class,xmin,ymin,xmax,ymax"


def index(files: dict[str, bytes]) -> Index:
    return read_index(MemoryFiles(files), Limits())


def photos(where: str = "") -> dict[str, bytes]:
    return {f"{where}{name}.jpg": picture(seed) for seed, name in enumerate(NAMES)}


def in_splits(folder: str = "") -> dict[str, bytes]:
    names = [(split, name) for split, names in SPLITS.items() for name in names]
    return {f"{split}/{folder}{name}.jpg": picture(n) for n, (split, name) in enumerate(names)}


def per_image(ending: str, text: str) -> dict[str, bytes]:
    """Images in folders of splits, each with a file of labels beside it."""
    images = in_splits()
    return images | {name.replace(".jpg", ending): text.encode() for name in images}


def per_split(name: str, text: str) -> dict[str, bytes]:
    return in_splits() | {f"{split}/{name}": text.encode() for split in SPLITS}


REFUSED = {
    "Roboflow's table of several classes": (
        per_split("_classes.csv", "filename, cat, dog\na1.jpg, 1, 0\n"),
        r"holds 4 images in test, train, valid, but neither labels .* nor folders of classes; "
        r"test/_classes.csv",
    ),
    "Keras YOLO's list": (
        per_split("_annotations.txt", "a1.jpg 3,3,12,12,0 4,4,9,9,1\n"),
        "looks like a text list of images and boxes",
    ),
    "LabelMe with the image first": (
        per_image(".json", '{"imageData": "' + "A" * 200_000 + '", "shapes": []}'),
        "looks like LabelMe's JSON",
    ),
    "Hugging Face's metadata": (
        per_split("metadata.jsonl", '{"file_name": "a1.jpg", "objects": {"bbox": [[1, 2, 3, 4]]}}'),
        "looks like JSON lines with boxes",
    ),
    "Hugging Face's table of classes": (
        per_split("metadata.csv", "file_name,label\na1.jpg,cat\n"),
        r"neither labels in a format that is read nor folders of classes; test/metadata.csv",
    ),
    "BDD100K": (
        in_splits() | {"labels.json": b'[{"name": "a1.jpg", "labels": [{"box2d": {"x1": 1}}]}]'},
        "looks like JSON with boxes in another form than COCO's",
    ),
    "SageMaker": (
        photos() | {"output.manifest": b'{"source-ref": "s3://b/a1.jpg", "boxes": {}}\n'},
        "looks like JSON lines with boxes",
    ),
    "KITTI": (
        per_image(".txt", "Car 0.00 0 -1.57 5.0 5.0 20.0 20.0 1.6 1.6 3.6 0 1 46 -1.5\n"),
        r"labels of a format that is not read \(test/a4.txt has the line 'Car 0.00",
    ),
    "VisDrone": (
        {
            name.replace("train/", "DET-train/"): data
            for name, data in per_image(".txt", "5,5,15,15,1,4,0,0\n").items()
        },
        "labels of a format that is not read",
    ),
    "decimal commas in YOLO's labels": (
        per_image(".txt", "0 0,5 0,5 0,2 0,2\n"),
        "in shares of the image with decimal points",
    ),
    "commas between YOLO's numbers": (
        per_image(".txt", "0,0.5,0.5,0.2,0.2\n")
        | {"data.yaml": b"train: train\nval: valid\nnames: [cat]\n"},
        "labels of a format that is not read",
    ),
    "VIA's table": (
        photos() | {"via.csv": b"filename,file_size,region_shape_attributes\na1.jpg,9,{}\n"},
        r"a CSV table of boxes with other columns .* filename, class, xmin, ymin, xmax, ymax",
    ),
    "a table of x, y, width, height": (
        photos() | {"labels.csv": b"filename,class,x,y,width,height\na1.jpg,cat,3,3,9,9\n"},
        r"they are called filename,class,x,y,width,height",
    ),
    "photos alone": (photos("photos/"), "holds 4 images in photos, but neither labels"),
    "photos in splits": (in_splits(), "holds 4 images in test, train, valid, but neither labels"),
    "labels in a zip beside": (
        photos("images/") | {"annotations.zip": b"PK"},
        "annotations.zip inside is not read: unpack it",
    ),
    "HEIC alone": (
        {f"cat/{name}.HEIC": b"" for name in NAMES},
        r"holds images in HEIC \(cat/a1.HEIC\), which is not read: convert them",
    ),
    "Hugging Face's Arrow": ({"train/data-00000-of-00001.arrow": b"x"}, "Arrow files"),
    "two YOLO sets of other classes": (
        {
            f"{folder}/{name}": data
            for folder, names in (("x", b"[cat, dog]"), ("y", b"[dog, cat]"))
            for name, data in (
                yolo(examples()) | {"coco8/data.yaml": b"train: images/train\nnames: " + names}
            ).items()
        },
        "x/coco8/data.yaml and y/coco8/data.yaml name different classes",
    ),
    "a data.yaml with tabs": (
        yolo(examples()) | {"coco8/data.yaml": b"train: images/train\nnames:\n\t- cat\n"},
        "data.yaml is no YAML in UTF-8 .line 3",
    ),
}


@pytest.mark.parametrize(("files", "words"), REFUSED.values(), ids=list(REFUSED))
def test_what_is_not_read_is_said_and_never_taken_for_classes(
    files: dict[str, bytes], words: str
) -> None:
    with pytest.raises(UserError, match=words):
        index(files)


def rows(*cells: str, header: str = HEADER) -> bytes:
    return "\n".join([header, *cells, ""]).encode()


TABLES = {
    "semicolons and decimal commas": rows(
        *(f"{name}.jpg;40;30;cat;3,5;3;12;12" for name in NAMES), header=HEADER.replace(",", ";")
    ),
    "tabs": rows(
        *(f"{name}.jpg\t40\t30\tcat\t3.5\t3\t12\t12" for name in NAMES),
        header=HEADER.replace(",", "\t"),
    ),
    "other names of columns, ids in place of files": rows(
        *(f"{name},cat,3.5,3,12,12" for name in NAMES), header="image_id,category,x1,y1,x2,y2"
    ),
    "no header, as RetinaNet's": rows(
        *(f"images/{name}.jpg,3.5,3,12,12,cat" for name in NAMES[1:]),
        header="images/a1.jpg,3.5,3,12,12,cat",
    ),
}


@pytest.mark.parametrize("table", TABLES.values(), ids=list(TABLES))
def test_tables_of_many_programs_are_read(table: bytes) -> None:
    found = index(photos("images/") | {"labels.csv": table})
    for record in found.records.values():
        assert record.boxes is not None
        (one,) = record.boxes.objects
        assert (one.name, one.box) == ("cat", (3.5, 3, 12, 12))


def test_boxes_of_a_table_in_shares_are_read_as_such_and_it_is_said() -> None:
    found = index(photos() | {"b.csv": rows(*(f"{n}.jpg,40,30,cat,0,0.1,0.5,1" for n in NAMES))})
    assert all(record.boxes and record.boxes.shares for record in found.records.values())
    assert "boxes of b.csv were taken as shares" in found.notes[0]


def test_a_row_without_class_and_box_is_an_image_without_objects() -> None:
    found = index(photos() | {"b.csv": rows("a1.jpg,40,30,cat,3,3,9,9", "a2.jpg,40,30,,,,,")})
    empty = found.records["a2"].boxes
    assert empty is not None
    assert empty.objects == ()


def test_a_column_says_the_splits() -> None:
    lines = [f"{s},{n}.jpg,cat,3,3,9,9" for s, names in SPLITS.items() for n in names]
    header = "split,filename,class,xmin,ymin,xmax,ymax"
    found = index(photos("images/") | {"b.csv": rows(*lines, header=header)})
    published = {split: list(names) for split, names in found.published.items()}
    assert published == {"train": ["a1", "a2"], "val": ["a3"], "test": ["a4"]}


@pytest.mark.parametrize(
    "lists",
    [
        ("train_list.txt", "val_list.txt"),
        ("trainset.txt", "valset.txt"),
        ("autosplit_train.txt", "autosplit_val.txt"),
        ("train_images.lst", "val_images.lst"),
        ("train", "val"),
        ("train.csv", "val.csv"),
        ("data/train_labels.csv", "data/val_labels.csv"),
    ],
)
@pytest.mark.parametrize("line", ["{}", "JPEGImages/{}.jpg", "{}.jpg 1 2 1"])
def test_lists_have_many_names(lists: tuple[str, str], line: str) -> None:
    files = {n: d for n, d in voc_set({"train": NAMES}, root="").items() if "ImageSets" not in n}
    files = {name.lstrip("/"): data for name, data in files.items()}
    for name, ids in zip(lists, (NAMES[:3], NAMES[3:]), strict=True):
        header = "name\n" if name.endswith(".csv") else ""
        files[name] = (header + "\n".join(map(line.format, ids))).encode()
    found = index(files)
    assert list(found.published["train"]) == list(NAMES[:3])
    assert list(found.published["val"]) == list(NAMES[3:])
    assert found.records.keys() == set(NAMES)


def test_lists_split_folders_of_classes() -> None:
    images = {f"images/{label}/{n}.jpg": b"" for label in ("cat", "dog") for n in (1, 2, 3)}
    meta = {"meta/train.txt": b"cat/1\ncat/2\ndog/1\ndog/2\n", "meta/test.txt": b"cat/3\ndog/3\n"}
    found = index(images | meta)
    assert found.kind == "classification"
    assert list(found.published["test"]) == ["images/cat/3.jpg", "images/dog/3.jpg"]
    assert len(found.published["train"]) == 4


def test_masks_beside_the_xml_are_not_its_images() -> None:
    files = {f"images/{name}.jpg": picture(seed) for seed, name in enumerate(NAMES)}
    for name in NAMES:
        files[f"annotations/xmls/{name}.xml"] = annotation(filename=f"{name}.jpg")
        files[f"annotations/trimaps/{name}.png"] = picture(9, kind=".png")
    found = index(files)
    assert {found.records[name].image for name in NAMES} == {f"images/{n}.jpg" for n in NAMES}


def test_files_of_another_format_are_named() -> None:
    document = {"images": [{"id": 1, "file_name": "1.jpg"}], "annotations": [], "categories": []}
    files = voc_set({"train": ["1"]}) | {"coco.json": json.dumps(document).encode()}
    assert index(files).notes == ["coco.json was not read: the set was read as Pascal VOC XML"]


@pytest.mark.parametrize("encoding", ["gbk", "cp932", "cp949", "big5"])
def test_names_that_a_zip_garbles_are_found(encoding: str) -> None:
    text = {"gbk": "车", "cp932": "犬", "cp949": "차", "big5": "車"}[encoding]
    garbled = [text.encode(encoding).decode("cp437") + str(number) for number in (1, 2, 3)]
    table = rows(*(f"{text}{number}.jpg,40,30,cat,3,3,9,9" for number in (1, 2, 3)))
    found = index({f"{name}.jpg": picture(1) for name in garbled} | {"b.csv": table})
    assert all(record.image and record.boxes for record in found.records.values())
    assert same_name(f"{text}1.jpg", f"{garbled[0]}.jpg")
    assert not same_name(f"{text}1.jpg", f"{garbled[1]}.jpg")


def test_split_that_names_the_images_of_another_is_not_used() -> None:
    text = b"train: images\nval: images\nnames: [cat, dog, owl]"
    files = yolo(examples()) | {"coco8/data.yaml": text}
    found = index(files)
    assert list(found.published) == ["train"]
    assert "coco8/data.yaml names the images of train for val too: not used" in found.notes


def test_labels_whose_image_is_lost_are_kept_to_be_found_missing() -> None:
    files = {f"images/{name}.jpg": picture(seed) for seed, name in enumerate(NAMES)}
    files |= {f"labels/{name}.txt": b"0 0.5 0.5 0.2 0.2" for name in (*NAMES, "b", "c")}
    files |= {"labels/classes.txt": b"cat\n", "images/c.HEIC": b""}
    found = index(files)
    lost = {name: one.absent for name, one in found.records.items() if one.image is None}
    assert lost == {
        "labels/b.txt": "",
        "labels/c.txt": "images/c.HEIC is there, but HEIC is not read: convert it to JPEG or PNG",
    }
