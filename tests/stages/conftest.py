"""A small DVC project and a Prefect server, for the tests of what runs the pipeline."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from prefect.events.worker import EventsWorker
from prefect.logging.handlers import APILogWorker
from receiver import Receiver, listening

from stages.flow.server import TemporaryServer

PIPELINE = """\
stages:
  get:
    foreach: [a, b]
    do:
      cmd: cp source-${item} got-${item}
      deps: ["source-${item}"]
      outs: ["got-${item}"]
  left:
    cmd: sh left.sh
    deps: [got-a, left.sh]
    params: [rate, block]
    outs: [left]
  join:
    cmd: cat left got-b > join
    deps: [left, got-b]
    outs: [join]
"""


@pytest.fixture
def toy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project of four stages, the current folder: get@a → left → join ← get@b."""
    for name, text in {
        ".dvc/config": "[core]\n    no_scm = true\n    analytics = false\n",
        "dvc.yaml": PIPELINE,
        "params.yaml": "rate: 0.1\nblock:\n  size: 1\n  name: null\n",
        "source-a": "1\n",
        "source-b": "2\n",
        "left.sh": "cp got-a left\n",
    }.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="session")
def prefect_api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of a real Prefect server."""
    server = TemporaryServer(tmp_path_factory.mktemp("prefect"))
    try:
        server.wait()
        yield server.url
        # what it has not heard by its end Prefect would send at exit, a minute for each event
        for worker in (EventsWorker, APILogWorker):
            _, unsent = worker.drain_all(timeout=60)
            assert not unsent
    finally:
        server.end()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """A receiver of webhooks that is listening."""
    with listening() as server:
        yield server
