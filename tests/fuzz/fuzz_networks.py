"""The readers of networks and weights, and the page's upload, with valid files to damage."""

import asyncio
from pathlib import Path
from typing import Any

import numpy as np
import torch
from fuzz_data import Reader, image

from yolo.detection.layout import outputs
from yolo.inference import demo
from yolo.inference.engine import OnnxEngine
from yolo.inference.export import export_onnx
from yolo.inference.model import Model
from yolo.inference.uploads import Limits
from yolo.model.darknet.convert import import_darknet, load_network, save_weights
from yolo.model.detector.detector import load_detector

FIXTURES = Path(__file__).resolve().parents[1] / "fixtures"
CFG = """[net]
height=32
width=32
channels=3
[convolutional]
batch_normalize=1
filters=4
size=3
stride=2
pad=1
activation=leaky
[maxpool]
size=2
stride=2
[local]
filters=2
size=3
pad=1
[dropout]
probability=.5
[connected]
output=48
activation=linear
[detection]
classes=2
coords=4
side=2
num=2
sqrt=1
"""


def _detector() -> Path:
    """A tiny detector file in the current folder."""
    save_weights(load_network(CFG), "seed.weights")
    Path("seed.cfg").write_text(CFG)
    import_darknet(Path("seed.cfg"), Path("seed.weights"), Path("seed.safetensors"))
    return Path("seed.safetensors")


def darknet_cfg() -> Reader:
    def read(_: int, data: bytes) -> None:
        Path("a.cfg").write_bytes(data)
        load_network(Path("a.cfg"))

    return Reader([CFG.encode(), (FIXTURES / "det.cfg").read_bytes()], read)


def darknet_weights() -> Reader:
    _detector()

    def read(_: int, data: bytes) -> None:
        Path("a.weights").write_bytes(data)
        import_darknet(Path("seed.cfg"), Path("a.weights"), Path("out.safetensors"))

    return Reader([Path("seed.weights").read_bytes()], read)


def safetensors() -> Reader:
    seed = _detector().read_bytes()

    def read(_: int, data: bytes) -> None:
        Path("a.safetensors").write_bytes(data)
        detector = load_detector(Path("a.safetensors"))
        with torch.inference_mode():
            side = detector.spec.input_size
            detector(torch.zeros(1, 3, side, side))

    return Reader([seed], read)


def onnx() -> Reader:
    export_onnx(_detector(), Path("seed.onnx"), nms=False)

    def read(_: int, data: bytes) -> None:
        Path("a.onnx").write_bytes(data)
        engine = OnnxEngine(Path("a.onnx"), 1)
        side = engine.spec.input_size
        engine(np.zeros((1, side, side, 3), np.uint8))

    return Reader([Path("seed.onnx").read_bytes()], read)


def upload() -> Reader:
    """The page's endpoint, called as its server calls it."""
    spec = load_detector(_detector()).spec
    numbers = outputs(grid=spec.grid, boxes=spec.boxes, classes=len(spec.classes))
    model = Model(spec, lambda pixels: torch.zeros(len(pixels), numbers))
    page = demo.application(model, "127.0.0.1", Limits(bytes=1 << 20, pixels=1 << 20))

    kinds = (b"image/jpeg", b"multipart/form-data; boundary=line")
    bodies = image().seeds[:4]
    forms = [
        b'--line\r\nContent-Disposition: form-data; name="nms_iou"\r\n\r\n0.5\r\n--line\r\n'
        b'Content-Disposition: form-data; name="image"; filename="a.jpg"\r\n'
        b"Content-Type: image/jpeg\r\n\r\n" + body + b"\r\n--line--\r\n"
        for body in bodies
    ]

    async def ask(kind: bytes, body: bytes) -> int:
        sent: list[Any] = []

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: Any) -> None:
            sent.append(message)

        scope = {
            "type": "http",
            "method": "POST",
            "path": "/detect",
            "query_string": b"",
            "headers": [(b"host", b"127.0.0.1"), (b"content-type", kind)],
            "http_version": "1.1",
            "scheme": "http",
        }
        await page(scope, receive, send)
        return sent[0]["status"]

    runner = asyncio.Runner()

    def read(number: int, data: bytes) -> None:
        status = runner.run(ask(kinds[number >= len(bodies)], data))
        if not (status == 200 or 400 <= status < 500):
            raise AssertionError(f"status {status}")

    return Reader([*bodies, *forms], read)
