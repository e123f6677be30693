"""Fixtures that every test may use."""

import os
import signal
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings

from yolo.metrics.voc_ap import Detections, Truth

# Telemetry and tracking stay off whatever a test starts.
os.environ.setdefault("YOLO_TRACKING", "disabled")
os.environ.setdefault("DO_NOT_TRACK", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")

# A shell without job control starts its background processes deaf to SIGINT, and they pass that on
# to theirs. The commands that tests interrupt must hear it however the tests were started.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# The same examples everywhere, however busy the machine is, and no folder of earlier ones.
settings.register_profile("project", derandomize=True, deadline=None, database=None)
settings.load_profile("project")

ROOT = Path(__file__).resolve().parent.parent
FIXTURES = ROOT / "tests" / "fixtures"
Reference = tuple[Detections, Truth, int, dict[str, np.ndarray]]


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder of the real-image archives (`bccd.tar`, `voc-mini.tar`, ...)."""
    folder = os.environ.get("YOLO_REAL_DATA")
    if not folder:
        pytest.skip("set YOLO_REAL_DATA to the folder of real-image archives to run this test")
    return Path(folder)


@pytest.fixture(scope="session")
def original() -> Path:
    """Folder of numbers that the original program computed."""
    return FIXTURES


@pytest.fixture
def reference(original: Path) -> Callable[[str], Reference]:
    """Detections, truth, number of classes and all arrays of a set of `voc_ap.npz`."""

    def read(name: str) -> Reference:
        with np.load(original / "voc_ap.npz") as file:
            data = {key.removeprefix(name): file[key] for key in file.files if key.startswith(name)}
        detections = Detections(
            data["det_image"], data["det_class"], data["det_score"], data["det_box"]
        )
        difficult = data["gt_difficult"].astype(bool)
        truth = Truth(data["gt_image"], data["gt_class"], data["gt_box"], difficult)
        return detections, truth, int(data["n_classes"]), data

    return read


@pytest.fixture
def write_devkit() -> Callable[..., Path]:
    """Function that writes annotations in the devkit's layout, split test."""

    def write(folder: Path, truth: Truth, images: list[str], classes: list[str]) -> Path:
        """Annotations of `truth` in the devkit's layout, split test."""
        (folder / "ImageSets/Main").mkdir(parents=True)
        (folder / "Annotations").mkdir()
        (folder / "ImageSets/Main/test.txt").write_text("".join(f"{name}\n" for name in images))
        for index, name in enumerate(images):
            objects = "".join(
                f"<object><name>{classes[truth.label[row]]}</name>"
                f"<difficult>{int(truth.difficult[row])}</difficult><bndbox>"
                + "".join(
                    f"<{corner}>{value}</{corner}>"
                    for corner, value in zip(
                        ("xmin", "ymin", "xmax", "ymax"), truth.box[row].tolist(), strict=True
                    )
                )
                + "</bndbox></object>"
                for row in np.flatnonzero(truth.image == index)
            )
            (folder / f"Annotations/{name}.xml").write_text(f"<annotation>{objects}</annotation>")
        return folder

    return write


@pytest.fixture
def repeated() -> Callable[..., tuple[Detections, Truth]]:
    """Function that repeats every image as often as drawn, each copy an image of its own."""

    def repeat(detections: Detections, truth: Truth, draws: np.ndarray) -> tuple[Detections, Truth]:
        images = np.repeat(np.arange(len(draws)), draws)
        rows = [np.flatnonzero(detections.image == image) for image in images]
        objects = [np.flatnonzero(truth.image == image) for image in images]
        row, item = np.concatenate(rows), np.concatenate(objects)
        copies = np.arange(len(images))
        return (
            Detections(
                np.repeat(copies, [len(r) for r in rows]),
                detections.label[row],
                detections.score[row],
                detections.box[row],
            ),
            Truth(
                np.repeat(copies, [len(o) for o in objects]),
                truth.label[item],
                truth.box[item],
                truth.difficult[item],
            ),
        )

    return repeat
