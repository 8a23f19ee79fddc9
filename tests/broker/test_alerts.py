"""The alerts processor on a real broker: killed, started again, nothing told twice."""

from __future__ import annotations

import json
import random
from typing import TYPE_CHECKING, Any

import pytest

from alerts.control_room import drift, refusal, word
from broker.alerts_mesh import AlertsMesh, Hook, await_life, undisturbed
from broker.feedback_mesh import LOOK_S, PARTITIONS, WITHIN_S, asset_of
from chaos.waiting import await_value
from cli.command import MISCONFIGURED, run
from tidemill.contracts.codec import codec
from tidemill.contracts.topics import DRIFT, EVENTS, FEEDBACK, RECEIPTS
from tidemill.kernel.deadletters import SUFFIX

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.broker

LIVES = 4
SENT = 40
KINDS = ("FEATURE", "PREDICTION", "ERROR")


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


def test_killed_at_any_instant_it_tells_what_it_would_have_told_undisturbed(
    mesh: AlertsMesh,
) -> None:
    dice = random.Random(7)
    worker = mesh.alerter()
    worker.start()
    await_life(mesh, worker)
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
    await_life(mesh, worker)
    mesh.predict(0)

    def said(*, active: bool) -> bool:
        worker.check()
        found = [r for _, r in mesh.alarms(0) if r["kind"] == "SILENCE"]
        return any(r["asset"] == asset_of(0) and r["active"] is active for r in found)

    await_value(lambda: said(active=True), lambda: f"silence: {worker.said()}", WITHIN_S, LOOK_S)
    worker.kill()
    worker.start()

    def is_over() -> bool:
        mesh.predict(0)
        return said(active=False)

    await_value(is_over, lambda: f"its end: {worker.said()}", WITHIN_S, LOOK_S)
    worker.end()
    assert [r for _, r in mesh.alarms(1) if r["kind"] == "SILENCE"] == []
