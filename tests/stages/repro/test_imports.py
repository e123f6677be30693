"""Imported data follows its source, which is an HTTP server with ETags."""

import hashlib
import subprocess
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from loopback import running

from stages.repro.imports import update_imports
from stages.repro.plan import read_plan
from yolo.errors import UserError


class Source(ThreadingHTTPServer):
    """Serves `content` under any path; None: it is gone."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.content: bytes | None = b"1\n"
        self.downloads = 0


class Handler(BaseHTTPRequestHandler):
    server: Source

    def do_HEAD(self) -> None:
        content = self.server.content
        self.send_response(200 if content is not None else 404)
        if content is not None:
            self.send_header("ETag", f'"{hashlib.md5(content).hexdigest()}"')
        self.send_header("Content-Length", str(len(content or b"")))
        self.end_headers()

    def do_GET(self) -> None:
        self.server.downloads += 1
        self.do_HEAD()
        self.wfile.write(self.server.content or b"")

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def source() -> Iterator[Source]:
    with running(Source()) as server:
        yield server


@pytest.fixture
def imported(toy: Path, source: Source) -> Path:
    """The toy, whose `source-a` is imported, with its results."""
    (toy / "source-a").unlink()
    dvc("import-url", f"http://127.0.0.1:{source.server_port}/data", "source-a")
    dvc("repro", "--quiet")
    source.downloads = 0
    return toy


def dvc(*arguments: str) -> None:
    subprocess.run([sys.executable, "-m", "dvc", *arguments], check=True)


def stale() -> dict[str, list[str]]:
    plan = read_plan(missing_is_fine=True)
    return {stage.name: list(map(str, stage.changes)) for stage in plan.stages if stage.stale}


def test_what_is_unchanged_is_not_downloaded_also_when_it_is_not_here(
    imported: Path, source: Source
) -> None:
    assert update_imports() == []
    (imported / "source-a").unlink()
    assert update_imports() == []
    assert source.downloads == 0


def test_what_was_replaced_is_fetched_and_named_as_the_reason(
    imported: Path, source: Source
) -> None:
    recorded = (imported / "source-a.dvc").read_text()
    source.content = b"5\n"
    assert update_imports() == ["source-a"]
    assert (imported / "source-a").read_text() == "5\n"
    assert (imported / "source-a.dvc").read_text() != recorded
    assert stale() == {"get@a": ["data source-a: changed"]}
    (data,) = [stage for stage in read_plan().stages if stage.name == "source-a.dvc"]
    assert data.in_git == ("source-a.dvc",)
    assert update_imports() == []


def test_a_source_that_is_gone_is_named(imported: Path, source: Source) -> None:
    source.content = None
    with pytest.raises(UserError, match=r"source-a cannot be updated from http://.*/data: "):
        update_imports()
    assert (imported / "source-a").read_text() == "1\n"
