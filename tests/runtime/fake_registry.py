"""A Schema Registry's HTTP interface over a dict, for tests; it checks no compatibility itself."""

from __future__ import annotations

import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

if TYPE_CHECKING:
    from collections.abc import Iterator

JSON = "application/vnd.schemaregistry.v1+json"


class FakeRegistry:
    """What is registered: schema texts by subject; ids are places in `texts`, from 1."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.subjects: dict[str, list[int]] = {}
        self.compatibility: dict[str, str] = {}
        self.refuses = False
        self.url = ""

    def answer(self, method: str, path: str, body: dict[str, Any]) -> tuple[int, object]:
        """Return status and document."""
        match method, [unquote(part) for part in path.partition("?")[0].strip("/").split("/")]:
            case "PUT", ["config", subject]:
                self.compatibility[subject] = body["compatibility"]
                return 200, body
            case "POST", ["subjects", subject, "versions"]:
                return self._register(subject, body["schema"])
            case "POST", ["subjects", subject]:
                return self._found(subject, body["schema"])
            case "GET", ["subjects", subject, "versions", *version] if subject in self.subjects:
                return 200, self._versions(subject, *version)
            case "GET", ["schemas", "ids", schema_id] if int(schema_id) <= len(self.texts):
                return 200, {"schema": self.texts[int(schema_id) - 1]}
        return 404, {"error_code": 40403, "message": "Schema not found"}

    def _versions(self, subject: str, version: str = "") -> object:
        if not version:
            return list(range(1, len(self.subjects[subject]) + 1))
        schema_id = self.subjects[subject][int(version) - 1]
        known = {"subject": subject, "version": int(version), "id": schema_id}
        return {**known, "schema": self.texts[schema_id - 1]}

    def _register(self, subject: str, text: str) -> tuple[int, object]:
        if self.refuses:
            return 409, {"error_code": 409, "message": "incompatible"}
        if text not in self.texts:
            self.texts.append(text)
        schema_id = self.texts.index(text) + 1
        self.subjects.setdefault(subject, []).append(schema_id)
        return 200, {"id": schema_id}

    def _found(self, subject: str, text: str) -> tuple[int, object]:
        for version, schema_id in enumerate(self.subjects.get(subject, ()), 1):
            if self.texts[schema_id - 1] == text:
                found = {"subject": subject, "version": version, "id": schema_id, "schema": text}
                return 200, found
        return 404, {"error_code": 40403, "message": "Schema not found"}


@contextmanager
def serving() -> Iterator[FakeRegistry]:
    """Serve a fake registry on a free port for the length of a block."""
    registry = FakeRegistry()

    class Handler(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(length) or b"{}")
            status, document = registry.answer(self.command, self.path, body)
            text = json.dumps(document).encode()
            self.send_response(status)
            self.send_header("Content-Type", JSON)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        do_GET = do_POST = do_PUT = _answer  # noqa: N815 - the names http.server calls

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its signature
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    registry.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield registry
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
