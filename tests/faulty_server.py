"""An HTTP server on this machine that goes wrong in the ways that servers do."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from loopback import running


@dataclass
class Fault:
    """What happens to one request."""

    status: int = 0
    """Answer with this status and no content."""
    retry_after: str = ""
    send: int | None = None
    """Send this many bytes of the body, then `then`."""
    then: str = "close"
    """`close` the connection, or `stall`: keep it open in silence."""
    corrupt: bool = False
    """Flip the first byte that is sent."""
    ignore_range: bool = False
    shift_range: int = 0
    """Start this many bytes later than asked."""
    version: str = '"v1"'
    """The ETag."""
    plain: bool = False
    """Tell neither length nor version."""


@dataclass
class Server:
    """Files by path; the next requests meet `faults`, those after them none."""

    files: dict[str, bytes]
    faults: list[Fault] = field(default_factory=list)
    requests: list[tuple[str, str]] = field(default_factory=list)
    """Path and Range header of each request."""
    sent: int = 0
    address: str = ""
    stalled: threading.Event = field(default_factory=threading.Event)
    """Set once a body has stalled."""
    closing: threading.Event = field(default_factory=threading.Event)

    def url(self, name: str) -> str:
        return f"{self.address}/{name}"


@contextmanager
def serving(files: dict[str, bytes]) -> Iterator[Server]:
    """Serve `files` (by path without the leading slash) until the block ends."""
    server = Server(files)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, format: str, *args: object) -> None:
            pass

        def do_GET(self) -> None:
            answer(server, self)

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    http.daemon_threads = True
    server.address = f"http://127.0.0.1:{http.server_port}"
    with running(http):
        try:
            yield server
        finally:
            server.closing.set()


def answer(server: Server, request: BaseHTTPRequestHandler) -> None:
    wanted = request.headers.get("Range", "")
    server.requests.append((request.path, wanted))
    fault = server.faults.pop(0) if server.faults else Fault()
    # one request a connection: a broken one must not be used again
    request.close_connection = True
    data = server.files.get(request.path.split("?")[0].lstrip("/"))
    if fault.status or data is None:
        request.send_response(fault.status or 404)
        request.send_header("Content-Length", "0")
        if fault.retry_after:
            request.send_header("Retry-After", fault.retry_after)
        request.end_headers()
        return
    start = 0
    version = request.headers.get("If-Range", fault.version)
    if wanted and not fault.ignore_range and version == fault.version:
        start = int(wanted.removeprefix("bytes=").removesuffix("-")) + fault.shift_range
        if start >= len(data):
            request.send_response(416)
            request.send_header("Content-Range", f"bytes */{len(data)}")
            request.send_header("Content-Length", "0")
            request.end_headers()
            return
        request.send_response(206)
        request.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
    else:
        request.send_response(200)
    body = data[start:]
    if not fault.plain:
        request.send_header("Content-Length", str(len(body)))
        request.send_header("ETag", fault.version)
    request.end_headers()
    if fault.corrupt:
        body = bytes([body[0] ^ 255]) + body[1:]
    body = body[: fault.send]
    # counted before: who has received the last byte may look at once
    server.sent += len(body)
    try:
        request.wfile.write(body)
        request.wfile.flush()
    except OSError:
        return
    if fault.then == "stall" and fault.send is not None:
        server.stalled.set()
        server.closing.wait()
