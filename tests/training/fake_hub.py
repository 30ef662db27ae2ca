"""A model hub on loopback, as far as a client needs it to make a repository and commit files."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class FakeHub:
    """What clients did. Safetensors go through LFS, as on real hubs."""

    token: str
    endpoint: str = ""
    repositories: dict[str, bool] = field(default_factory=dict)
    """Whether it is private, by name."""
    large: dict[str, bytes] = field(default_factory=dict)
    """Uploaded content by SHA-256."""
    files: dict[str, bytes] = field(default_factory=dict)
    messages: list[str] = field(default_factory=list)

    def commit(self, lines: list[dict[str, Any]]) -> None:
        """Take the lines of a commit request."""
        for line in lines:
            value = line["value"]
            if line["key"] == "header":
                self.messages.append(value["summary"])
            elif line["key"] == "file":
                self.files[value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "lfsFile":
                self.files[value["path"]] = self.large[value["oid"]]


@contextmanager
def fake_hub(token: str) -> Iterator[FakeHub]:
    """A hub that lets only `token` in, on a free port."""
    hub = FakeHub(token)
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(hub))
    hub.endpoint = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _handler(hub: FakeHub) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self._body()
            if self.headers["Authorization"] != f"Bearer {hub.token}":
                self._reply(401, {"error": "who are you?"})
            elif self.path == "/api/repos/create":
                request = json.loads(body)
                name = f"{request['organization']}/{request['name']}"
                hub.repositories[name] = request.get("visibility") == "private"
                self._reply(200, {"url": f"{hub.endpoint}/{name}", "id": name})
            elif self.path == "/api/validate-yaml":
                self._reply(200, {"errors": [], "warnings": []})
            elif self.path.endswith("/preupload/main"):
                self._reply(200, {"files": [_mode(file) for file in json.loads(body)["files"]]})
            elif self.path.endswith("/info/lfs/objects/batch"):
                self._reply(200, {"objects": [_place(hub, o) for o in json.loads(body)["objects"]]})
            elif self.path.endswith("/commit/main"):
                hub.commit([json.loads(line) for line in body.splitlines()])
                name = self.path.removeprefix("/api/models/").removesuffix("/commit/main")
                address = f"{hub.endpoint}/{name}/commit/1"
                self._reply(200, {"commitUrl": address, "commitOid": "1"})
            else:
                self._reply(404, {"error": self.path})

        def do_PUT(self) -> None:
            hub.large[self.path.rsplit("/", 1)[1]] = self._body()
            self._reply(200, {})

        def do_GET(self) -> None:
            self._reply(404, {"error": self.path})

        def _body(self) -> bytes:
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))

        def _reply(self, status: int, document: dict[str, Any]) -> None:
            content = json.dumps(document).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            """Quiet."""

    return Handler


def _mode(file: dict[str, Any]) -> dict[str, Any]:
    is_large = file["path"].endswith(".safetensors")
    return {
        "path": file["path"],
        "uploadMode": "lfs" if is_large else "regular",
        "shouldIgnore": False,
        "oid": None,
    }


def _place(hub: FakeHub, lfs_object: dict[str, Any]) -> dict[str, Any]:
    upload = {"href": f"{hub.endpoint}/large/{lfs_object['oid']}", "header": {}}
    return {**lfs_object, "actions": {"upload": upload}}
