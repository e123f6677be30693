"""A web page and an API to try a detector; the only file that imports a web server.

An uploaded image is decoded in memory and not kept. No address serves a file of this machine.
docs/serving.md describes the API.
"""

import asyncio
import base64
import hashlib
import re
import socket
import sys
from collections.abc import AsyncGenerator
from typing import TYPE_CHECKING

from yolo.errors import UserError
from yolo.evaluation.report.html import environment
from yolo.inference.model import NMS_IOU, SCORE_THRESHOLD, Model
from yolo.inference.uploads import (
    LEAST_SCORE,
    LIMITS,
    Limits,
    Refused,
    decode_upload,
    examine,
    parse_share,
)
from yolo.inference.waiting_line import WaitingLine

if TYPE_CHECKING:
    from starlette.applications import Starlette
    from starlette.requests import Request

_LOOPBACK = ("127.0.0.1", "localhost")
_CONNECTIONS = 512
"""Most open connections; browsers keep idle ones open."""
ROOM = 16
"""Most requests for detections at a time, with their uploads in memory; others are refused."""
_SECONDS = 60
"""Time limit of one upload, so that a stalled one does not keep its place."""
_FORM_BYTES = 16 << 10
"""A form may be larger than the image by so much."""
_FILES = 4
"""Most files, and most other fields, of a form."""
_SPARED = 4
"""A body up to so many times the limit is read to its end before it is refused."""


def application(model: Model, host: str, limits: Limits = LIMITS) -> "Starlette":
    """Make the application for a server on `host`: the page `/`, `/detect` and `/health`."""
    from starlette.applications import Starlette
    from starlette.exceptions import HTTPException
    from starlette.middleware import Middleware
    from starlette.middleware.trustedhost import TrustedHostMiddleware
    from starlette.requests import ClientDisconnect
    from starlette.responses import HTMLResponse, JSONResponse, Response
    from starlette.routing import Route

    html = _page(model, limits)
    headers = _headers(html)
    line = WaitingLine(ROOM)

    def refuse(message: str, status: int, **more: str) -> Response:
        return JSONResponse({"error": message}, status, {**headers, **more})

    async def page(request: "Request") -> Response:
        del request
        return HTMLResponse(html, headers=headers)

    async def health(request: "Request") -> Response:
        del request
        spec = model.spec
        about = {
            "status": "ok",
            "network": spec.network,
            "input_size": spec.input_size,
            "classes": spec.classes,
            "requests": line.inside,
            "most_requests": line.room,
        }
        return JSONResponse(about, headers=headers)

    async def detect(request: "Request") -> Response:
        try:
            if line.is_full:
                # a client that is still sending would miss an answer that comes before
                await _discard(request, limits.bytes)
                wait = str(line.retry_after)
                return refuse(
                    "too many requests at a time; try again", 503, **{"Retry-After": wait}
                )
            with line.place():
                return await answer(request)
        except TimeoutError:
            return refuse("the upload took too long", 408)
        except ClientDisconnect:
            return Response(status_code=400)
        except UserError as error:
            return refuse(str(error), error.status if isinstance(error, Refused) else 400)

    async def answer(request: "Request") -> Response:
        query = request.query_params
        nms_iou = parse_share("nms_iou", query.get("nms_iou", str(NMS_IOU)))
        least = parse_share("score_threshold", query.get("score_threshold", str(LEAST_SCORE)))
        async with asyncio.timeout(_SECONDS):
            data = await _upload(request, limits.bytes)
        found = await line.work(
            lambda: examine(model, decode_upload(data, limits), nms_iou, least),
            request.is_disconnected,
        )
        return Response(status_code=400) if found is None else JSONResponse(found, headers=headers)

    async def refuse_path(request: "Request", error: Exception) -> Response:
        del request
        assert isinstance(error, HTTPException)
        return refuse(error.detail, error.status_code, **(error.headers or {}))

    # refuses DNS rebinding: a foreign page whose host name resolves to our loopback address
    hosts = list(_LOOPBACK) if host in _LOOPBACK else ["*"]
    return Starlette(
        routes=[
            Route("/", page),
            Route("/health", health),
            Route("/detect", detect, methods=["POST"]),
        ],
        middleware=[Middleware(TrustedHostMiddleware, allowed_hosts=hosts, www_redirect=False)],
        exception_handlers={HTTPException: refuse_path},
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
    """Read the image from the body: the body itself, or the first file of a form."""
    from starlette.datastructures import UploadFile
    from starlette.formparsers import MultiPartException, MultiPartParser

    too_large = Refused(f"the file is larger than {limit >> 20} MiB, which is the limit", 413)
    if int(request.headers.get("content-length", "0")) > limit + _FORM_BYTES:
        await _discard(request, _SPARED * limit)
        raise too_large
    if not request.headers.get("content-type", "").startswith("multipart/form-data"):
        return b"".join([chunk async for chunk in _bounded(request, limit, too_large)])
    body = _bounded(request, limit + _FORM_BYTES, too_large)
    parser = MultiPartParser(request.headers, body, max_files=_FILES, max_fields=_FILES)
    # in memory: an upload never gets onto the disk
    parser.spool_max_size = limit + _FORM_BYTES
    try:
        form = await parser.parse()
    except MultiPartException as error:
        raise UserError(f"the form cannot be read: {error.message}") from None
    for value in form.values():
        if isinstance(value, UploadFile):
            return await value.read()
    raise UserError("the form has no file; send the image as one: curl --form image=@photo.jpg")


async def _bounded(request: "Request", limit: int, otherwise: Refused) -> AsyncGenerator[bytes]:
    """The chunks of the body; `otherwise` is raised when it is longer than it says or may be."""
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > limit:
            raise otherwise
        yield chunk


async def _discard(request: "Request", most: int) -> None:
    """Read the body and forget it, up to `most` bytes or `_SECONDS`."""
    if int(request.headers.get("content-length", "0")) > most:
        return
    size = 0
    async with asyncio.timeout(_SECONDS):
        async for chunk in request.stream():
            size += len(chunk)
            if size > most:
                return


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
