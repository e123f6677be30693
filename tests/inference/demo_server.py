"""The demo's server on loopback, with a small network of random weights, and requests to it."""

import http.client
import io
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import uvicorn
from PIL import Image

from yolo.inference.demo import application
from yolo.inference.model import Model, load_model
from yolo.inference.uploads import Limits
from yolo.model.detector.detector import DetectorSpec, build_detector, save_detector

CLASSES = ("disc", "<b>square")
LIMITS = Limits(bytes=1 << 20, pixels=500_000)


def save_small(path: Path) -> None:
    detector = build_detector(DetectorSpec("nano", 0.25, 64, 4, 2, CLASSES), seed=2)
    # random weights find next to nothing
    detector.head[-2].bias.data.fill_(0.5)
    save_detector(path, detector)


def small_model(folder: Path) -> Model:
    path = folder / "detector.safetensors"
    save_small(path)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("YOLO_THREADS", "1")
        patch.setenv("YOLO_DEVICE", "cpu")
        return load_model(path)


@contextmanager
def serving(model: Model) -> Iterator[int]:
    """The port on which the page and the API are served until the block ends."""
    config = uvicorn.Config(application(model, "127.0.0.1", LIMITS), log_level="warning")
    server = uvicorn.Server(config)
    with socket.create_server(("127.0.0.1", 0), backlog=256) as listener:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            server.should_exit = True
            thread.join()


def picture(kind: str = "PNG", size: tuple[int, int] = (90, 60), **options: Any) -> bytes:
    pixels = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind, **options)
    return file.getvalue()


def ask(
    port: int, method: str, path: str, body: Any = None, **headers: str
) -> tuple[int, bytes, http.client.HTTPMessage]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request(method, path, body, {k.replace("_", "-"): v for k, v in headers.items()})
        reply = connection.getresponse()
        return reply.status, reply.read(), reply.headers
    finally:
        connection.close()
