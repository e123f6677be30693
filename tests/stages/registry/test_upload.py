"""A released model goes to a server of the Hub's protocol and comes back by name."""

import re
import socket
from collections.abc import Iterator

import pytest
from hub_server import TOKEN, Hub, hub_server
from huggingface_hub import ModelCard
from released_project import SPEC, TAG, Release

import yolo
from stages.registry.upload import publish
from yolo.errors import UserError
from yolo.files import digest
from yolo.published import fetch_published

TARGET = "hf:org/name"


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    # the library reads both when it is imported
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_XET", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_TOKEN_PATH", "/nonexistent/token")
    with hub_server() as running:
        monkeypatch.setenv("HF_ENDPOINT", running.address)
        monkeypatch.setenv("HF_TOKEN", TOKEN)
        yield running


def refusal(said: str) -> str:
    with pytest.raises(UserError, match=said) as raised:
        publish(TAG, TARGET)
    assert "\n" not in str(raised.value)
    return str(raised.value)


def test_what_is_published_is_loaded_by_its_name(release: Release, hub: Hub) -> None:
    said = publish(TAG, TARGET)
    assert said == f'{TAG} is published: yolo.load("hf:org/name@v1.0.0")'
    assert yolo.load("hf:org/name@v1.0.0").spec == SPEC
    assert digest(fetch_published("hf:org/name")) == digest(release.weights)
    files = hub.commits[hub.repositories["org/name"]["v1.0.0"]].files
    assert files["README.md"].decode() == release.card.read_text()
    assert ModelCard(files["README.md"].decode()).data.eval_results[0].metric_value == 0.5
    # what `license: other` refers to
    assert "photos under many licences" in files["LICENSE.md"].decode()
    assert ("POST", "/api/validate-yaml") in hub.log


def test_publishing_again_sends_nothing(release: Release, hub: Hub) -> None:
    publish(TAG, TARGET)
    hub.log.clear()
    assert f"{TAG} is there already" in publish(TAG, TARGET)
    assert [method for method, _ in hub.log] == ["GET"]


def test_an_interrupted_upload_is_completed(release: Release, hub: Hub) -> None:
    hub.refuses["/tag/"] = 500
    assert "the Hub answered with status 500" in refusal("is not published")
    hub.refuses.clear()
    publish(TAG, TARGET)
    assert yolo.load("hf:org/name@v1.0.0").spec == SPEC


def test_other_weights_of_this_version_are_never_replaced(release: Release, hub: Hub) -> None:
    hub.repositories["org/name"] = {}
    hub.repositories["org/name"]["v1.0.0"] = hub.commit(
        "org/name", {"model.safetensors": b"other"}, {"model.safetensors"}
    )
    before = dict(hub.repositories["org/name"])
    refusal(r"has other weights as v1\.0\.0 \(SHA-256 [0-9a-f]{64}\)")
    assert hub.repositories["org/name"] == before


@pytest.mark.parametrize("part", ["/api/repos/create", "/preupload/", "/objects/batch", "/commit/"])
@pytest.mark.parametrize("status", [401, 403])
def test_no_right_to_write_is_one_error(release: Release, hub: Hub, part: str, status: int) -> None:
    hub.refuses[part] = status
    said = refusal(rf"{re.escape(TAG)} is not published on hf:org/name: access is refused")
    assert "HF_TOKEN" in said
    assert "v1.0.0" not in hub.repositories.get("org/name", {})


def test_no_token_is_one_error(release: Release, hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HF_TOKEN")
    assert "set HF_TOKEN to a token" in refusal("access is refused")


def test_no_network_is_one_error(
    release: Release, hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{port}")
    refusal("is not published on hf:org/name: the Hub gives no answer")


def test_a_version_that_does_not_verify_is_not_published(release: Release, hub: Hub) -> None:
    release.card.write_text(release.card.read_text() + "x")
    refusal(r"cards/detector-v1\.0\.0\.md in this folder differs")
    assert hub.log == []


@pytest.mark.parametrize(
    ("tag", "target", "said"),
    [
        ("detector", TARGET, r"write for example detector@v1\.0\.0"),
        (TAG, "org/name", "is no repository on the Hub"),
        (TAG, "hf:org/name@main", "names a revision"),
        ("detector@v9.0.0", TARGET, "there is no version"),
    ],
)
def test_names_are_checked_first(
    release: Release, hub: Hub, tag: str, target: str, said: str
) -> None:
    with pytest.raises(UserError, match=said):
        publish(tag, target)
    assert hub.log == []
