"""Dead letters summed up: by source topic and reason, with first, last and examples."""

from __future__ import annotations

from typing import Any

import pytest

from tidemill.kernel.deadletters import dead_letter
from tidemill.kernel.errors import DeadLetterReason, InvalidRecordError
from tidemill.kernel.records import Message
from tidemill.runtime.dead_letters import DeadLetters, dead_letter_topics, read_dead_letters
from tidemill.testing.cluster import MemoryCluster
from tidemill.testing.memory_log import MemoryLog

TOPICS = {"sensor.events": 2, "sensor.events.dlq": 2, "model.updates.dlq": 2}


def cluster(*letters: tuple[str, int, DeadLetterReason]) -> MemoryCluster:
    """Return a cluster that set these aside, a second apart: topic, partition, reason."""
    made = MemoryCluster(TOPICS)
    for offset, (topic, partition, reason) in enumerate(letters):
        made.advance(1.0)
        source = Message(topic, partition, offset, b"north/1", b"\x00\xff", (("a", b"b"),))
        emit = dead_letter(source, InvalidRecordError(reason, f"why {offset}"), "learner")
        made.append(emit.topic, partition, emit.value, key=emit.key, headers=emit.headers)
    return made


def listed(made: MemoryCluster, chosen: str | None = None, **options: Any) -> dict[str, Any]:
    letters = DeadLetters(**options)
    read_dead_letters(MemoryLog(made), TOPICS, letters, chosen=chosen)
    return letters.document()


LETTERS = (
    ("sensor.events", 1, DeadLetterReason.CONTRACT),
    ("sensor.events", 0, DeadLetterReason.UNDECODABLE),
    ("model.updates", 0, DeadLetterReason.CONTRACT),
    ("sensor.events", 0, DeadLetterReason.CONTRACT),
)


def test_dead_letters_are_counted_by_topic_and_reason_the_largest_first() -> None:
    found = listed(cluster(*LETTERS))

    assert found["total"] == 4
    assert [(p["topic"], p["reason"], p["count"]) for p in found["dead_letters"]] == [
        ("sensor.events", "contract", 2),
        ("model.updates", "contract", 1),
        ("sensor.events", "undecodable", 1),
    ]


def test_first_and_last_are_by_time_over_all_partitions() -> None:
    pile = listed(cluster(*LETTERS))["dead_letters"][0]

    assert pile["first"]["source"] == {"topic": "sensor.events", "partition": 1, "offset": 0}
    assert pile["last"]["source"] == {"topic": "sensor.events", "partition": 0, "offset": 3}
    assert (pile["last"]["topic"], pile["last"]["offset"]) == ("sensor.events.dlq", 1)


def test_an_example_says_why_and_what() -> None:
    (example,) = listed(cluster(LETTERS[0]))["dead_letters"][0]["examples"]

    assert example["message"] == "why 0"
    assert example["exception"] == "InvalidRecordError"
    assert (example["processor"], example["key"], example["value"]) == (
        "learner",
        "north/1",
        "00ff",
    )


@pytest.mark.parametrize(("asked", "kept"), [(0, 0), (1, 1), (5, 2)])
def test_as_many_examples_are_kept_as_are_asked_for(asked: int, kept: int) -> None:
    pile = listed(cluster(*LETTERS), examples=asked)["dead_letters"][0]

    assert len(pile["examples"]) == kept


@pytest.mark.parametrize("chosen", ["model.updates", "model.updates.dlq"])
def test_one_topic_is_chosen_by_its_name_or_that_of_its_dead_letters(chosen: str) -> None:
    assert [p["topic"] for p in listed(cluster(*LETTERS), chosen)["dead_letters"]] == [
        "model.updates"
    ]
    assert dead_letter_topics(TOPICS, "plant.labels") == []


def test_one_reason_is_chosen() -> None:
    assert listed(cluster(*LETTERS), reason="undecodable")["total"] == 1


def test_a_record_without_our_headers_is_listed_all_the_same() -> None:
    made = cluster()
    made.append("sensor.events.dlq", 0, None, headers=(("__streams.errors.offset", b"x"),))

    (pile,) = listed(made)["dead_letters"]

    assert (pile["topic"], pile["reason"], pile["first"]["source"]) == (
        "sensor.events",
        "unsaid",
        None,
    )
