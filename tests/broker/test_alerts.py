"""The alerts processor on a real broker: killed, started again, nothing told twice."""

from __future__ import annotations

import json
import random
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest

from alerts.control_room import ALLOWED, drift, refusal, word
from broker.feedback_mesh import LOOK_S, PARTITIONS, WITHIN_S, FeedbackMesh, asset_of
from chaos.waiting import await_value
from chaos.workers import WorkerProcess
from cli.command import MISCONFIGURED, run
from feedback.stage import LABELLED, definition_text
from tidemill.contracts.codec import codec
from tidemill.contracts.topics import ALARMS, DRIFT, EVENTS, FEEDBACK, RECEIPTS
from tidemill.kernel.deadletters import SUFFIX
from tidemill.kernel.records import Message
from tidemill.processors.alerts.limits import Limits
from tidemill.processors.alerts.processor import Alerts

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.broker

LIVES = 4
SENT = 40
SILENCE = "4s"
KINDS = ("FEATURE", "PREDICTION", "ERROR")


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

    def __init__(self, folder: Path, hook: Hook) -> None:
        super().__init__(folder)
        text = definition_text({**LABELLED, "alerts": {"silence": SILENCE}})
        self.definition_path.write_text(text, "utf-8")
        self.hook = hook
        self._worker: WorkerProcess | None = None

    def alerter(self) -> WorkerProcess:
        """Return the worker, not yet started."""
        if self._worker is None:
            command = [
                *(sys.executable, "-W", "error", "-m", "tidemill", "run", "alerts"),
                *("--instance", "a0", "-f", str(self.definition_path), "-b", self.kafka.bootstrap),
                *("--tick", "1", "--heartbeat", "2", "--webhook", self.hook.url),
            ]
            self._worker = self._workers["a0"] = WorkerProcess(
                "a0", command, self._folder / "a0.log"
            )
        return self._worker

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


@pytest.fixture
def mesh(tmp_path: Path) -> Iterator[AlertsMesh]:
    hook = Hook()
    try:
        with AlertsMesh(tmp_path, hook) as running:
            yield running
    finally:
        hook.close()


def happen(mesh: AlertsMesh, number: int, dice: random.Random) -> None:
    """Let something happen on a partition."""
    partition = number % PARTITIONS
    about = {"asset": asset_of(partition), "kind": dice.choice(KINDS)}
    if dice.random() < 0.7:
        status = dice.choice(("OPEN", "OPEN", "CLOSED"))
        value = drift(status, f"d{dice.randrange(4)}", signal=dice.choice("abc"), **about)
        mesh.write(DRIFT, partition, codec("Drift").encode(value))
    else:
        value = refusal(number, asset=f"{asset_of(partition)}/{dice.randrange(3)}")
        mesh.write(RECEIPTS, partition, codec("Receipt").encode(value))


def heartbeats(mesh: AlertsMesh) -> int:
    told = [codec("Alarm").decode(r.value) for part in mesh.read(ALARMS) for r in part]
    return len({(r["alarm_id"], r["revision"]) for r in told if r["kind"] == "HEARTBEAT"})


def undisturbed(mesh: AlertsMesh, partition: int, topic: str) -> list[bytes]:
    """Return what one processor, never disturbed, makes of the records of a topic."""
    alerts = Alerts(partition, ALLOWED, Limits())
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


def test_killed_at_any_instant_it_tells_what_it_would_have_told_undisturbed(
    mesh: AlertsMesh,
) -> None:
    dice = random.Random(7)
    worker = mesh.alerter()
    worker.start()
    await_value(
        lambda: heartbeats(mesh) >= PARTITIONS, lambda: f"life: {worker.said()}", WITHIN_S, LOOK_S
    )
    for life in range(LIVES):
        for number in range(life * SENT // LIVES, (life + 1) * SENT // LIVES):
            happen(mesh, number, dice)
        mesh.flush()
        mesh.await_told(1 + 3 * life)
        worker.kill()
        worker.start()
    wanted = {
        (partition, topic): undisturbed(mesh, partition, topic)
        for partition in range(PARTITIONS)
        for topic in (DRIFT, RECEIPTS)
    }
    mesh.await_told(sum(len(values) for values in wanted.values()))

    for (partition, topic), values in wanted.items():
        of_topic = {value for value, r in mesh.alarms(partition) if r["source"]["topic"] == topic}
        assert of_topic == set(values)
        in_order = [v for v in dict.fromkeys(v for v, _ in mesh.alarms(partition)) if v in of_topic]
        assert in_order == values

    _, alarm = next(each for each in mesh.alarms(0) if each[1]["state"] == "UNACKNOWLEDGED")
    last = [r for _, r in mesh.alarms(0) if r["kind"] == alarm["kind"]][-1]
    said = codec("Feedback").encode(word("ACKNOWLEDGE", last["alarm_id"], actor="eve"))
    mesh.write(FEEDBACK, 0, said)
    for _ in range(10):
        mesh.write(EVENTS + SUFFIX, 1, b"spoilt")
    mesh.flush()

    def is_heard() -> bool:
        worker.check()
        found = [r for _, r in mesh.alarms()]
        has_letters = any(r["kind"] == "DEAD_LETTERS" for r in found)
        return has_letters and any(r["actor"] == "eve" for r in found)

    await_value(is_heard, lambda: f"a person: {worker.said()}", WITHIN_S, LOOK_S)
    keys = {f"{r['alarm_id']}-{r['revision']}" for _, r in mesh.alarms()}

    def is_posted() -> bool:
        worker.check()
        return keys <= {key for key, _ in mesh.hook.taken}

    await_value(
        is_posted, lambda: f"{len(mesh.hook.taken)} of {len(keys)} posted", WITHIN_S, LOOK_S
    )
    worker.end()
    bodies: dict[str, set[str]] = {}
    for key, body in mesh.hook.taken:
        bodies.setdefault(key, set()).add(json.dumps(body, sort_keys=True))
    assert all(len(different) == 1 for different in bodies.values())


def test_people_list_acknowledge_and_shelve_alarms_from_the_shell(mesh: AlertsMesh) -> None:
    worker = mesh.alerter()
    worker.start()
    asset = f"{asset_of(0)}/shell"
    mesh.write(DRIFT, 0, codec("Drift").encode(drift("OPEN", "shell", asset=asset)))
    mesh.flush()

    def listed(*flags: str) -> list[dict[str, Any]]:
        worker.check()
        ran = run("alerts", "list", "--asset", asset, "--json", *flags, *where)
        assert ran.code == 0, ran
        found: list[dict[str, Any]] = json.loads(ran.out)["alarms"]
        return found

    where = ("-b", mesh.kafka.bootstrap)
    await_value(lambda: bool(listed()), lambda: f"an alarm: {worker.said()}", WITHIN_S, LOOK_S)
    (alarm,) = listed()
    assert alarm["state"] == "UNACKNOWLEDGED"
    name, said = alarm["alarm_id"], ("--actor", "ann", "--timeout", str(WITHIN_S), *where)
    assert run("alerts", "ack", name, "--comment", "seen", *said).code == 0
    assert [(a["state"], a["actor"], a["note"]) for a in listed()] == [
        ("ACKNOWLEDGED", "ann", "seen")
    ]
    again = run("alerts", "ack", name, *said)
    assert again.code == MISCONFIGURED
    assert "it is ACKNOWLEDGED" in again.said
    assert run("alerts", "shelve", name, "--until", "2h", *said).code == 0
    assert listed()[0]["state"] == "SHELVED"
    assert run("alerts", "shelve", name, "--until", "now", *said).code == 0
    assert listed()[0]["state"] == "UNACKNOWLEDGED"
    mesh.write(DRIFT, 0, codec("Drift").encode(drift("CLOSED", "shell", asset=asset)))
    mesh.flush()
    await_value(lambda: not listed()[0]["active"], lambda: "its end", WITHIN_S, LOOK_S)
    assert run("alerts", "ack", name, *said).code == 0
    assert listed() == []
    assert listed("--all")[0]["state"] == "CLEARED"
    worker.end()
    unknown = run("alerts", "ack", "unknown", *said)
    assert unknown.code == MISCONFIGURED


def test_an_asset_that_falls_silent_is_an_alarm_until_it_is_heard_of(mesh: AlertsMesh) -> None:
    worker = mesh.alerter()
    worker.start()
    await_value(
        lambda: heartbeats(mesh) >= PARTITIONS, lambda: f"life: {worker.said()}", WITHIN_S, LOOK_S
    )
    mesh.predict(0)

    def said(*, active: bool) -> bool:
        worker.check()
        found = [r for _, r in mesh.alarms(0) if r["kind"] == "SILENCE"]
        return any(r["asset"] == asset_of(0) and r["active"] is active for r in found)

    await_value(lambda: said(active=True), lambda: f"silence: {worker.said()}", WITHIN_S, LOOK_S)
    worker.kill()
    worker.start()
    mesh.predict(0)
    await_value(lambda: said(active=False), lambda: f"its end: {worker.said()}", WITHIN_S, LOOK_S)
    worker.end()
    assert [r for _, r in mesh.alarms(1) if r["kind"] == "SILENCE"] == []
