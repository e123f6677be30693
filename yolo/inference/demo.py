"""A web page to try a detector; the only file that imports a web server.

An uploaded image is decoded in memory and not kept. There are two addresses, the page and `detect`;
neither serves a file of this machine.
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

from PIL import Image

from yolo.detection.decode import decode, nms
from yolo.errors import UserError
from yolo.evaluation.report.draw import class_colour
from yolo.evaluation.report.html import environment
from yolo.inference.image_input import decode_upright
from yolo.inference.model import NMS_IOU, SCORE_THRESHOLD, Model
from yolo.model.detector.predict import ImageArray, resize, to_pixels

if TYPE_CHECKING:
    from starlette.applications import Starlette
    from starlette.requests import Request

LEAST_SCORE = 0.01
"""Lowest score that is sent to the page; its slider starts here."""
_FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF")
_LOOPBACK = ("127.0.0.1", "localhost")
_CONNECTIONS = 512
"""Most open connections; browsers keep idle ones open."""
_UPLOADS = 8
"""Most uploads in memory at a time; others wait."""
_SECONDS = 60
"""Time limit of one upload, so that a stalled one does not block the others."""


@dataclass(frozen=True)
class Limits:
    """Largest upload."""

    bytes: int = 20 << 20
    pixels: int = 50_000_000


class Refused(UserError):
    """A refused upload, with its HTTP status."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


def examine(model: Model, image: ImageArray, nms_iou: float) -> dict[str, Any]:
    """Detect objects in an image (H, W, 3); return what the page shows, as plain values.

    `detections` by descending score, above `LEAST_SCORE`: label, score, colour, box (xmin ymin xmax
    ymax as from `Model.predict`), cell (row, column of the grid cell that predicted it). The page
    may raise the threshold by itself: a box is suppressed only by better ones, so dropping the
    lowest scores changes no other box.
    """
    spec = model.spec
    prediction = model.engine(resize(image, spec.input_size)[None]).cpu()
    boxes, _, scores = decode(
        prediction, grid=spec.grid, boxes=spec.boxes, classes=len(spec.classes)
    )
    kept = nms(boxes[0], scores[0], iou_threshold=nms_iou, score_threshold=LEAST_SCORE)
    place, label = kept.nonzero(as_tuple=True)
    order = kept[place, label].argsort(descending=True, stable=True)
    place, label = place[order], label[order]
    height, width = image.shape[:2]
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
    """Make the application: the page at `/` and the endpoint `/detect`, for a server on `host`."""
    from starlette.applications import Starlette
    from starlette.concurrency import run_in_threadpool
    from starlette.middleware import Middleware
    from starlette.middleware.trustedhost import TrustedHostMiddleware
    from starlette.requests import ClientDisconnect
    from starlette.responses import HTMLResponse, JSONResponse, Response
    from starlette.routing import Route

    html = _page(model, limits)
    headers = _headers(html)
    # one image at a time, so that many clients need no more memory and threads than one
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

    # refuses DNS rebinding: a foreign page whose host name resolves to our loopback address
    hosts = list(_LOOPBACK) if host in _LOOPBACK else ["*"]
    return Starlette(
        routes=[Route("/", page), Route("/detect", detect, methods=["POST"])],
        middleware=[Middleware(TrustedHostMiddleware, allowed_hosts=hosts, www_redirect=False)],
    )


def serve(model: Model, host: str, port: int) -> None:
    """Serve the page until Ctrl-C; port 0: any free port. UserError when the port is taken."""
    import uvicorn

    try:
        listener = socket.create_server((host, port))
    except OSError as error:
        raise UserError(
            f"nothing can listen on {host} port {port}: {error.strerror}; give another --port"
        ) from None
    print(f"http://{host}:{listener.getsockname()[1]}  (Ctrl-C stops it)", flush=True)
    if host not in _LOOPBACK:
        print(
            "everyone who can reach this machine can use the page: there is no password",
            file=sys.stderr,
        )
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
        # the header may be missing
        if len(data) > limit:
            raise too_large
    return bytes(data)


def _decode(data: bytes, limits: Limits) -> ImageArray:
    """Decode the upload; check the size in its header before allocating memory."""
    try:
        with Image.open(io.BytesIO(data), formats=_FORMATS) as header:
            width, height = header.size
    except Exception as error:  # Pillow's readers raise many kinds
        if isinstance(error, Image.DecompressionBombError):
            raise Refused("the image has too many pixels", 413) from None
        raise UserError("the file is not a JPEG, PNG, WebP, BMP or TIFF image") from None
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
    spec = model.spec
    return (
        environment("yolo.inference")
        .get_template("demo.html")
        .render(
            title="Try the detector",
            subtitle=f"{spec.network}, {spec.input_size} pixels, grid {spec.grid} × {spec.grid}, "  # noqa: RUF001
            f"{spec.boxes} boxes a cell. Finds: {', '.join(spec.classes)}. The image goes to the "
            "machine that serves this page, and is not kept.",
            limit=limits.bytes,
            least_score=LEAST_SCORE,
            score_threshold=SCORE_THRESHOLD,
            nms_iou=NMS_IOU,
        )
    )


def _headers(html: str) -> dict[str, str]:
    """Security headers: the browser may run the page's own script and nothing else."""

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
