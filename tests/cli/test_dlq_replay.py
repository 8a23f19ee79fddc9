"""What `tidemill dlq replay` asks a learner beforehand, and how it sends; without a broker."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tidemill.cli.dlq_replay import BATCH, Acceptance, carry_out
from tidemill.contracts.definition import parse_definition
from tidemill.contracts.topics import EVENTS, UPDATES
from tidemill.kernel.records import Emit, Message
from tidemill.runtime.dlq_letters import read_letter
from tidemill.runtime.dlq_replay import Decision, Fate
from tidemill.runtime.dlq_report import ReplayReport
from tidemill.runtime.plant_files import Plant
from tidemill.testing.plants import (
    RECORD,
    RECORD_ID,
    event_value,
    sample_definition,
    update_value,
)

if TYPE_CHECKING:
    from collections.abc import Callable

X = {"vibration": 1.0, "temperature": 20.0, "flow": 0.5}


@pytest.fixture(scope="module")
def acceptance() -> Acceptance:
    schemas: dict[int, Any] = {RECORD_ID: RECORD}  # Any: an Avro schema
    definition = parse_definition(sample_definition())
    return Acceptance(Plant(definition, schemas, Path("plant.yaml")), schemas)


@pytest.mark.parametrize(
    ("value", "why"),
    [
        (event_value("north/1", 1, X, 1.0), None),
        (event_value("north/1", 1, {}), None),
        (event_value("", 1, X), "contract: asset must name the asset, was ''"),
        (b"junk!", "undecodable: the first byte must be 0, was 106"),
        (b"\0\0\0\0\7", "unknown-schema: the schema id must be one of"),
    ],
)
def test_an_event_is_refused_as_a_learner_would_set_it_aside(
    acceptance: Acceptance, value: bytes, why: str | None
) -> None:
    found = acceptance(Message(EVENTS, 1, 9, b"north/1", value))

    assert (found is None) == (why is None)
    assert (found or "").startswith(why or "")


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({}, None),
        ({"kind": "PROMOTE"}, "domain: kind must be one of"),
        ({"stream": "none"}, "contract: stream must be one of"),
        ({"features": {"temperature": 1e9}}, "domain: features must be finite and in range"),
    ],
)
def test_an_instruction_is_refused_as_a_learner_would_set_it_aside(
    acceptance: Acceptance, fields: dict[str, Any], why: str | None
) -> None:
    value = update_value("north/1", 1, {}, 1.0, **{"features": X, **fields})

    found = acceptance(Message(UPDATES, 0, 9, b"north/1", value))

    assert (found is None) == (why is None)
    assert (found or "").startswith(why or "")


def decisions(count: int) -> list[Decision]:
    letter = read_letter(Message(EVENTS + ".dlq", 0, 0, None, b""))
    emits = (Emit(EVENTS, 0, None, str(number).encode()) for number in range(count))
    sends = [Decision(letter, Fate.SEND, "", emit) for emit in emits]
    return [*sends, Decision(letter, Fate.LOOP)]


@pytest.mark.parametrize("count", [0, 1, BATCH, 2 * BATCH + 1])
def test_all_that_is_to_be_sent_is_sent_in_bounded_transactions(count: int) -> None:
    sent: list[list[Emit]] = []

    carry_out(decisions(count), ReplayReport(EVENTS, is_executed=True), sent.append)

    assert [emit.value for batch in sent for emit in batch] == [
        str(number).encode() for number in range(count)
    ]
    assert all(0 < len(batch) <= BATCH for batch in sent)


@pytest.mark.parametrize(("executed", "word"), [(True, "sent"), (False, "send")])
def test_the_report_says_sent_only_of_what_was(executed: bool, word: str) -> None:
    report = ReplayReport(EVENTS, is_executed=executed)
    send: Callable[[list[Emit]], None] | None = (lambda _: None) if executed else None

    carry_out(decisions(1), report, send)

    assert [record["outcome"] for record in report.document({})["records"]] == [word, "loop"]
    assert report.is_refused
