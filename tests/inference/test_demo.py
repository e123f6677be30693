"""The page to try a detector: over HTTP as friend and foe, and in a real browser."""

import http.client
import json
import shutil
import signal
import socket
import struct
import subprocess
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from demo_server import CLASSES, ask, picture, serving, small_model
from PIL import Image
from playwright.sync_api import expect, sync_playwright

from yolo.errors import UserError
from yolo.inference.demo import serve
from yolo.inference.model import Model
from yolo.inference.uploads import LEAST_SCORE, examine
from yolo.model.detector.detector import build_detector, save_detector

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "chrome"))), None)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    return small_model(tmp_path_factory.mktemp("demo"))


@pytest.fixture(scope="module")
def port(model: Model) -> Iterator[int]:
    with serving(model) as port:
        yield port


def refusal(port: int, body: Any, path: str = "/detect") -> tuple[int, str]:
    status, said, _ = ask(port, "POST", path, body)
    return status, json.loads(said)["error"]


@pytest.mark.parametrize("iou", [0.0, 0.4, 1.0])
def test_it_finds_what_predict_finds(port: int, model: Model, tmp_path: Path, iou: float) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # on its side, as phones write them
    data = picture("JPEG", exif=exif)
    (tmp_path / "a.jpg").write_bytes(data)
    status, said, _ = ask(port, "POST", f"/detect?nms_iou={iou}", data)
    assert status == 200
    answer = json.loads(said)
    assert (answer["width"], answer["height"], answer["grid"]) == (60, 90, 4)
    for threshold in (LEAST_SCORE, 0.27):
        expected = model.predict(tmp_path / "a.jpg", score_threshold=threshold, nms_iou=iou)
        shown = [own for own in answer["detections"] if own["score"] > threshold]
        assert len(shown) == len(expected.scores) > 0
        assert [own["label"] for own in shown] == [CLASSES[n] for n in expected.labels]
        np.testing.assert_allclose([own["score"] for own in shown], expected.scores, atol=1e-6)
        np.testing.assert_allclose([own["box"] for own in shown], expected.boxes, atol=1e-2)


def test_the_cell_is_the_one_that_predicted_the_box(model: Model) -> None:
    """One box of one cell has a confidence: of a grid of 4, row 2, column 1, second box."""

    class Engine:
        def __call__(self, pixels: Any) -> Any:
            import torch

            flat = torch.zeros(1, 4 * 4 * (2 + 5 * 2))
            cell = 2 * 4 + 1
            flat[0, cell * 2 + 1] = 1.0
            flat[0, 32 + cell * 2 + 1] = 0.5
            # the centre lies in the cell to the left of it
            flat[0, 64 + (cell * 2 + 1) * 4 :][:4] = torch.tensor([-0.5, 0.5, 0.5, 0.5])
            return flat

    found = examine(Model(model.spec, Engine()), np.zeros((80, 80, 3), np.uint8), 0.4)
    (own,) = found["detections"]
    assert own["cell"] == (2, 1) and own["score"] == 0.5 and own["label"] == CLASSES[1]
    # cx = (1 - .5) / 4, cy = (2 + .5) / 4, both sides .5 ** 2
    assert own["box"] == [1.0, 41.0, 21.0, 61.0]


@pytest.mark.parametrize(
    "path",
    [
        "/etc/passwd",
        "/../../../../etc/passwd",
        "/..%2f..%2f..%2fetc%2fpasswd",
        "//etc/passwd",
        "/detect/../../etc/passwd",
        "/templates/demo.html",
        "/demo.py",
        "/openapi.json",
        "/favicon.ico",
        "/detect?nms_iou=../../etc/passwd",
    ],
)
def test_nothing_but_the_page_can_be_got(port: int, path: str) -> None:
    status, said, _ = ask(port, "GET", path)
    assert status in (404, 405) and len(said) < 40


def test_the_page_lets_nothing_of_others_run(port: int) -> None:
    status, said, headers = ask(port, "GET", "/")
    policy = headers["Content-Security-Policy"]
    assert status == 200 and "default-src 'none'" in policy and "unsafe" not in policy
    assert b"&lt;b&gt;square" in said and b"<b>square" not in said
    assert b"http://" not in said.replace(b"http://www.w3.org/2000/svg", b"")
    assert b"https://" not in said


def test_an_upload_that_is_no_picture_is_refused(port: int) -> None:
    bomb = b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in (
            (b"IHDR", struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)),
            (b"IDAT", zlib.compress(bytes(1000))),
            (b"IEND", b""),
        )
    )
    svg = b'<svg xmlns="http://www.w3.org/2000/svg"><image href="file:///etc/passwd"/></svg>'
    for body in (b"", b"no image", svg, picture("GIF"), b"%!PS-Adobe-3.0\n(x) run\n"):
        status, said = refusal(port, body)
        assert status == 400 and "is not a JPEG, PNG" in said
    for kind in ("JPEG", "PNG"):
        whole = picture(kind)
        status, said = refusal(port, whole[: len(whole) // 2])
        assert status == 400 and "the image cannot be decoded" in said
    assert refusal(port, bomb)[0] == 413
    status, said = refusal(port, picture("JPEG", (1000, 501)))
    assert status == 413 and "1000 x 501 pixels" in said
    for value in ("2", "nan", "x" * 5000):
        status, said = refusal(port, picture(), f"/detect?nms_iou={value}")
        assert status == 400 and "0 to 1 is allowed" in said and len(said) < 100


def test_an_upload_that_is_too_large_is_refused_before_it_is_taken(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=30) as raw:
        raw.sendall(
            b"POST /detect HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 9000000000\r\n\r\n"
        )
        assert raw.recv(100).startswith(b"HTTP/1.1 413")
    # and where the length is not stated
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.putrequest("POST", "/detect")
    connection.putheader("Transfer-Encoding", "chunked")
    connection.endheaders()
    for _ in range(17):
        connection.send(b"10000\r\n" + bytes(1 << 16) + b"\r\n")
    reply = connection.getresponse()
    assert reply.status == 413 and b"larger than 1 MiB" in reply.read()
    connection.close()


def test_another_name_for_the_address_is_refused(port: int) -> None:
    """What DNS rebinding would ask: a page of elsewhere whose name means 127.0.0.1."""
    assert ask(port, "GET", "/", Host="elsewhere.example")[0] == 400
    assert ask(port, "GET", "/", Host=f"localhost:{port}")[0] == 200
    status, _, headers = ask(port, "POST", "/detect", picture(), Origin="http://elsewhere.example")
    assert status == 200 and "Access-Control-Allow-Origin" not in headers


def test_a_port_that_is_taken_is_an_error(model: Model, port: int) -> None:
    with pytest.raises(UserError, match=rf"127\.0\.0\.1 port {port}: .* give another --port"):
        serve(model, "127.0.0.1", port)


def test_the_command_serves_until_it_is_interrupted(model: Model, tmp_path: Path) -> None:
    save_detector(tmp_path / "d.safetensors", build_detector(model.spec))
    command = [sys.executable, "-m", "yolo.cli", "demo", "--weights", "d.safetensors", "--port"]
    running = subprocess.Popen([*command, "0"], cwd=tmp_path, stdout=subprocess.PIPE, text=True)
    try:
        assert running.stdout is not None
        address = running.stdout.readline().split()[0]
        assert address.startswith("http://127.0.0.1:")
        assert ask(int(address.rpartition(":")[2]), "GET", "/")[0] == 200
        running.send_signal(signal.SIGINT)
        running.wait(60)
    finally:
        running.kill()
        running.communicate()


@pytest.mark.skipif(BROWSER is None, reason="no Chromium; `apt-get install chromium` brings it")
def test_a_browser_drops_a_picture_and_moves_the_threshold(port: int) -> None:
    complaints: list[str] = []
    requests: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 390, "height": 844}, has_touch=True)
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda request: requests.append(request.url))
        page.goto(f"http://127.0.0.1:{port}/")
        dropped = page.evaluate_handle(
            """bytes => { const all = new DataTransfer();
              all.items.add(new File([new Uint8Array(bytes)], "a.png", {type: "image/png"}));
              return all; }""",
            list(picture()),
        )
        page.dispatch_event("#drop", "drop", {"dataTransfer": dropped})
        boxes, cells, listed = (
            page.locator(".box"),
            page.locator(".cell"),
            page.locator("#found li"),
        )
        expect(page.get_by_role("status")).to_contain_text("above this score")
        many = boxes.count()
        assert many == cells.count() == listed.count() > 1
        assert "<b>square" in page.locator("#found").inner_text()

        listed.first.get_by_role("button").tap()
        expect(cells).to_have_count(1)
        page.get_by_label("Grid and responsible cells").uncheck()
        expect(cells).to_have_count(0)
        page.get_by_label("Least score").fill("0.99")
        expect(boxes).to_have_count(0)
        expect(page.get_by_role("status")).to_have_text("No objects above this score.")
        page.get_by_label("Least score").fill("0.01")
        least = boxes.count()
        assert least >= many
        page.get_by_label("Overlap allowed").fill("0")
        page.get_by_label("Overlap allowed").dispatch_event("change")
        expect(page.get_by_role("status")).to_contain_text("above this score")
        assert 0 < boxes.count() < least
        assert page.evaluate("document.documentElement.scrollWidth") <= 390

        page.set_input_files("#file", {"name": "a", "mimeType": "image/png", "buffer": b"none"})
        expect(page.get_by_role("status")).to_contain_text("is not a JPEG, PNG")
        expect(boxes).to_have_count(0)
        browser.close()
    # the refusal is told in the console, too
    assert [text for text in complaints if "400" not in text] == []
    assert {
        url.partition("?")[0] for url in requests if not url.startswith(("blob:", "data:"))
    } == {
        f"http://127.0.0.1:{port}/",
        f"http://127.0.0.1:{port}/detect",
    }
