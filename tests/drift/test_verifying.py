"""The drift ledger holds every topic to what it says; whatever is altered is named."""

from __future__ import annotations

import random
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import pytest

from drift.test_crashes_in_memory import Plant, disturbed, factory
from drift.watched_plant import KEY, REFERENCE, answer, events, terms
from tidemill.contracts.codec import codec
from tidemill.contracts.topics import (
    DRIFT,
    DRIFT_LEDGER,
    DRIFT_SNAPSHOTS,
    EVENTS,
    PREDICTIONS,
    UPDATES,
)
from tidemill.fold.audit import Span
from tidemill.fold.audit.bounds import AtOffset, AtSequence
from tidemill.fold.ledger import Entry
from tidemill.fold.snapshots import Kept, SigningKey, save
from tidemill.models.state import ModelKey
from tidemill.processors.drift.audit import Asked, replay, verify
from tidemill.testing.driver import Driver
from tidemill.testing.memory_log import MemoryLog

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tidemill.fold.audit.findings import Findings
    from tidemill.kernel.records import Message


class OtherLog(MemoryLog):
    """The topics, but for one record: with another value, or not there."""

    def __init__(self, plant: Plant, message: Message, value: bytes | None) -> None:
        super().__init__(plant.cluster)
        self._position = message.position
        self._value = value

    def read(self, topic: str, partition: int, start: int, stop: int) -> Iterator[list[Message]]:
        for messages in super().read(topic, partition, start, stop):
            yield [
                m._replace(value=self._value) if m.position == self._position else m
                for m in messages
                if m.position != self._position or self._value is not None
            ]


def flipped(value: bytes | None, bit: int) -> bytes:
    """Return a value with one bit flipped."""
    found = bytearray(value or b"")
    byte, place = divmod(bit % (8 * len(found)), 8)
    found[byte] ^= 1 << place
    return bytes(found)


@pytest.fixture(scope="module")
def plant() -> Plant:
    """Return a plant with crashes, questions and answers, and a definition that changed."""
    plant = Plant(terms(question_timeout="30s"))
    disturbed(plant, random.Random(3))
    asked = [r for r in plant.records() if r["status"] == "OPEN"]
    plant.write([answer(0, str(asked[-1]["drift_id"]), "FAULT", str(asked[-1]["asset"]))], 0)
    plant.driver.drain()
    for worker in plant.driver.instances:
        plant.driver.leave(worker)
    again = Driver(plant.cluster, partial(factory, terms(run_length=500)), batch=23)
    again.send(EVENTS, 0, b"nobody's")
    again.drain()
    return plant


def records(plant: Plant, topic: str, partition: int = 0) -> list[Message]:
    return [m for m in plant.cluster.read(topic) if m.partition == partition]


def entries(plant: Plant, partition: int = 0) -> list[Entry]:
    return [Entry.decode(m.value) for m in records(plant, DRIFT_LEDGER, partition)]


def span(plant: Plant, asked: Span, key: SigningKey | None = KEY) -> Findings:
    return replay(MemoryLog(plant.cluster), 0, key, asked=Asked(asked, REFERENCE))


def test_an_undisturbed_past_agrees(plant: Plant) -> None:
    for partition in range(2):
        report = verify(MemoryLog(plant.cluster), partition, KEY)
        assert report.findings == []
        assert report.notes == []
        assert report.counts["entries"] == len(entries(plant, partition))
        told = [m for topic in (DRIFT, UPDATES) for m in records(plant, topic, partition)]
        assert report.counts["told"] == len([m for m in told if m.headers])
        assert report.counts["inputs"] >= len(records(plant, EVENTS, partition))
        assert report.counts["snapshots"]


@pytest.mark.parametrize(
    ("topic", "kinds"),
    [
        (DRIFT_LEDGER, {"ledger-altered"}),
        (EVENTS, {"input-altered"}),
        (DRIFT, {"output-altered"}),
        (DRIFT_SNAPSHOTS, {"snapshot-refused"}),
    ],
)
def test_a_flipped_bit_is_named_with_its_record(plant: Plant, topic: str, kinds: set[str]) -> None:
    rng = random.Random(topic)
    found = [m for m in records(plant, topic) if m.value is not None]
    for message in rng.sample(found, min(6, len(found))):
        value = flipped(message.value, rng.randrange(8 * len(message.value or b"")))
        report = verify(OtherLog(plant, message, value), 0, KEY)
        first = report.findings[0]
        assert first.kind in kinds
        assert first.names(topic, message.offset)
        if topic != DRIFT_LEDGER:
            assert len(report.findings) == 1
            assert first.place.first == first.place.last == message.offset


def test_a_flipped_bit_in_what_was_asked_of_models_is_named(plant: Plant) -> None:
    """It is an output of one entry and an input of another one."""
    for message in (m for m in records(plant, UPDATES) if m.headers):
        report = verify(OtherLog(plant, message, flipped(message.value, 333)), 0, KEY)
        assert {f.kind for f in report.findings} == {"output-altered", "input-altered"}
        assert all(f.place.first == message.offset for f in report.findings)


def test_an_event_that_is_another_one_altogether_is_named(plant: Plant) -> None:
    """No bit tells it: the chains of the other assets clear all that is theirs."""
    found = records(plant, EVENTS)
    message, other = found[40], found[200]
    report = verify(OtherLog(plant, message, other.value), 0, KEY)
    (finding,) = report.findings
    assert finding.kind == "input-altered"
    assert finding.names(EVENTS, message.offset)


@pytest.mark.parametrize("topic", [DRIFT_LEDGER, EVENTS, DRIFT])
def test_what_is_gone_is_missed(plant: Plant, topic: str) -> None:
    message = records(plant, topic)[3]
    report = verify(OtherLog(plant, message, None), 0, KEY)
    kinds = {
        DRIFT_LEDGER: {"ledger-gap"},
        EVENTS: {"input-missing", "input-altered"},
        DRIFT: {"output-missing", "output-altered"},
    }
    assert report.findings[0].kind in kinds[topic]


def test_records_that_nobody_wrote_are_foreign() -> None:
    plant = Plant(terms())
    disturbed(plant, random.Random(1))
    assert verify(MemoryLog(plant.cluster), 0, KEY).findings == []
    real = next(m for m in plant.cluster.read(DRIFT) if m.partition == 0)
    record = codec("Drift").encode({**codec("Drift").decode(real.value), "status": "FAULT"})
    unnamed = plant.cluster.append(DRIFT, 0, record, key=real.key)
    named = plant.cluster.append(DRIFT, 0, record, key=real.key, headers=real.headers)

    found = verify(MemoryLog(plant.cluster), 0, KEY).findings
    assert {f.kind for f in found} == {"output-foreign"}
    assert [f.place.first for f in found] == [unnamed, named]


def test_states_of_another_key_are_refused_and_none_is_believed_without_one(plant: Plant) -> None:
    other = verify(MemoryLog(plant.cluster), 0, SigningKey(b"another".ljust(32)))
    assert {f.kind for f in other.findings} == {"snapshot-refused"}
    unsigned = verify(MemoryLog(plant.cluster), 0)
    assert unsigned.findings == []
    assert any("no signing key" in note for note in unsigned.notes)


def test_nothing_was_ever_watched() -> None:
    report = verify(MemoryLog(Plant(terms()).cluster), 1, KEY)
    assert report.findings == []
    assert report.first is None


@pytest.mark.parametrize("part", [0.1, 0.3, 0.5, 0.7, 0.9])
def test_a_span_of_the_past_is_folded_from_saved_states(plant: Plant, part: float) -> None:
    wanted = int(part * (entries(plant)[-1].sequence - 3))
    report = span(plant, Span(AtSequence(wanted), AtSequence(wanted + 3)))
    assert report.findings == []
    assert report.first is not None
    assert report.first <= wanted
    assert report.last == wanted + 3


def test_states_shorten_the_way_and_without_a_key_it_begins_at_the_genesis(plant: Plant) -> None:
    last = entries(plant)[-1].sequence
    near = span(plant, Span(AtSequence(last - 1)))
    assert near.findings == []
    assert near.first is not None
    assert near.first > 1
    far = span(plant, Span(AtSequence(last - 1)), None)
    assert (far.first, far.findings) == (0, [])
    assert far.counts["folded"] > near.counts["folded"]


def test_positions_of_every_input_bound_a_span(plant: Plant) -> None:
    entry = entries(plant)[15]
    run = entry.runs[0]
    report = span(plant, Span(None, AtOffset(run.topic, 0, run.first)))
    assert report.findings == []
    assert report.last == 15
    nowhere = span(plant, Span(AtOffset(PREDICTIONS, 0, 10_000)))
    assert nowhere.notes == ["no entry lies in this span"]


def test_a_difference_before_the_span_is_not_looked_for_and_one_in_it_is_found(
    plant: Plant,
) -> None:
    last = [e for e in entries(plant) if any(r.topic == EVENTS for r in e.runs)][-2]
    first = next(run.first for run in last.runs if run.topic == EVENTS)
    early = records(plant, EVENTS)[10]
    late = next(m for m in records(plant, EVENTS) if m.offset == first)
    asked = Asked(Span(AtSequence(last.sequence)), REFERENCE)
    other = OtherLog(plant, early, flipped(early.value, 99))
    assert replay(other, 0, KEY, asked=asked).findings == []
    assert verify(other, 0, KEY).findings
    other = OtherLog(plant, late, flipped(late.value, 99))
    (finding,) = replay(other, 0, KEY, asked=asked).findings
    assert finding.kind == "input-altered"
    assert finding.place.first == late.offset


def test_a_past_whose_beginning_is_gone_is_folded_from_states() -> None:
    plant = Plant(terms())
    disturbed(plant, random.Random(3))
    ledger = records(plant, DRIFT_LEDGER)
    cut = ledger[len(ledger) // 2]
    plant.cluster.log(DRIFT_LEDGER, 0).begin = cut.offset
    plant.cluster.log(EVENTS, 0).begin = next(
        run.first for e in entries(plant) for run in e.runs if run.topic == EVENTS
    )
    assert entries(plant)[0].sequence > 1
    report = span(plant, Span())
    assert report.findings == []
    assert report.first == entries(plant)[0].sequence + 1
    assert span(plant, Span(), None).findings[0].kind == "not-replayable"
    checked = verify(MemoryLog(plant.cluster), 0, KEY)
    assert checked.findings == []


def test_terms_that_are_retained_no_more_may_be_given() -> None:
    plant = Plant(terms())
    disturbed(plant, random.Random(3))
    ledger = records(plant, DRIFT_LEDGER)
    start = next(n for n, e in enumerate(entries(plant)) if n > 12 and not e.actions)
    plant.cluster.log(DRIFT_LEDGER, 0).begin = ledger[start].offset
    while any(entry.actions for entry in entries(plant)):
        last = records(plant, DRIFT_LEDGER)
        with_terms = next(m for m, e in zip(last, entries(plant), strict=True) if e.actions)
        plant.cluster.log(DRIFT_LEDGER, 0).begin = with_terms.offset + 1
    log = MemoryLog(plant.cluster)
    (finding,) = replay(log, 0, KEY, asked=Asked(reference=REFERENCE)).findings
    assert (finding.kind, "start once with the plant.yaml" in finding.found) == (
        "not-replayable",
        True,
    )
    given = Asked(reference=REFERENCE, known=(terms(),))
    report = replay(log, 0, KEY, asked=given)
    assert report.findings == []
    assert report.counts["entries"]


def test_other_assets_of_an_entry_are_cleared_by_their_chains() -> None:
    plant = Plant(terms())
    two = zip(events(40), events(40, seed=2, asset="south/1"), strict=True)
    plant.write([each for both in two for each in both], 0)
    plant.driver.drain()
    found = records(plant, EVENTS)
    report = verify(OtherLog(plant, found[30], found[60].value), 0, KEY)
    (finding,) = report.findings
    assert finding.names(EVENTS, 30)
    entry = next(e for e in entries(plant) if e.sequence == finding.sequence)
    applied = sum(run.last - run.first + 1 for run in entry.runs)
    named = int(finding.found.split()[3])
    assert named <= applied // 2 + 1


def test_a_last_entry_that_says_another_sum_contradicts_those_before(plant: Plant) -> None:
    message = records(plant, DRIFT_LEDGER)[-1]
    entry = Entry.decode(message.value)
    other = replace(entry, learned=entry.learned + 1).sealed().encode()
    (finding,) = verify(OtherLog(plant, message, other), 0, KEY).findings
    assert (finding.kind, finding.place.first) == ("ledger-contradicts", message.offset)


def test_a_state_that_the_ledger_does_not_know_contradicts_it() -> None:
    plant = Plant(terms())
    disturbed(plant, random.Random(1))
    entry = next(e for e in entries(plant) if e.snapshots)
    key = ModelKey.decode(entry.snapshots[0].encode())
    kept = Kept(key, entry.sequence, b"{}", bytes(32), 10_000, bytes(32))
    where = ("sample", 0)
    for record in save(kept, [], place=where, signing=KEY, chunk_bytes=1000):
        offset = plant.cluster.append(DRIFT_SNAPSHOTS, 0, record.value, key=record.key)
    found = verify(MemoryLog(plant.cluster), 0, KEY).findings
    assert (found[0].kind, found[0].place.first) == ("snapshot-contradicts", offset)
    # It stands in the place of a newer one, too.
    assert {f.kind for f in found[1:]} <= {"snapshot-missing"}


def test_a_state_that_was_announced_and_is_older_is_missed() -> None:
    plant = Plant(terms())
    disturbed(plant, random.Random(1))
    newest = {m.key: m for m in records(plant, DRIFT_SNAPSHOTS)}
    for message in newest.values():
        found = verify(OtherLog(plant, message, None), 0, KEY).findings
        assert [f.kind for f in found] == ["snapshot-missing"]
