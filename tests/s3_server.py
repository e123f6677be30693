"""A server of the S3 protocol on loopback, and a wire to a server that can be cut or watched."""

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import boto3
import requests
from moto.server import ThreadedMotoServer

BUCKET = "states"
ADDRESS = f"s3://{BUCKET}/training"
AWS = {
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_DEFAULT_REGION": "us-east-1",
    # nobody's real settings take part
    "AWS_CONFIG_FILE": "/nonexistent",
    "AWS_SHARED_CREDENTIALS_FILE": "/nonexistent",
}


class Wire:
    """Forwards bytes to a server while it is whole; cut, it drops every connection."""

    def __init__(self, port: int) -> None:
        self._target = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._room: int | None = None
        self._then: Callable[[], None] | None = None
        self._open: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self, after: int = 0) -> None:
        """Cut it once `after` more bytes have been sent to the server."""
        self._room = after
        if not after:
            self._drop()

    def watch(self, after: int, then: Callable[[], None]) -> None:
        """Call `then` once `after` more bytes have been sent to the server."""
        self._room, self._then = after, then

    def mend(self) -> None:
        self._room = None

    def close(self) -> None:
        self._listener.close()
        self._drop()

    def _drop(self) -> None:
        while self._open:
            with contextlib.suppress(OSError):
                self._open.pop().shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            if self._room is not None and self._room <= 0:
                client.close()
                continue
            server = socket.create_connection(("127.0.0.1", self._target))
            self._open += [client, server]
            for source, sink, counted in ((client, server, True), (server, client, False)):
                threading.Thread(
                    target=self._forward, args=(source, sink, counted), daemon=True
                ).start()

    def _forward(self, source: socket.socket, sink: socket.socket, counted: bool) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 16):
                if counted and self._room is not None:
                    self._room -= len(data)
                    if self._room <= 0 and self._then is None:
                        self._drop()
                        return
                    if self._room <= 0 and self._then is not None:
                        self._room, then, self._then = None, self._then, None
                        then()
                sink.sendall(data)
        for end in (source, sink):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


@dataclass
class Server:
    client: Any
    endpoint: str
    """Of the server itself; the programs under test reach it over the wire."""
    wire: Wire
    environment: dict[str, str]

    def files(self, suffix: str = "") -> list[str]:
        """Names of the objects that end so, without their folders."""
        found = self.client.list_objects_v2(Bucket=BUCKET).get("Contents", [])
        names = [entry["Key"].rpartition("/")[2] for entry in found]
        return sorted(name for name in names if name.endswith(suffix))

    def paths(self, suffix: str = "") -> list[str]:
        found = self.client.list_objects_v2(Bucket=BUCKET).get("Contents", [])
        return sorted(entry["Key"] for entry in found if entry["Key"].endswith(suffix))

    def ask_for_credentials(self) -> None:
        """From now on the server refuses keys that it does not know."""
        requests.post(f"{self.endpoint}/moto-api/reset-auth", data="0", timeout=10)

    def ask_for_nothing(self) -> None:
        requests.post(f"{self.endpoint}/moto-api/reset-auth", data="inf", timeout=10)


@contextmanager
def s3_bucket(name: str) -> Iterator[tuple[Any, str]]:
    """A client of a server with one empty bucket, and the server's address."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        endpoint = f"http://{host}:{port}"
        client = boto3.client(
            "s3",
            endpoint_url=endpoint,
            region_name="us-east-1",
            aws_access_key_id="test",
            aws_secret_access_key="test",
        )
        # what an earlier server in this process held is still there
        requests.post(f"{endpoint}/moto-api/reset", timeout=10)
        client.create_bucket(Bucket=name)
        yield client, endpoint
    finally:
        server.stop()


@contextmanager
def s3_server() -> Iterator[Server]:
    """A bucket for states of trainings, reached over a wire."""
    with s3_bucket(BUCKET) as (client, endpoint):
        wire = Wire(int(endpoint.rpartition(":")[2]))
        environment = {**AWS, "AWS_ENDPOINT_URL": f"http://127.0.0.1:{wire.port}"}
        try:
            yield Server(client, endpoint, wire, environment)
        finally:
            wire.close()
