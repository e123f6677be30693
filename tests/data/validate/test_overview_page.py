import base64
import re
from pathlib import Path

import cv2
import numpy as np
from judged_sets import CLASSIFICATION, JPG, ROOT, XML, damaged, image_folder, judge
from small_sets import MemoryFiles, annotation, picture

from yolo.data.validate.overview_page import heat_maps, write_page


def page(path: Path, files: dict[str, bytes], **options) -> str:
    write_page(path, "A set", MemoryFiles(files), judge(files, **options))
    return path.read_text()


def table(*boxes: tuple[float, float, float, float]) -> dict[str, list]:
    sides = zip(*boxes, strict=True) if boxes else ((),) * 4
    columns = dict(zip(("xmin", "ymin", "xmax", "ymax"), map(list, sides), strict=True))
    return {**columns, "width": [80] * len(boxes), "height": [40] * len(boxes)}


def test_a_box_of_the_whole_picture_covers_all_of_it() -> None:
    places, sizes = heat_maps(table((1, 1, 80, 40)))
    assert np.allclose(places, 1 / 1600)
    assert sizes[0, 39] == 1


def test_a_box_is_counted_where_it_lies() -> None:
    places, sizes = heat_maps(table((1, 1, 20, 10), (1, 1, 20, 10)))
    assert np.flatnonzero(places.any(axis=0)).tolist() == list(range(10))
    assert np.flatnonzero(places.any(axis=1)).tolist() == list(range(10))
    assert np.isclose(places.sum(), 1)
    assert sizes[39 - 10, 10] == 1


def test_no_boxes_are_empty_maps() -> None:
    for values in heat_maps(table()):
        assert values.shape == (40, 40)
        assert values.sum() == 0


def test_the_worst_offenders_are_drawn_with_their_boxes(tmp_path: Path) -> None:
    # green the first, red the second, which is outside
    xml = annotation([("cat", (30, 20, 38, 28)), ("cat", (-5, 2, 9, 12))])
    files = damaged({XML: xml, "JPEGImages/3.jpg": b"404"})
    text = page(tmp_path / "index.html", files)
    worst = text[text.index("Worst offenders") :]
    # the dropped one first
    assert re.findall(r"<b>(\w+)</b>", worst) == ["3", "2"]
    assert "cannot be shown" in worst
    assert "box_outside, object 2: -5 2 9 12 in 40x30 (clip)" in worst
    [encoded] = re.findall(r"data:image/jpeg;base64,([\w+/=]+)", worst)
    image = cv2.imdecode(np.frombuffer(base64.b64decode(encoded), np.uint8), cv2.IMREAD_COLOR_RGB)
    assert image.shape == (30, 40, 3)
    red, green = image[12, 4].astype(int), image[24, 30].astype(int)
    assert red[0] > red[1] + 50
    assert green[1] > green[0] + 50


def test_the_same_set_gives_the_same_bytes(tmp_path: Path) -> None:
    files = damaged({XML: annotation([("cat", (5, 5, 5, 9))]), JPG: picture(3)})
    assert page(tmp_path / "a.html", files) == page(tmp_path / "b.html", files)


def test_a_page_loads_and_runs_nothing_whatever_files_are_called(tmp_path: Path) -> None:
    name = "&lt;script&gt;alert(1)&lt;script&gt;"
    files = damaged({XML: annotation([(name, (0, 0, 9, 9))])})
    text = page(tmp_path / "index.html", files)
    assert "<script" not in text
    assert "&lt;script&gt;" in text
    assert "default-src 'none'" in text
    assert not re.search(r'(src|href)="(?!data:|rejected\.csv|data_docs/index\.html)', text)


def test_a_refused_set_says_why(tmp_path: Path) -> None:
    files = damaged({"JPEGImages/6.jpg": damaged({})[f"{ROOT}/{JPG}"]})
    assert "refused: duplicate_image" in page(tmp_path / "index.html", files)
    assert "admitted</p>" in page(tmp_path / "index.html", damaged({}))


def test_a_classification_set_has_classes_and_no_boxes(tmp_path: Path) -> None:
    text = page(tmp_path / "index.html", image_folder(), contract=CLASSIFICATION)
    assert "<td>dog</td>" in text
    assert "<h2>Boxes</h2>" not in text
