"""The protocol of the Hugging Face Hub, as its own library speaks it, on loopback.

Repositories are made, files uploaded (small ones in the commit, weights through Git LFS), committed
and tagged; revisions are described and their files sent, with the faults of `faulty_server`.
"""

import base64
import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote

import faulty_server
from huggingface_hub import ModelCard
from loopback import running

TOKEN = "hf_writer"


@dataclass
class Commit:
    """Files of a revision: path → content; those stored as large files."""

    files: dict[str, bytes]
    large: set[str]


@dataclass
class Hub:
    """What the Hub holds; `downloads.faults` meet the next downloads."""

    address: str
    downloads: faulty_server.Server
    private: bool = False
    """Reading asks for the token, too."""
    repositories: dict[str, dict[str, str]] = field(default_factory=dict)
    """ORG/NAME → branch or tag → commit."""
    commits: dict[str, Commit] = field(default_factory=dict)
    objects: dict[str, bytes] = field(default_factory=dict)
    """Large files by SHA-256."""
    refuses: dict[str, int] = field(default_factory=dict)
    """Part of a path → the status with which requests to it are refused."""
    log: list[tuple[str, str]] = field(default_factory=list)
    """Method and path of each request."""

    def commit(self, name: str, files: dict[str, bytes], large: set[str]) -> str:
        """Add files to the branch main."""
        refs = self.repositories.setdefault(name, {})
        before = self.commits.get(refs.get("main", ""), Commit({}, set()))
        now = Commit(before.files | files, before.large | large)
        told = sorted((path, hashlib.sha256(data).hexdigest()) for path, data in now.files.items())
        oid = hashlib.sha1(json.dumps([name, len(self.commits), told]).encode()).hexdigest()
        self.commits[oid] = now
        refs["main"] = oid
        for path, content in now.files.items():
            self.downloads.files[f"{name}/resolve/{oid}/{path}"] = content
        return oid

    def find(self, name: str, revision: str) -> str | None:
        """The commit of a branch, tag or commit."""
        own = self.repositories[name]
        return own.get(revision) or (revision if revision in self.commits else None)


class Handler(BaseHTTPRequestHandler):
    """One request."""

    protocol_version = "HTTP/1.1"
    hub: Hub

    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_GET(self) -> None:
        path = self._begin()
        if self._is_refused(path, needs_token=self.hub.private):
            return
        if "/resolve/" in path:
            faulty_server.answer(self.hub.downloads, self)
            return
        name, _, revision = path.removeprefix("/api/models/").partition("/revision/")
        if name not in self.hub.repositories:
            return self._say(404, {"error": "Repository not found"}, code="RepoNotFound")
        oid = self.hub.find(name, revision or "main")
        if oid is None:
            return self._say(404, {"error": "Invalid rev id"}, code="RevisionNotFound")
        self._say(200, {"id": name, "sha": oid, "siblings": self._siblings(oid)})

    def do_POST(self) -> None:
        path = self._begin()
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self._is_refused(path, needs_token=path != "/api/validate-yaml"):
            return
        if path.startswith("/lfs/"):
            return self._say(200, {})
        lines = [json.loads(line) for line in body.splitlines()]
        asked: dict[str, Any] = lines[0]
        if path == "/api/repos/create":
            name = f"{asked['organization']}/{asked['name']}"
            if name in self.hub.repositories:
                return self._say(409, {"error": "exists", "url": f"{self.hub.address}/{name}"})
            self.hub.commit(name, {".gitattributes": b"*.safetensors filter=lfs\n"}, set())
            return self._say(200, {"url": f"{self.hub.address}/{name}"})
        if path == "/api/validate-yaml":
            errors = card_errors(asked["content"])
            return self._say(400 if errors else 200, {"errors": errors, "warnings": []})
        if path.endswith(".git/info/lfs/objects/batch"):
            return self._say(200, {"transfer": "basic", "objects": self._uploads(asked)})
        name, action, revision = self._repository_action(path)
        if name not in self.hub.repositories:
            return self._say(404, {"error": "Repository not found"}, code="RepoNotFound")
        if action == "preupload":
            modes = [
                {
                    "path": file["path"],
                    "uploadMode": "lfs" if file["path"].endswith(".safetensors") else "regular",
                    "shouldIgnore": False,
                }
                for file in asked["files"]
            ]
            return self._say(200, {"files": modes})
        if action == "commit":
            return self._commit(name, lines)
        assert action == "tag"
        refs = self.hub.repositories[name]
        if asked["tag"] in refs:
            return self._say(409, {"error": f"Tag {asked['tag']} already exists"})
        oid = self.hub.find(name, revision)
        assert oid is not None
        refs[asked["tag"]] = oid
        self._say(200, {})

    def do_PUT(self) -> None:
        path = self._begin()
        content = self.rfile.read(int(self.headers["Content-Length"]))
        if self._is_refused(path, needs_token=False):
            return
        oid = path.rpartition("/")[2]
        if hashlib.sha256(content).hexdigest() != oid:
            return self._say(422, {"error": "the content is not that of the oid"})
        self.hub.objects[oid] = content
        self._say(200, {})

    def _begin(self) -> str:
        path = unquote(self.path.partition("?")[0])
        self.hub.log.append((self.command, path))
        return path

    def _is_refused(self, path: str, needs_token: bool) -> bool:
        for part, status in self.hub.refuses.items():
            if part in path:
                self._say(status, {"error": "refused"})
                return True
        if needs_token and self.headers.get("Authorization") != f"Bearer {TOKEN}":
            self._say(401, {"error": "Invalid username or password."})
            return True
        return False

    def _repository_action(self, path: str) -> tuple[str, str, str]:
        owner, name, action, revision = path.removeprefix("/api/models/").split("/", 3)
        return f"{owner}/{name}", action, revision

    def _siblings(self, oid: str) -> list[dict[str, Any]]:
        commit = self.hub.commits[oid]
        found = []
        for path, content in sorted(commit.files.items()):
            about: dict[str, Any] = {"rfilename": path, "size": len(content), "blobId": "0" * 40}
            if path in commit.large:
                sha = hashlib.sha256(content).hexdigest()
                about["lfs"] = {"sha256": sha, "size": len(content), "pointerSize": 134}
            found.append(about)
        return found

    def _uploads(self, asked: dict[str, Any]) -> list[dict[str, Any]]:
        return [
            own
            if own["oid"] in self.hub.objects
            else {
                **own,
                "actions": {
                    "upload": {"href": f"{self.hub.address}/lfs/{own['oid']}"},
                    "verify": {"href": f"{self.hub.address}/lfs/verify"},
                },
            }
            for own in asked["objects"]
        ]

    def _commit(self, name: str, lines: list[dict[str, Any]]) -> None:
        files, large = {}, set()
        for line in lines:
            value = line["value"]
            if line["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "lfsFile":
                files[value["path"]] = self.hub.objects[value["oid"]]
                large.add(value["path"])
        oid = self.hub.commit(name, files, large)
        self._say(200, {"commitUrl": f"{self.hub.address}/{name}/commit/{oid}", "commitOid": oid})

    def _say(self, status: int, value: dict[str, Any], code: str = "") -> None:
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        if code:
            self.send_header("X-Error-Code", code)
        self.end_headers()
        self.wfile.write(body)


def card_errors(text: str) -> list[dict[str, str]]:
    """What the Hub documents of a model card's head, as far as it can be looked up offline."""
    try:
        data = ModelCard(text).data.to_dict()
    except Exception as error:
        return [{"message": str(error)}]
    if "license" not in data:
        return [{"message": '"license" is missing'}]
    if data["license"] == "other" and not {"license_name", "license_link"} <= data.keys():
        return [{"message": '"license: other" needs "license_name" and "license_link"'}]
    return []


@contextmanager
def hub_server() -> Iterator[Hub]:
    """Serve an empty Hub until the block ends."""
    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    http.daemon_threads = True
    hub = Hub(f"http://127.0.0.1:{http.server_port}", faulty_server.Server({}))
    http.RequestHandlerClass = type("Bound", (Handler,), {"hub": hub})
    with running(http):
        try:
            yield hub
        finally:
            hub.downloads.closing.set()
