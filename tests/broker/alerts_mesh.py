"""A broker, a webhook that takes alarms, and alerts processors as processes."""

from __future__ import annotations

import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

from alerts.control_room import ALLOWED, BEGUN
from broker.feedback_mesh import LOOK_S, PARTITIONS, WITHIN_S, FeedbackMesh
from chaos.waiting import await_value
from chaos.workers import WorkerProcess
from feedback.stage import LABELLED, definition_text
from tidemill.contracts.codec import codec
from tidemill.contracts.topics import ALARMS
from tidemill.kernel.records import Message
from tidemill.processors.alerts.limits import Limits
from tidemill.processors.alerts.processor import Alerts

if TYPE_CHECKING:
    from pathlib import Path

SILENCE = "4s"


class Hook:
    """Takes alarms; of the first requests it takes none."""

    def __init__(self) -> None:
        self.taken: list[tuple[str, dict[str, Any]]] = []  # Any: JSON
        self.failures = 3
        hook = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                hook.failures -= 1
                if hook.failures < 0:
                    hook.taken.append((self.headers["Idempotency-Key"], body))
                self.send_response(503 if hook.failures >= 0 else 204)
                self.end_headers()

            def log_message(self, *_: object) -> None: ...

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}/alarms"

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class AlertsMesh(FeedbackMesh):
    """The same, with the alerts processor as its worker."""

    def __init__(self, folder: Path, hook: Hook, silence: str = SILENCE) -> None:
        super().__init__(folder)
        text = definition_text({**LABELLED, "alerts": {"silence": silence}})
        self.definition_path.write_text(text, "utf-8")
        self.hook = hook

    def alerter(self, name: str = "a0") -> WorkerProcess:
        """Return a worker, not yet started."""
        if name not in self._workers:
            command = [
                *(sys.executable, "-W", "error", "-m", "tidemill", "run", "alerts"),
                *("--instance", name, "-f", str(self.definition_path), "-b", self.kafka.bootstrap),
                *("--tick", "1", "--heartbeat", "2", "--webhook", self.hook.url),
            ]
            self._workers[name] = WorkerProcess(name, command, self._folder / f"{name}.log")
        return self._workers[name]

    def alarms(self, partition: int | None = None) -> list[tuple[bytes, dict[str, Any]]]:
        """Return what was told but for heartbeats, as bytes and as records."""
        found = self.read(ALARMS)
        chosen = found if partition is None else [found[partition]]
        told = [(r.value or b"", codec("Alarm").decode(r.value)) for part in chosen for r in part]
        return [(value, record) for value, record in told if record["kind"] != "HEARTBEAT"]

    def await_told(self, count: int) -> None:
        """Wait until so many different changes are told."""

        def is_told() -> bool:
            self.alerter().check()
            return len({value for value, _ in self.alarms()}) >= count

        await_value(is_told, lambda: f"{count} alarms: {self.alerter().said()}", WITHIN_S, LOOK_S)


def await_life(mesh: AlertsMesh, *workers: WorkerProcess) -> None:
    """Wait until every partition has begun, and its alarms are posted from now on.

    What had come of most topics before that is nothing that alerts tell of; and the webhook begins
    behind what was told before its place was known.
    """
    beats = {f"heartbeat-{partition}" for partition in range(PARTITIONS)}

    def is_alive() -> bool:
        for worker in workers:
            worker.check()
        return beats <= {body["alarm_id"] for _, body in list(mesh.hook.taken)}

    def what() -> str:
        return f"a heartbeat of each partition: {[worker.said() for worker in workers]}"

    await_value(is_alive, what, WITHIN_S, LOOK_S)


def undisturbed(mesh: AlertsMesh, partition: int, topic: str) -> list[bytes]:
    """Return what one processor, never disturbed, makes of the records of a topic."""
    alerts = Alerts(partition, ALLOWED, Limits(), [BEGUN])
    found: list[bytes] = []
    for record in mesh.read(topic)[partition]:
        message = Message(
            topic, partition, record.offset, record.key, record.value, (), record.timestamp_ms
        )
        handled = alerts.decide(message)
        if handled.key is not None:
            alerts.keep(handled)
        found += [emit.value or b"" for emit in handled.emits]
    return found
