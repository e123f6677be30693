"""A page to try a detector: the file that imports a web server.

It keeps nothing: an image is sent, decoded in memory, looked at and forgotten. There are two
addresses, the page and `detect`; no file of the machine is behind either.
"""

import asyncio
import base64
import hashlib
import io
import re
import socket
import sys
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from PIL import Image

from yolo.detection.decode import decode, nms
from yolo.errors import UserError
from yolo.evaluation.report.draw import class_colour
from yolo.inference.image_input import decode_upright
from yolo.inference.model import NMS_IOU, SCORE_THRESHOLD, Model
from yolo.model.detector.predict import Picture, resize, to_pixels

if TYPE_CHECKING:
    from starlette.applications import Starlette
    from starlette.requests import Request

LEAST_SCORE = 0.01
"""What scores less is not sent to the page; the threshold there moves above it."""
_FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF")
_LOOPBACK = ("127.0.0.1", "localhost")
_CONNECTIONS = 512
"""Open at a time, most of them idle: browsers keep theirs."""
_UPLOADS = 8
"""Held in memory at a time; others wait."""
_SECONDS = 60
"""For one upload: whoever sends nothing keeps the others waiting no longer."""


@dataclass(frozen=True)
class Limits:
    """What an upload may be."""

    bytes: int = 20 << 20
    pixels: int = 50_000_000


class Refused(UserError):
    """An upload that is not looked at, with the HTTP status that says so."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


def examine(model: Model, picture: Picture, nms_iou: float) -> dict[str, Any]:
    """All that the page shows of an image (H, W, 3), as plain values.

    `detections` by descending score, above `LEAST_SCORE`: label, score, colour, box (xmin ymin xmax
    ymax as from `Model.predict`), cell (row, column of the grid cell that predicted it). A higher
    threshold takes the later ones away and changes no other: only better boxes suppress.
    """
    spec = model.spec
    prediction = model.engine(resize(picture, spec.input_size)[None]).cpu()
    boxes, _, scores = decode(
        prediction, grid=spec.grid, boxes=spec.boxes, classes=len(spec.classes)
    )
    kept = nms(boxes[0], scores[0], iou_threshold=nms_iou, score_threshold=LEAST_SCORE)
    place, label = kept.nonzero(as_tuple=True)
    order = kept[place, label].argsort(descending=True, stable=True)
    place, label = place[order], label[order]
    height, width = picture.shape[:2]
    corners = to_pixels(boxes[0, place].numpy(), width, height)
    found = zip(
        label.tolist(),
        kept[place, label].tolist(),
        corners.tolist(),
        (place // spec.boxes).tolist(),
        strict=True,
    )
    return {
        "width": width,
        "height": height,
        "grid": spec.grid,
        "detections": [
            {
                "label": spec.classes[number],
                "colour": "#{:02x}{:02x}{:02x}".format(*class_colour(number)),
                "score": round(score, 6),
                "box": [round(corner, 2) for corner in box],
                "cell": divmod(cell, spec.grid),
            }
            for number, score, box, cell in found
        ],
    }


def application(model: Model, host: str, limits: Limits = Limits()) -> "Starlette":
    """The page and its address `detect`, for a server that listens on `host`."""
    from starlette.applications import Starlette
    from starlette.concurrency import run_in_threadpool
    from starlette.middleware import Middleware
    from starlette.middleware.trustedhost import TrustedHostMiddleware
    from starlette.requests import ClientDisconnect
    from starlette.responses import HTMLResponse, JSONResponse, Response
    from starlette.routing import Route

    html = _page(model, limits)
    headers = _headers(html)
    # one image at a time, so that many senders take no more memory and threads than one
    turn = threading.Lock()
    uploads = asyncio.Semaphore(_UPLOADS)

    def look(data: bytes, nms_iou: float) -> dict[str, Any]:
        with turn:
            return examine(model, _decode(data, limits), nms_iou)

    async def page(request: "Request") -> Response:
        del request
        return HTMLResponse(html, headers=headers)

    async def detect(request: "Request") -> Response:
        try:
            nms_iou = _share(request.query_params.get("nms_iou", str(NMS_IOU)))
            async with uploads:
                async with asyncio.timeout(_SECONDS):
                    data = await _upload(request, limits.bytes)
                return JSONResponse(await run_in_threadpool(look, data, nms_iou), headers=headers)
        except TimeoutError:
            return JSONResponse({"error": "the upload took too long"}, 408, headers)
        except ClientDisconnect:
            return Response(status_code=400)
        except UserError as error:
            status = error.status if isinstance(error, Refused) else 400
            return JSONResponse({"error": str(error)}, status, headers)

    # elsewhere a page could otherwise reach this one by giving its own name our address
    hosts = list(_LOOPBACK) if host in _LOOPBACK else ["*"]
    return Starlette(
        routes=[Route("/", page), Route("/detect", detect, methods=["POST"])],
        middleware=[Middleware(TrustedHostMiddleware, allowed_hosts=hosts, www_redirect=False)],
    )


def serve(model: Model, host: str, port: int) -> None:
    """Serve the page until Ctrl-C; port 0: any that is free. UserError when it is taken."""
    import uvicorn

    try:
        listener = socket.create_server((host, port))
    except OSError as error:
        raise UserError(
            f"nothing can listen on {host} port {port}: {error.strerror}; give another --port"
        ) from None
    print(f"http://{host}:{listener.getsockname()[1]}  (Ctrl-C ends it)", flush=True)
    if host not in _LOOPBACK:
        print("anybody who reaches this machine can use it: there is no password", file=sys.stderr)
    config = uvicorn.Config(
        application(model, host), log_level="warning", limit_concurrency=_CONNECTIONS
    )
    with listener:
        uvicorn.Server(config).run(sockets=[listener])


async def _upload(request: "Request", limit: int) -> bytes:
    too_large = Refused(f"the file is larger than {limit >> 20} MiB, which is the limit", 413)
    stated = request.headers.get("content-length", "0")
    if int(stated) > limit:
        raise too_large
    data = bytearray()
    async for chunk in request.stream():
        data += chunk
        # a length can be left out
        if len(data) > limit:
            raise too_large
    return bytes(data)


def _decode(data: bytes, limits: Limits) -> Picture:
    """The pixels; the size that the header states is looked at before memory is taken."""
    try:
        with Image.open(io.BytesIO(data), formats=_FORMATS) as header:
            width, height = header.size
    except Exception as error:  # Pillow's readers raise many kinds
        if isinstance(error, Image.DecompressionBombError):
            raise Refused("the image has too many pixels", 413) from None
        raise UserError("the file is no JPEG, PNG, WebP, BMP or TIFF image") from None
    if width * height > limits.pixels:
        most = limits.pixels // 1_000_000
        raise Refused(f"the image has {width} x {height} pixels; {most} million are allowed", 413)
    return decode_upright(data, "the image")


def _share(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise UserError(f"nms_iou is {text[:20]!r}; 0 to 1 is allowed")
    return value


def _page(model: Model, limits: Limits) -> str:
    templates = Environment(
        loader=PackageLoader("yolo.inference"), autoescape=True, undefined=StrictUndefined
    )
    return templates.get_template("demo.html").render(
        spec=model.spec,
        limit=limits.bytes,
        least_score=LEAST_SCORE,
        score_threshold=SCORE_THRESHOLD,
        nms_iou=NMS_IOU,
    )


def _headers(html: str) -> dict[str, str]:
    """The browser is to run the page's own script and nothing else."""

    def allowed(tag: str) -> str:
        (text,) = re.findall(rf"<{tag}>(.*?)</{tag}>", html, re.DOTALL)
        return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()

    return {
        "Content-Security-Policy": (
            f"default-src 'none'; script-src 'sha256-{allowed('script')}'; "
            f"style-src 'sha256-{allowed('style')}'; img-src blob: data:; connect-src 'self'; "
            "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        ),
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
        "Cache-Control": "no-store",
    }
