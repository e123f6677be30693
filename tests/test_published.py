"""Weights from the Hub or a web address: whole and right, or one clear error and nothing kept."""

import hashlib
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from faulty_server import Fault, Server, serving
from hub_server import TOKEN, Hub, hub_server

import yolo
from yolo.data.download.fetch import Patience
from yolo.errors import UserError
from yolo.model.detector.detector import DetectorSpec, build_detector, save_detector
from yolo.published import fetch_model, fetch_published
from yolo.versions import standing

PATIENCE = Patience(attempts=2, read_timeout=0.3, sleep=lambda seconds: None)
SPEC = DetectorSpec("nano", 0.25, 64, 4, 2, ("disc", "square"))


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "detector.safetensors"
    save_detector(path, build_detector(SPEC, seed=1))
    return path


@pytest.fixture
def content(weights: Path) -> bytes:
    return weights.read_bytes()


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's cache; the user has no token."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("HF_TOKEN_PATH", str(tmp_path / "no-token"))
    monkeypatch.setattr("huggingface_hub.constants.HF_TOKEN_PATH", str(tmp_path / "no-token"))
    monkeypatch.delenv("HF_TOKEN", raising=False)
    return tmp_path / "yolov1"


@pytest.fixture
def web(content: bytes) -> Iterator[Server]:
    with serving({"models/detector.safetensors": content}) as server:
        yield server


@pytest.fixture
def hub(content: bytes, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    with hub_server() as running:
        running.commit("org/name", {"README.md": b"# x", "old.txt": b"x"}, set())
        running.repositories["org/name"]["v1.0.0"] = running.commit(
            "org/name", {"model.safetensors": content}, {"model.safetensors"}
        )
        monkeypatch.setenv("HF_ENDPOINT", running.address)
        yield running


def address(web: Server, content: bytes) -> str:
    sha = hashlib.sha256(content).hexdigest()
    return f"{web.url('models/detector.safetensors')}#sha256={sha}"


def held(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def refusal(source: str, cache: Path) -> str:
    """The error; nothing may be left in the cache."""
    with pytest.raises(UserError) as raised:
        fetch_published(source, cache, PATIENCE)
    assert held(cache) == []
    return str(raised.value)


def test_a_model_is_loaded_from_a_web_address_and_then_from_the_cache(
    web: Server, content: bytes, cache: Path
) -> None:
    source = address(web, content)
    assert yolo.load(source).spec == SPEC
    assert held(cache) == [f"{hashlib.sha256(content).hexdigest()}.safetensors"]
    web.files.clear()
    assert yolo.load(source).spec == SPEC
    assert len(web.requests) == 1


def test_a_model_is_loaded_from_the_hub_at_a_tag_a_commit_and_the_newest(
    hub: Hub, weights: Path, cache: Path
) -> None:
    tagged = hub.repositories["org/name"]["v1.0.0"]
    for source in ("hf:org/name@v1.0.0", f"hf:org/name@{tagged}", "hf:org/name"):
        assert yolo.load(source).spec == SPEC
    assert len(hub.downloads.requests) == 1
    other = weights.with_name("other.safetensors")
    save_detector(other, build_detector(SPEC, seed=2))
    hub.commit("org/name", {"model.safetensors": other.read_bytes()}, {"model.safetensors"})
    assert fetch_published("hf:org/name").read_bytes() == other.read_bytes()
    assert fetch_published("hf:org/name@v1.0.0").read_bytes() == weights.read_bytes()


def test_a_private_repository_asks_for_the_token(
    hub: Hub, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.private = True
    assert "status 401); set HF_TOKEN to a token" in refusal("hf:org/name@v1.0.0", cache)
    monkeypatch.setenv("HF_TOKEN", "hf_wrong")
    assert "status 401" in refusal("hf:org/name@v1.0.0", cache)
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    assert yolo.load("hf:org/name@v1.0.0").spec == SPEC


def test_what_the_hub_lacks_or_refuses_is_one_error(hub: Hub, cache: Path) -> None:
    assert "no such revision" in refusal("hf:org/name@v9.9.9", cache)
    assert "no such repository" in refusal("hf:org/none@v1.0.0", cache)
    hub.commit("org/two", {"a.safetensors": b"1", "b.safetensors": b"2"}, set())
    said = refusal("hf:org/two", cache)
    assert "exactly one .safetensors file; it has a.safetensors, b.safetensors" in said
    hub.commit("org/small", {"a.safetensors": b"1"}, set())
    assert "knows no SHA-256 of a.safetensors" in refusal("hf:org/small", cache)
    hub.refuses["/resolve/"] = 403
    assert "status 403" in refusal("hf:org/name@v1.0.0", cache)
    hub.refuses["/api/models/"] = 403
    assert "access is refused" in refusal("hf:org/name@v1.0.0", cache)
    hub.refuses["/api/models/"] = 500
    assert "the Hub answered with status 500" in refusal("hf:org/name@v1.0.0", cache)


@pytest.mark.parametrize(
    ("faults", "said"),
    [
        ([Fault(corrupt=True)], "checksum mismatch of"),
        ([Fault(send=1000, ignore_range=True)] * 9, r"IncompleteRead\(1000 bytes read"),
        ([Fault(send=1000, then="stall", ignore_range=True)] * 9, "timed out"),
        ([Fault(status=401)], "status 401"),
        ([Fault(status=403)], "status 403"),
        ([Fault(status=404)], "status 404"),
        ([Fault(status=500)] * 9, "status 500"),
    ],
    ids=["wrong sum", "half", "silent", "401", "403", "404", "500"],
)
@pytest.mark.parametrize("where", ["hub", "web"])
def test_a_file_that_does_not_arrive_whole_is_one_error(
    faults: list[Fault], said: str, where: str, hub: Hub, web: Server, content: bytes, cache: Path
) -> None:
    server, source = (
        (hub.downloads, "hf:org/name@v1.0.0") if where == "hub" else (web, address(web, content))
    )
    server.faults = list(faults)
    with pytest.raises(UserError, match=said) as raised:
        fetch_published(source, cache, PATIENCE)
    assert str(raised.value).startswith(f"{source} could not be fetched: ")
    assert held(cache) == []


def test_a_file_that_was_cut_on_the_server_is_one_error(
    hub: Hub, web: Server, content: bytes, cache: Path
) -> None:
    web.files["models/detector.safetensors"] = content[:1000]
    assert "checksum mismatch" in refusal(address(web, content), cache)
    for path in hub.downloads.files:
        hub.downloads.files[path] = content[:1000]
    said = refusal("hf:org/name@v1.0.0", cache)
    assert f"it has 1000 bytes, {len(content)} are expected" in said


def test_a_broken_transfer_goes_on_where_it_was(web: Server, content: bytes, cache: Path) -> None:
    web.faults = [Fault(send=1000)]
    path = fetch_published(address(web, content), cache, PATIENCE)
    assert path.read_bytes() == content
    assert web.requests[1][1] == "bytes=1000-"


def test_another_sum_is_refused_and_the_cache_keeps_the_good_file(
    web: Server, content: bytes, cache: Path
) -> None:
    path = fetch_published(address(web, content), cache, PATIENCE)
    wrong = f"{web.url('models/detector.safetensors')}#sha256={'0' * 64}"
    with pytest.raises(UserError, match=f"expected {'0' * 64}"):
        fetch_published(wrong, cache, PATIENCE)
    assert held(cache) == [path.name]
    # a damaged file in the cache is replaced
    path.write_bytes(content[:-1])
    assert fetch_published(address(web, content), cache, PATIENCE).read_bytes() == content


def test_no_network_is_one_error(
    content: bytes, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    sha = hashlib.sha256(content).hexdigest()
    assert "Connection refused" in refusal(f"http://127.0.0.1:{port}/a.onnx#sha256={sha}", cache)
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{port}")
    assert "the Hub gives no answer" in refusal("hf:org/name@v1.0.0", cache)


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("https://example.org/a.safetensors", "needs the SHA-256 of the file"),
        ("https://example.org/a.safetensors#sha256=12", "64 hexadecimal digits"),
        (f"https://example.org/a.pt#sha256={'0' * 64}", r"ends in one of \.safetensors, \.onnx"),
        (f"https://example.org/#sha256={'0' * 64}", "is not the address of a weights file"),
        ("hf:name", "write for example hf:ORG/NAME@v1.0.0"),
        ("hf:a/b/c", "is no repository on the Hub"),
        ("hf:org/name@", "is no repository on the Hub"),
    ],
)
def test_a_malformed_address_says_what_is_allowed(source: str, said: str, cache: Path) -> None:
    with pytest.raises(UserError, match=said):
        yolo.load(source)
    assert not cache.exists()


def test_a_project_goes_with_a_released_model_only() -> None:
    with pytest.raises(UserError, match="goes with NAME@VERSION"):
        fetch_model("hf:org/name", "folder")


def test_withdrawn_versions_and_other_tags_are_no_versions() -> None:
    tags = ["detector@v1.10.0", "detector@v1.9.0", "backbone@v0.1.0", "v1", "detector@v1.0",
            "detector@v1.1.0", "detector@v1.1.0!"]  # fmt: skip
    assert standing(tags) == ["backbone@v0.1.0", "detector@v1.9.0", "detector@v1.10.0"]
