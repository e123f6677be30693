"""Predicting on files, folders, patterns, videos and a camera, as a person calls it."""

import json
import os
import resource
import shutil
from fractions import Fraction
from pathlib import Path
from xml.etree import ElementTree as xml

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from yolo.cli import app
from yolo.inference.sources import VideoWriter
from yolo.model.detector.detector import DetectorSpec, build_detector, save_detector

CLASSES = ("disc", "square")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A random detector, two images and a video of 12 frames."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("YOLO_THREADS", "1")
    monkeypatch.setenv("YOLO_DEVICE", "cpu")
    spec = DetectorSpec("nano", 0.25, 64, 4, 2, CLASSES)
    save_detector(Path("models/detector.safetensors"), build_detector(spec, seed=2))
    rng = np.random.default_rng(0)
    Path("album").mkdir()
    for name, size in (("album/a.png", (50, 70, 3)), ("album/b.jpg", (64, 40, 3))):
        Image.fromarray(rng.integers(0, 256, size, np.uint8)).save(name)
    make_video(Path("clip.mp4"), 12)
    return tmp_path


def make_video(path: Path, frames: int) -> None:
    rng = np.random.default_rng(1)
    writer = VideoWriter(path, Fraction(10))
    for _ in range(frames):
        writer.write(rng.integers(0, 256, (48, 64, 3), np.uint8))
    writer.close()


def call(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["predict", "--score-threshold", "0", *arguments])


def count_frames(path: Path) -> int:
    import av

    with av.open(str(path)) as container:
        return sum(1 for _ in container.decode(video=0))


def test_patterns_are_expanded_and_one_without_files_is_named(folder: Path) -> None:
    result = call("album/*.png", "**/b.jpg", "*.gif", "--json")
    assert [r["image"] for r in json.loads(result.stdout)] == ["album/a.png", "album/b.jpg"]
    assert result.exit_code == 1
    assert "*.gif: no file matches" in result.stderr


def test_a_name_with_brackets_is_a_file_when_there_is_one(folder: Path) -> None:
    Path("album/a.png").rename("album/x[1].png")
    assert json.loads(call("album/x[1].png", "--json").stdout)[0]["image"] == "album/x[1].png"


def test_a_folder_without_pictures_does_not_stop_the_rest(folder: Path) -> None:
    Path("hollow").mkdir()
    result = call("hollow", "album/a.png", "--json")
    assert result.exit_code == 1
    assert len(json.loads(result.stdout)) == 1
    assert "no image in hollow" in result.stderr


def test_a_folder_gives_its_images_of_every_format_that_is_read(folder: Path) -> None:
    for ending in ("gif", "avif", "jp2", "jfif", "ppm", "TIF"):
        Image.open("album/a.png").save(f"album/c.{ending}")
    result = call("album", "--json")
    assert result.exit_code == 0
    names = ["a.png", "b.jpg", "c.TIF", "c.avif", "c.gif", "c.jfif", "c.jp2", "c.ppm"]
    assert [r["image"] for r in json.loads(result.stdout)] == [f"album/{name}" for name in names]


def test_what_a_mac_leaves_in_a_folder_is_no_image(folder: Path) -> None:
    for name in ("album/._a.png", "__MACOSX/album/._b.jpg", "album/.trash/a.png"):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_bytes(b"\0\5\x16\7")
    result = call(".", "--json")
    assert result.exit_code == 0
    found = {r["image"] for r in json.loads(result.stdout)}
    assert found == {"album/a.png", "album/b.jpg", "clip.mp4"}


def test_images_of_a_format_that_is_not_read_are_named(folder: Path) -> None:
    Path("album/IMG_1.HEIC").write_bytes(b"\0\0\0\x18ftypheic")
    result = call("album", "--json")
    assert result.exit_code == 1
    assert len(json.loads(result.stdout)) == 2
    assert "album/IMG_1.HEIC: HEIC is not read; convert it to JPEG or PNG" in result.stderr


def test_a_web_address_is_called_one(folder: Path) -> None:
    result = call("http://host/a.jpg?size=2", "album/a.png", "--json")
    assert result.exit_code == 1
    assert "http://host/a.jpg?size=2 is a web address" in " ".join(result.stderr.split())
    assert "download" in result.stderr


def test_empty_and_damaged_files_are_named_and_do_not_stop_the_rest(folder: Path) -> None:
    Path("album/empty.jpg").touch()
    Path("album/empty.mp4").touch()
    Path("album/text.avi").write_text("no video")
    result = call("album", "--json")
    assert result.exit_code == 1
    assert [r["image"] for r in json.loads(result.stdout)] == ["album/a.png", "album/b.jpg"]
    for name in ("album/empty.jpg", "album/empty.mp4", "album/text.avi"):
        assert name in result.stderr


def test_a_video_becomes_a_video_with_boxes(folder: Path) -> None:
    result = call("clip.mp4")
    assert result.exit_code == 0, result.stderr
    assert count_frames(Path("predictions/clip.mp4")) == 12
    assert "clip.mp4 frame 11: " in result.stdout
    records = json.loads(call("clip.mp4", "--json").stdout)
    assert [r["frame"] for r in records] == list(range(12))
    assert {(r["width"], r["height"]) for r in records} == {(64, 48)}
    assert len(json.loads(call("clip.mp4", "--json", "--frames", "5").stdout)) == 5


def test_a_video_cut_short_gives_its_frames_and_a_message(folder: Path) -> None:
    import av

    # a container that can be read from the start without its end
    with av.open("cut.mkv", "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        rng = np.random.default_rng(1)
        for _ in range(30):
            picture = rng.integers(0, 256, (48, 64, 3), np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    data = Path("cut.mkv").read_bytes()
    Path("cut.mkv").write_bytes(data[: len(data) * 6 // 10])
    result = call("cut.mkv", "album/a.png", "--json", "--out", "drawn", "--format", "pictures")
    records = json.loads(result.stdout)
    seen = sum(r["image"] == "cut.mkv" for r in records)
    assert result.exit_code == 1
    assert "cut.mkv" in result.stderr
    assert 10 <= seen < 30
    assert count_frames(Path("drawn/cut.mp4")) == seen
    # the index of an mp4 is at its end: without it there is nothing to see
    data = Path("clip.mp4").read_bytes()
    Path("clip.mp4").write_bytes(data[: len(data) // 2])
    result = call("clip.mp4", "album/a.png", "--json")
    assert len(json.loads(result.stdout)) == 1
    assert "clip.mp4 cannot be opened as a video" in result.stderr


def test_a_camera_is_watched_for_the_frames_asked_for(folder: Path) -> None:
    # a file in the place of the device
    result = call("--camera", "clip.mp4", "--frames", "3", "--json", "--out", "seen")
    assert result.exit_code == 0, result.stderr
    assert [r["frame"] for r in json.loads(result.stdout)] == [0, 1, 2]
    assert count_frames(Path("seen/camera.mp4")) == 3
    result = call("--camera", "/dev/no-camera", "--json")
    assert result.exit_code == 1
    assert "/dev/no-camera cannot be opened" in result.stderr


def test_voc_files_are_those_that_score_reads(folder: Path) -> None:
    from yolo.evaluation.analysis import devkit

    result = call("album", "--format", "voc", "--out", "found")
    assert result.exit_code == 0, result.stderr
    records = json.loads(call("album", "--json").stdout)
    files = devkit.detection_files(Path("found"), "test")
    assert set(files) == set(CLASSES)
    read = devkit.read_detections(files, ["a", "b"], CLASSES)
    assert len(read.score) == sum(len(r["detections"]) for r in records) > 0
    first = records[0]["detections"][0]
    row = int(np.flatnonzero((read.image == 0) & (read.label == CLASSES.index(first["label"])))[0])
    assert read.score[row] == pytest.approx(first["score"], abs=1e-6)
    np.testing.assert_allclose(read.box[row], first["box"], atol=1e-2)


def test_voc_annotations_can_be_read_back(folder: Path) -> None:
    assert call("album", "--format", "voc-xml", "--out", "found").exit_code == 0
    records = json.loads(call("album", "--json").stdout)
    root = xml.parse("found/a.xml").getroot()
    assert root.findtext("filename") == "a.png"
    assert (root.findtext("size/width"), root.findtext("size/height")) == ("70", "50")
    names = [item.findtext("name") for item in root.iter("object")]
    assert names == [d["label"] for d in records[0]["detections"]]


def test_two_pictures_of_one_name_cannot_share_a_voc_file(folder: Path) -> None:
    Path("album/deeper").mkdir()
    Image.open("album/a.png").save("album/deeper/a.png")
    result = call("album", "--format", "voc", "--out", "found")
    assert result.exit_code == 1
    assert "album/deeper/a.png" in str(result.exception)


def test_coco_results_have_the_numbers_of_the_annotations(folder: Path) -> None:
    annotations = {
        "images": [{"id": 70, "file_name": "a.png"}, {"id": 80, "file_name": "b.jpg"}],
        "categories": [{"id": 18, "name": "disc"}, {"id": 3, "name": "square"}],
        "annotations": [],
    }
    Path("truth.json").write_text(json.dumps(annotations))
    result = call("album", "--format", "coco", "--coco", "truth.json", "--out", "found")
    assert result.exit_code == 0, result.stderr
    found = json.loads(Path("found/detections.json").read_text())
    assert {f["image_id"] for f in found} == {70, 80}
    assert {f["category_id"] for f in found} <= {18, 3}
    first = json.loads(call("album", "--json").stdout)[0]["detections"][0]
    x, y, w, h = found[0]["bbox"]
    assert [x + 1, y + 1, x + w + 1, y + h + 1] == pytest.approx(first["box"], abs=0.02)
    assert call("album", "--format", "coco", "--out", "own").exit_code == 0
    own = json.loads(Path("own/images.json").read_text())
    assert [i["file_name"] for i in own["images"]] == ["album/a.png", "album/b.jpg"]
    assert [c["name"] for c in own["categories"]] == list(CLASSES)


def test_each_frame_of_a_video_has_its_own_place_in_other_formats(folder: Path) -> None:
    for form in ("coco", "voc", "voc-xml"):
        result = call("clip.mp4", "--frames", "3", "--format", form, "--out", form)
        assert result.exit_code == 0, result.stderr
    listed = json.loads(Path("coco/images.json").read_text())["images"]
    assert [(own["id"], own["frame"]) for own in listed] == [(1, 0), (2, 1), (3, 2)]
    found = json.loads(Path("coco/detections.json").read_text())
    assert {own["image_id"] for own in found} == {1, 2, 3}
    names = ["clip-000000.xml", "clip-000001.xml", "clip-000002.xml"]
    assert sorted(path.name for path in Path("voc-xml").iterdir()) == names
    lines = Path("voc/comp4_det_test_disc.txt").read_text().splitlines()
    assert {line.split()[0] for line in lines} <= {name.removesuffix(".xml") for name in names}


def test_a_disk_without_room_leaves_no_half_picture(folder: Path) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    try:
        result = call("album/a.png")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert isinstance(result.exception, OSError)
    assert list(Path("predictions").iterdir()) == []


def test_a_name_that_is_not_utf_8_is_written_as_text(folder: Path) -> None:
    name = os.fsdecode(b"\xff.png")
    shutil.copyfile("album/a.png", name)
    assert json.loads(call(name, "--json").stdout)[0]["image"] == "\ufffd.png"
    assert call(name, "--format", "coco", "--out", "found").exit_code == 0


def test_json_goes_to_a_file(folder: Path) -> None:
    assert call("album", "--format", "json", "--out", "found").exit_code == 0
    written = json.loads(Path("found/detections.json").read_text())
    assert written == json.loads(call("album", "--json").stdout)


def test_nothing_to_predict_on_is_an_error(folder: Path) -> None:
    result = call()
    assert result.exit_code == 1 and "no image given" in str(result.exception)
