"""The feedback processor on a real broker: killed, started again, each feedback counted once."""

from __future__ import annotations

import random
import time
from typing import TYPE_CHECKING, Any

import pytest

from broker.feedback_mesh import PARTITIONS, PREDICTED, FeedbackMesh, asset_of
from feedback.stage import feedback, prediction
from tidemill.contracts.codec import codec
from tidemill.contracts.topics import FEEDBACK, PREDICTIONS, RECEIPTS, UPDATES
from tidemill.kernel.records import Message
from tidemill.processors.feedback.cases import LogCases
from tidemill.processors.feedback.processor import Feedback
from tidemill.processors.feedback.trust import Limits
from tidemill.runtime.clients import KafkaClients
from tidemill.runtime.kafka_log import KafkaLog
from tidemill.testing.plants import RECORD, RECORD_ID

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.broker

SENT = 80
LIVES = 4
# Longer than Kafka keeps a connection, a session or a request waiting in vain.
AWAY_S = 35.0
ACTORS = ("ann", "bob", "eve", "joe")


@pytest.fixture(scope="module")
def mesh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FeedbackMesh]:
    with FeedbackMesh(tmp_path_factory.mktemp("feedback")) as running:
        yield running


def some_feedback(number: int, dice: random.Random) -> dict[str, Any]:
    """Return one of many kinds of feedback, the number's own."""
    partition = number % PARTITIONS
    about: dict[str, Any] = {"asset": asset_of(partition), "actor": dice.choice(ACTORS)}
    event = f"e{dice.randrange(40)}"
    match dice.randrange(8):
        case 0:
            return feedback(f"f{number}", "RIGHT", event_id=event, **about)
        case 1 | 2:
            about["value"] = dice.choice(("ok", "jam"))
            return feedback(f"f{number}", "CORRECTED", event_id=event, **about)
        case 3 | 4:
            about |= {"feature": "flow", "role": dice.choice(("operator", "domain_expert"))}
            return feedback(f"f{number}", "IRRELEVANT", event_id=event, **about)
        case 5:
            return feedback(f"f{number}", "HOLD", event_id=None, stream="pump", **about)
        case 6:
            about["role"] = "domain_expert"
            target = f"f{max(0, number - 2 * dice.randrange(1, 10))}"
            return feedback(f"f{number}", "RETRACT", target_id=target, **about)
        case _:
            about["role"] = "domain_expert"
            target = f"f{max(0, number - 2 * dice.randrange(1, 6))}"
            return feedback(f"f{number}", "APPROVE", target_id=target, **about)


def undisturbed(mesh: FeedbackMesh, partition: int) -> list[tuple[str, bytes]]:
    """Return what one processor, never disturbed, makes of the committed feedback."""
    log = KafkaLog(KafkaClients(mesh.kafka.bootstrap))
    cases = LogCases(log, mesh.definition, {RECORD_ID: RECORD})
    processor = Feedback(partition, mesh.definition, cases, Limits(per_minute=100_000))
    try:
        found = [
            Message(FEEDBACK, partition, r.offset, r.key, r.value, (), r.timestamp_ms)
            for r in mesh.read(FEEDBACK)[partition]
        ]
        emits = processor.process_batch(found)
    finally:
        log.close()
    return [(emit.topic, emit.value or b"") for emit in emits]


def first_of_each(values: list[bytes]) -> list[bytes]:
    return list(dict.fromkeys(values))


def test_killed_at_any_instant_it_causes_what_it_would_have_caused_undisturbed(
    mesh: FeedbackMesh,
) -> None:
    dice = random.Random(6)
    worker = mesh.worker()
    sent: set[str] = set()
    for life in range(LIVES):
        worker.start()
        for number in range(life * SENT // LIVES, (life + 1) * SENT // LIVES):
            record = some_feedback(number, dice)
            sent.add(record["feedback_id"])
            mesh.write(FEEDBACK, number % PARTITIONS, codec("Feedback").encode(record))
        mesh.flush()
        lost = codec("Feedback").encode(feedback(f"lost{life}", "CORRECTED", value="jam"))
        mesh.abort(life % PARTITIONS, [lost, lost])
        mesh.await_answers(set(sorted(sent)[: len(sent) // 2 + life]), worker)
        worker.kill()
    worker.start()
    mesh.await_answers(sent, worker)
    mesh.await_all(worker)
    worker.end()

    assert all(len(different) == 1 for different in mesh.causes().values())
    assert not any(name.startswith("lost") for name in mesh.answered())
    for partition in range(PARTITIONS):
        wanted = undisturbed(mesh, partition)
        for topic in (UPDATES, RECEIPTS):
            found = [record.value or b"" for record in mesh.read(topic)[partition]]
            mine = [value for its_topic, value in wanted if its_topic == topic]
            assert first_of_each(found) == first_of_each(mine)


def test_what_was_decided_is_known_to_the_next_life(mesh: FeedbackMesh) -> None:
    worker = mesh.worker()
    record = feedback("once", "CORRECTED", value="jam", asset=asset_of(0), event_id="e99")
    value = codec("Feedback").encode(record)
    worker.start()
    mesh.write(FEEDBACK, 0, value)
    mesh.flush()
    mesh.await_answers({"once"}, worker)
    worker.kill()
    before = [r for r in mesh.receipts() if r["feedback_id"] == "once"]

    worker.start()
    mesh.write(FEEDBACK, 0, value)
    after = codec("Feedback").encode(
        feedback("then", "RETRACT", target_id="once", asset=asset_of(0))
    )
    mesh.write(FEEDBACK, 0, after)
    mesh.flush()
    mesh.await_answers({"then"}, worker)
    worker.end()

    again = [r for r in mesh.receipts() if r["feedback_id"] == "once"]
    updates = [
        codec("Update").decode(value) for different in mesh.causes().values() for value in different
    ]
    assert all(receipt == before[0] for receipt in again)
    assert [u["kind"] for u in updates if u["origin"] == "once"] == ["EXAMPLE"]
    assert [u["target_id"] for u in updates if u["origin"] == "then"] == ["once"]


def test_a_record_as_large_as_kafka_takes_stops_nothing_behind_it(mesh: FeedbackMesh) -> None:
    many = {"ok": 0.8, "jam": 0.2, **{f"class {n:05}": 0.0 for n in range(40_000)}}
    record = prediction(PREDICTED, asset_of(0), event_id="wide", probabilities=many)
    mesh.write(PREDICTIONS, 0, codec("Prediction").encode(record))
    worker = mesh.worker()
    worker.start()
    big = feedback("big", "CORRECTED", value="\x01" * 250_000, asset=asset_of(0))
    wide = feedback("wide", "CORRECTED", value="jam", asset=asset_of(0), event_id="wide")
    for record in (big, wide, feedback("behind", "RIGHT", asset=asset_of(0), actor="zoe")):
        mesh.write(FEEDBACK, 0, codec("Feedback").encode(record))
    mesh.flush()
    mesh.await_answers({"wide", "behind"}, worker)
    mesh.await_all(worker)
    worker.end()

    receipts = [r for r in mesh.receipts() if r["feedback_id"] == "wide"]
    assert [receipt["status"] for receipt in receipts] == ["REFUSED"]
    assert "1000000 bytes" in receipts[0]["reason"]
    assert "big" not in mesh.answered()


def test_a_broker_that_is_away_for_long_is_waited_for(mesh: FeedbackMesh) -> None:
    sent = {f"long{number}" for number in range(400)}
    worker = mesh.worker()
    worker.start()
    for number, name in enumerate(sorted(sent)):
        partition = number % PARTITIONS
        record = feedback(name, "RIGHT", asset=asset_of(partition), event_id=f"e{number % 40}")
        mesh.write(FEEDBACK, partition, codec("Feedback").encode(record))
    mesh.flush()
    mesh.await_answers({"long0", "long1"}, worker)
    mesh.kafka.stop()
    time.sleep(AWAY_S)  # what is waited for here is the outage itself
    worker.check()
    mesh.kafka.start()
    mesh.await_answers(sent, worker)
    mesh.await_all(worker)
    worker.end()

    for partition in range(PARTITIONS):
        found = [record.value or b"" for record in mesh.read(RECEIPTS)[partition]]
        mine = [value for topic, value in undisturbed(mesh, partition) if topic == RECEIPTS]
        assert first_of_each(found) == first_of_each(mine)


def test_it_ends_by_itself_once_idle_though_markers_stand_at_the_end(mesh: FeedbackMesh) -> None:
    mesh.abort(0, [codec("Feedback").encode(feedback("never", "RIGHT"))])

    done = mesh.call("--instance", "w0", "--until-idle", "0.5")

    assert done.returncode == 0, done.stderr
    assert mesh.committed() == mesh.ends()


def test_a_setting_of_security_that_cannot_be_kept_is_refused_by_name(mesh: FeedbackMesh) -> None:
    done = mesh.call("-X", "security.protocol=sasl_plaintext", "-X", "sasl.mechanism=OAUTHBEARER")

    assert done.returncode == 78
    assert "sasl.mechanism: must be one of PLAIN, SCRAM-SHA-256, SCRAM-SHA-512" in done.stderr
