"""The API of `yolov1 demo`: what docs/serving.md promises, also under overload."""

import http.client
import json
import re
import shutil
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import jsonschema
import psutil
import pytest
import requests
from demo_server import CLASSES, ask, picture, save_small, serving, small_model

from yolo.inference.demo import ROOM
from yolo.inference.model import Model

DOCS = Path(__file__).resolve().parents[2] / "docs/serving.md"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    return small_model(tmp_path_factory.mktemp("api"))


@pytest.fixture(scope="module")
def port(model: Model) -> Iterator[int]:
    with serving(model) as port:
        yield port


def blocks(language: str) -> list[str]:
    """The examples of a language in the documentation."""
    return re.findall(rf"```{language}\n(.*?)```", DOCS.read_text(encoding="utf-8"), re.DOTALL)


def send(port: int, body: bytes, query: str = "", **headers: str) -> tuple[int, dict[str, Any]]:
    status, said, _ = ask(port, "POST", f"/detect{query}", body, **headers)
    return status, json.loads(said)


def form(*parts: tuple[str, str, bytes]) -> dict[str, Any]:
    """Body and type of a form with files: field, file name, content."""
    files = [(field, (name, content)) for field, name, content in parts]
    prepared = requests.Request("POST", "http://localhost", files=files).prepare()
    return {"body": prepared.body, "Content_Type": str(prepared.headers["Content-Type"])}


def test_a_form_and_a_raw_body_give_the_same_answer_as_documented(port: int) -> None:
    status, raw = send(port, picture())
    assert status == 200 and len(raw["detections"]) > 1
    # what `curl --data-binary` says of the body
    assert send(port, picture(), Content_Type="application/x-www-form-urlencoded") == (200, raw)
    assert send(port, **form(("image", "a.png", picture()))) == (200, raw)
    assert send(port, **form(("other", "b", picture()))) == (200, raw)
    (schema,) = [json.loads(text) for text in blocks("json") if '"$schema"' in text]
    jsonschema.validate(raw, schema, cls=jsonschema.Draft202012Validator)
    assert all(own["label"] in CLASSES for own in raw["detections"])


def test_the_documented_lines_work(port: int, tmp_path: Path) -> None:
    (tmp_path / "photo.jpg").write_bytes(picture("JPEG"))
    _, expected = send(port, (tmp_path / "photo.jpg").read_bytes(), "?score_threshold=0.2")
    (python,) = blocks("python")
    lines = [line for text in blocks("sh") for line in text.splitlines() if "curl" in line]
    assert len(lines) >= 3
    commands = [[sys.executable, "-c", python]]
    if shutil.which("curl"):
        commands += [["sh", "-c", line] for line in lines]
    for command in commands:
        command[-1] = command[-1].replace("127.0.0.1:8000", f"127.0.0.1:{port}")
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
        if "/health" in command[-1]:
            assert json.loads(done.stdout)["status"] == "ok"
        elif command[0] == "sh":
            answer = json.loads(done.stdout)
            shown = [own for own in answer["detections"] if own["score"] > 0.2]
            assert shown == expected["detections"]
        else:
            assert [line.split()[0] for line in done.stdout.splitlines()] == [
                own["label"] for own in expected["detections"]
            ]


def test_the_threshold_leaves_the_better_ones(port: int) -> None:
    _, every = send(port, picture())
    scores = sorted(own["score"] for own in every["detections"])
    least = (scores[1] + scores[2]) / 2
    status, some = send(port, picture(), f"?score_threshold={least}")
    assert status == 200
    assert some["detections"] == [own for own in every["detections"] if own["score"] > least]
    status, said = send(port, picture(), "?score_threshold=1.5")
    assert (status, said["error"]) == (400, "score_threshold is '1.5'; 0 to 1 is allowed")


def test_a_form_without_an_image_or_too_large_is_refused(port: int) -> None:
    status, said = send(port, b"x", Content_Type="multipart/form-data; boundary=b")
    assert status == 400 and "the form cannot be read" in said["error"]
    status, said = send(port, b"x", Content_Type="multipart/form-data")
    assert status == 400 and "the form cannot be read: Missing boundary" in said["error"]
    text = b'--b\r\nContent-Disposition: form-data; name="a"\r\n\r\nx\r\n--b--\r\n'
    status, said = send(port, text, Content_Type="multipart/form-data; boundary=b")
    assert status == 400 and "the form has no file" in said["error"]
    many = form(*[("image", f"{n}.png", picture()) for n in range(9)])
    status, said = send(port, **many)
    assert status == 400 and "Too many files" in said["error"]
    status, said = send(port, **form(("image", "a", b"no image")))
    assert status == 400 and "is not a JPEG" in said["error"]
    # who sends too much reads the answer all the same
    for size in (1 << 21, 1 << 22):
        for sent in (form(("image", "a", bytes(size))), {"body": bytes(size)}):
            status, said = send(port, **sent)
            assert status == 413 and "larger than 1 MiB" in said["error"]


def test_other_paths_and_methods_say_so_in_json(port: int) -> None:
    assert send(port, b"", "/none") == (404, {"error": "Not Found"})
    status, said, headers = ask(port, "GET", "/detect")
    assert (status, json.loads(said), headers["Allow"]) == (
        405,
        {"error": "Method Not Allowed"},
        "POST",
    )


def test_health_names_the_model(port: int) -> None:
    status, said, _ = ask(port, "GET", "/health")
    assert status == 200
    assert json.loads(said) == {
        "status": "ok",
        "network": "nano",
        "input_size": 64,
        "classes": list(CLASSES),
        "requests": 0,
        "most_requests": ROOM,
    }


class Held:
    """A network that answers when it may."""

    def __init__(self, model: Model) -> None:
        self._engine = model.engine
        self.may = threading.Event()
        self.calls = 0

    def __call__(self, pixels: Any) -> Any:
        self.calls += 1
        assert self.may.wait(60)
        return self._engine(pixels)


@contextmanager
def held_up(model: Model) -> Iterator[tuple[int, Held]]:
    """A server whose network has not answered yet."""
    engine = Held(model)
    with serving(Model(model.spec, engine)) as port:
        try:
            yield port, engine
        finally:
            engine.may.set()


def wait_until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < deadline


def inside(port: int) -> int:
    return json.loads(ask(port, "GET", "/health")[1])["requests"]


def test_a_request_too_many_is_told_when_to_come_again(model: Model) -> None:
    with held_up(model) as (port, engine), ThreadPoolExecutor(ROOM) as clients:
        waiting = [clients.submit(send, port, picture()) for _ in range(ROOM)]
        wait_until(lambda: inside(port) == ROOM)
        # also one that sends as much as it may
        for body in (picture(), bytes(1 << 20)):
            status, said, headers = ask(port, "POST", "/detect", body)
            assert status == 503 and int(headers["Retry-After"]) >= 1
            assert "too many requests" in json.loads(said)["error"]
        engine.may.set()
        answers = [own.result() for own in waiting]
        assert {status for status, _ in answers} == {200}
        assert all(found == answers[0][1] for _, found in answers)
        wait_until(lambda: inside(port) == 0)
        assert send(port, picture())[0] == 200


def test_nothing_is_computed_for_a_client_that_has_gone(model: Model) -> None:
    with held_up(model) as (port, engine), ThreadPoolExecutor(2) as clients:
        first = clients.submit(send, port, picture())
        wait_until(lambda: engine.calls == 1)
        gone = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        gone.request("POST", "/detect", picture())
        wait_until(lambda: inside(port) == 2)
        gone.close()
        last = clients.submit(send, port, picture())
        wait_until(lambda: inside(port) == 3)
        engine.may.set()
        assert first.result()[0] == last.result()[0] == 200
        assert engine.calls == 2


def test_at_four_times_the_load_every_request_is_answered(port: int) -> None:
    with ThreadPoolExecutor(4 * ROOM) as clients:
        statuses = Counter(clients.map(lambda _: send(port, picture())[0], range(12 * ROOM)))
    assert statuses[200] + statuses[503] == 12 * ROOM
    assert statuses[200] >= ROOM
    assert inside(port) == 0


@pytest.mark.parametrize(
    "count", [pytest.param(600, id="600"), pytest.param(5000, id="5000", marks=pytest.mark.slow)]
)
def test_memory_stays_flat(count: int, tmp_path: Path) -> None:
    save_small(tmp_path / "d.safetensors")
    command = [sys.executable, "-m", "yolo.cli", "demo", "--weights", "d.safetensors", "--port=0"]
    running = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, text=True)
    try:
        assert running.stdout is not None
        port = int(running.stdout.readline().split()[0].rpartition(":")[2])
        memory = psutil.Process(running.pid).memory_info
        bodies = [picture("JPEG", (320, 240)), picture("PNG", (90, 60)), b"no image"]
        with requests.Session() as client, ThreadPoolExecutor(4) as clients:
            post = partial(client.post, f"http://127.0.0.1:{port}/detect")

            def send_some(number: int) -> Counter[int]:
                return Counter(
                    clients.map(
                        lambda n: post(data=bodies[n % len(bodies)], timeout=60).status_code,
                        range(number),
                    )
                )

            send_some(count // 3)
            before = memory().rss
            statuses = send_some(count - count // 3)
        assert set(statuses) == {200, 400}
        assert memory().rss - before < 16 << 20
    finally:
        running.kill()
        running.communicate()
