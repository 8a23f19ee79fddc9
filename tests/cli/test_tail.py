"""`tidemill tail` and `tidemill dlq list` on the broker, in topics of their own."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from itertools import count
from typing import TYPE_CHECKING, Any

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from local.topics import create_topics
from runtime.plants import write_plant
from tidemill.kernel.deadletters import SUFFIX, dead_letter
from tidemill.kernel.errors import DeadLetterReason, InvalidRecordError
from tidemill.kernel.records import Message
from tidemill.testing.plants import RECORD, event_value, sample_definition

from .command import MISCONFIGURED, Ran, run

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from tidemill.local.kafka import EmbeddedKafka

pytestmark = pytest.mark.broker

NUMBERS = count()
DEADLINE_S = 180.0


def fresh_topic(broker: EmbeddedKafka, *, suffix: str = "", partitions: int = 2) -> str:
    name = f"tail.{next(NUMBERS)}{suffix}"
    admin = AdminClient({"bootstrap.servers": broker.bootstrap})
    create_topics(admin, [NewTopic(name, partitions, 1)])
    return name


def write(broker: EmbeddedKafka, *messages: Message, transactional: str = "") -> None:
    """Write messages to their topics and partitions; a transaction of this name is aborted."""
    where = {"bootstrap.servers": broker.bootstrap}
    settings: dict[str, Any] = {**where, "linger.ms": 0, "enable.idempotence": True}
    producer = Producer(settings | ({"transactional.id": transactional} if transactional else {}))
    if transactional:
        producer.init_transactions(DEADLINE_S)
        producer.begin_transaction()
    for m in messages:
        producer.produce(
            m.topic, m.value, m.key, partition=m.partition, headers=list(m.headers) or None
        )
    assert producer.flush(DEADLINE_S) == 0
    if transactional:
        producer.abort_transaction(DEADLINE_S)


def event(topic: str, partition: int, number: int) -> Message:
    value = event_value("north/1", number, {"vibration": number / 10}, 1.0)
    return Message(topic, partition, 0, b"north/1", value, (("traceparent", b"00-1"),))


def lines(ran: Ran) -> list[dict[str, Any]]:
    assert ran.code == 0
    return [json.loads(line) for line in ran.out.splitlines()]


def tail(broker: EmbeddedKafka, topic: str, *options: object) -> list[dict[str, Any]]:
    return lines(run("tail", topic, "-b", broker.bootstrap, *options))


def test_committed_records_are_shown_decoded_to_the_end(
    broker: EmbeddedKafka, tmp_path: Path
) -> None:
    topic = fresh_topic(broker)
    plant = write_plant(tmp_path, sample_definition(), RECORD)
    write(broker, event(topic, 0, 1), event(topic, 1, 2))
    write(broker, event(topic, 0, 3), transactional=topic)

    with_schema = sorted(tail(broker, topic, "-e", "-f", plant), key=lambda m: m["partition"])
    without = tail(broker, topic, "-e", "-p", 0, "-f", write_plant(tmp_path / "other"))

    assert [(m["partition"], m["offset"]) for m in with_schema] == [(0, 0), (1, 0)]
    assert with_schema[0]["value"] == {
        "asset": "north/1",
        "event_time": "2026-01-01T00:00:01Z",
        "event_id": "e1",
        "vibration": 0.1,
        "temperature": None,
        "flow": None,
        "wear": 1.0,
        "is_faulty": None,
    }
    assert with_schema[0]["headers"] == {"traceparent": "00-1"}
    assert [m["value"] for m in without] == [event(topic, 0, 1).value.hex()]  # type: ignore[union-attr]  # it has a value


@pytest.mark.parametrize(
    ("options", "offsets"),
    [
        (["-o", "beginning", "-c", 2], [0, 1]),
        (["-o", "3", "-e"], [3, 4]),
        (["-o", "-1", "-e"], [4]),
        (["-o-2", "-c", 1], [3]),
        (["-o", "end", "-e"], []),
    ],
)
def test_a_part_is_shown_as_kcat_would(
    broker: EmbeddedKafka, options: Sequence[object], offsets: list[int]
) -> None:
    topic = fresh_topic(broker, partitions=1)
    write(broker, *(event(topic, 0, n) for n in range(5)))

    assert [m["offset"] for m in tail(broker, topic, *options)] == offsets


def start(broker: EmbeddedKafka, topic: str) -> subprocess.Popen[bytes]:
    # A run in the background of a shell ignores SIGINT, and passes that on.
    heard = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
    code = heard + "from tidemill.cli import main; main()"
    command = [sys.executable, "-c", code, "tail", topic, "-b", broker.bootstrap]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def test_it_waits_for_more_until_ctrl_c_and_ends_quietly(broker: EmbeddedKafka) -> None:
    topic = fresh_topic(broker, partitions=1)
    write(broker, event(topic, 0, 1))
    with start(broker, topic) as process:
        assert process.stdout is not None
        first = process.stdout.readline()
        write(broker, event(topic, 0, 2))
        second = process.stdout.readline()
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=DEADLINE_S)

    assert [json.loads(line)["offset"] for line in (first, second)] == [0, 1]
    assert (process.returncode, out, err) == (0, b"", b"")


def test_a_reader_that_goes_away_ends_it_quietly(broker: EmbeddedKafka) -> None:
    topic = fresh_topic(broker, partitions=1)
    write(broker, *(event(topic, 0, n) for n in range(2000)))
    with start(broker, topic) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.wait(DEADLINE_S) == 0
        assert process.stderr.read() == b""


def test_what_is_not_there_is_a_configuration_error(broker: EmbeddedKafka) -> None:
    topic = fresh_topic(broker)

    missing = run("tail", "tail.none", "-b", broker.bootstrap)
    partition = run("tail", topic, "-p", 2, "-b", broker.bootstrap)
    place = run("tail", topic, "-o", "tomorrow", "-b", broker.bootstrap)

    assert missing.code == partition.code == place.code == MISCONFIGURED
    assert "must be a topic of the cluster, was tail.none" in missing.said
    assert "-p: must be less than 2, was 2" in partition.said


def test_dead_letters_are_listed_and_shown_as_hex(broker: EmbeddedKafka) -> None:
    source = fresh_topic(broker, suffix=SUFFIX).removesuffix(SUFFIX)
    for offset, reason in enumerate(["contract", "undecodable", "contract"]):
        error = InvalidRecordError(DeadLetterReason(reason), f"why {offset}")
        letter = dead_letter(event(source, 1, offset)._replace(offset=offset), error, "learner")
        write(broker, Message(letter.topic, 1, 0, letter.key, letter.value, letter.headers))

    listed = run("dlq", "list", "--topic", source, "-b", broker.bootstrap, "--json")
    text = run("dlq", "list", "--topic", source, "-b", broker.bootstrap, "--reason", "contract")
    none = run("dlq", "list", "--topic", "tail.none", "-b", broker.bootstrap)
    shown = tail(broker, source + SUFFIX, "-c", 1)

    found = json.loads(listed.out)
    assert found["total"] == 3
    assert [(p["topic"], p["reason"], p["count"]) for p in found["dead_letters"]] == [
        (source, "contract", 2),
        (source, "undecodable", 1),
    ]
    assert f"{source}  contract  2" in text.out
    assert "undecodable" not in text.out
    assert f"(from {source}-1@2)" in text.out
    assert none.code == MISCONFIGURED
    assert shown[0]["value"] == (event(source, 1, 0).value or b"").hex()
    assert shown[0]["headers"]["tidemill.reason"] == "contract"
