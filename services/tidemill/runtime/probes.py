"""Probes over HTTP: is it alive, is it ready, what does it count."""

from __future__ import annotations

import socket
import sys
import threading
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Protocol

from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4

from tidemill.kernel.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator

LIVE_WITHIN_S = 30.0
REQUEST_TIMEOUT_S = 5.0
SHUTDOWN_POLL_S = 0.1
TEXT = "text/plain; charset=utf-8"


class Health(Protocol):
    """What the probes ask; called from their threads."""

    def loop_age_s(self) -> float:
        """Return the seconds since the loop last turned."""

    def not_ready(self) -> str:
        """Return why the service is not ready; empty if it is."""

    def exposition(self) -> bytes:
        """Return the metrics in Prometheus' text format."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, where: tuple[str, int], health: Health, live_within_s: float) -> None:
        self.address_family = socket.getaddrinfo(*where, type=socket.SOCK_STREAM)[0][0]
        self.health = health
        self.live_within_s = live_within_s
        super().__init__(where, _Handler)

    def server_bind(self) -> None:
        """Bind, without asking the network for this machine's name."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()

    def handle_error(self, request: Any, client_address: Any) -> None:  # Any: typeshed's
        """Pass over clients that went away; tell of anything else."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    timeout = REQUEST_TIMEOUT_S
    server_version = "tidemill"
    sys_version = ""

    def do_GET(self) -> None:
        """Answer a probe."""
        health = self.server.health
        match self.path.partition("?")[0]:
            case "/livez":
                self._answer_check(self._not_live())
            case "/readyz":
                self._answer_check(health.not_ready())
            case "/metrics":
                self._answer(HTTPStatus.OK, health.exposition(), CONTENT_TYPE_PLAIN_0_0_4)
            case _:
                found = b"there are /livez, /readyz and /metrics\n"
                self._answer(HTTPStatus.NOT_FOUND, found, TEXT)

    def _not_live(self) -> str:
        age_s, limit_s = self.server.health.loop_age_s(), self.server.live_within_s
        if age_s <= limit_s:
            return ""
        return f"the loop must turn within {limit_s:g} s, last turned {age_s:.0f} s ago"

    def _answer_check(self, problem: str) -> None:
        status = HTTPStatus.SERVICE_UNAVAILABLE if problem else HTTPStatus.OK
        self._answer(status, f"{problem or 'ok'}\n".encode(), TEXT)

    def _answer(self, status: HTTPStatus, body: bytes, kind: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base's name
        """Log nothing: one line per change of state, none per probe."""


@contextmanager
def serve_probes(
    health: Health, *, host: str, port: int, live_within_s: float = LIVE_WITHIN_S
) -> Iterator[str]:
    """Serve /livez, /readyz and /metrics while the context lasts.

    Args:
        health: Is asked.
        host: Where to listen.
        port: Where to listen; 0 takes a free one.
        live_within_s: Longest time between two turns of the loop of a service that is alive.

    Yields:
        Where probes are served, `host:port`.

    Raises:
        ConfigError: Nothing can listen there.
    """
    server = _listen(health, host, port, live_within_s)
    thread = threading.Thread(
        target=server.serve_forever, args=(SHUTDOWN_POLL_S,), name="probes", daemon=True
    )
    thread.start()
    try:
        shown = f"[{host}]" if ":" in host else host
        yield f"{shown}:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _listen(health: Health, host: str, port: int, live_within_s: float) -> _Server:
    try:
        return _Server((host, port), health, live_within_s)
    except socket.gaierror as error:
        msg = f"--probe-host: must be an address of this machine, was {host!r}: {error.strerror}"
        raise ConfigError([msg]) from error
    except OSError as error:
        msg = (
            f"--probe-port: {host}:{port} must be free to listen on, it is not: {error.strerror}; "
            "choose another port, or 0 for any"
        )
        raise ConfigError([msg]) from error
