"""What corrections concern is found without reading more updates than it takes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from fold.corrected import OTHER, Corrected, terms_of
from fold.history import KEY, ListLog
from fold.plain_order import Plain
from fold.test_refolding import check_later
from tidemill.contracts.topics import EVENTS, UPDATES
from tidemill.fold.audit import replay
from tidemill.processors.learner.correcting import Allowance
from tidemill.testing.plants import LINEAR

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tidemill.kernel.records import Message

STEP = 8


@pytest.fixture(autouse=True)
def _small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tidemill.fold.concerning.FIRST_STEP", STEP)
    monkeypatch.setattr("tidemill.fold.concerning.TOGETHER", STEP)


def others(plant: Corrected, count: int) -> None:
    """Let another asset of the partition learn many examples."""
    for _ in range(count // 20):
        plant.apply([plant.example(asset=OTHER) for _ in range(20)], plant.events(2))


def place(event: Message) -> dict[str, object]:
    return {"topic": event.topic, "partition": event.partition, "offset": event.offset}


def predicted(plant: Corrected, count: int) -> Message:
    """Let so many events be predicted; return the last one."""
    events = plant.events(count)
    plant.apply(events)
    return events[-1]


def updates_read(plant: Corrected, monkeypatch: pytest.MonkeyPatch) -> int:
    """Put in force what waits; return how many updates were read for it."""
    count = 0
    plain = ListLog.read

    def read(log: ListLog, topic: str, *where: int) -> Iterator[list[Message]]:
        nonlocal count
        for messages in plain(log, topic, *where):
            count += len(messages) if topic == UPDATES else 0
            yield messages

    with monkeypatch.context() as patch:
        patch.setattr(ListLog, "read", read)
        plant.correct()
    return count


@pytest.mark.parametrize("older", [100, 1_000])
def test_a_new_label_is_revised_without_reading_the_old_updates(
    older: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant = Corrected(terms_of(LINEAR))
    others(plant, older)
    event = predicted(plant, 30)
    late, said = plant.example(event_id="new", event=place(event)), plant.example("f")
    plant.apply([late, said], plant.events(2))
    others(plant, 20)
    revision = plant.revision("new", 3.0, event=place(event))
    plant.apply([revision])
    assert updates_read(plant, monkeypatch) <= 12 * STEP
    plant.apply([plant.say("RETRACT", "r", target_id="f")])
    assert updates_read(plant, monkeypatch) <= 16 * STEP
    since = plant.log.ends[EVENTS]
    plant.apply(plant.events(9))
    edits = {late.offset: revision.value, revision.offset: None, said.offset: None}
    check_later(plant, Plain(plant.terms, edits=edits), since)
    assert replay(plant.log, 0, KEY).findings == []


@pytest.mark.parametrize("between", [0, 40, 200])
def test_a_revision_of_a_revision_begins_before_the_first_label(between: int) -> None:
    plant = Corrected(terms_of(LINEAR))
    others(plant, 100)
    first = plant.example(event_id="late")
    plant.apply([first], plant.events(12))
    others(plant, between)
    older = plant.revision("late", 1.0, 1)
    plant.apply([older], plant.events(12))
    plant.correct()
    others(plant, between)
    newest = plant.revision("late", 2.0, 2)
    plant.apply([newest], plant.events(3))
    plant.correct()
    since = plant.log.ends[EVENTS]
    plant.apply(plant.events(9))
    edits = {first.offset: newest.value, older.offset: None, newest.offset: None}
    check_later(plant, Plain(plant.terms, edits=edits), since)
    assert replay(plant.log, 0, KEY).findings == []


def test_a_label_that_its_revision_overtook_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    plant = Corrected(terms_of(LINEAR))
    others(plant, 400)
    event = predicted(plant, 9)
    newest = plant.revision("late", 2.0, event=place(event))
    first = plant.example(event_id="late", event=place(event))
    plant.apply([newest, first], plant.events(12))
    assert updates_read(plant, monkeypatch) <= 20 * STEP
    assert len(plant.actions("swap")) == 1
    since = plant.log.ends[EVENTS]
    plant.apply(plant.events(9))
    check_later(plant, Plain(plant.terms, edits={first.offset: None}), since)


def test_a_label_is_found_beyond_what_somebody_else_said_of_the_same_event() -> None:
    plant = Corrected(terms_of(LINEAR))
    event = predicted(plant, 12)
    first = plant.example(event_id="late", event=place(event))
    plant.apply([first], plant.events(12))
    learned = plant.entries()[-1].sequence
    others(plant, 100)
    plant.apply(plant.events(12))
    plant.apply([plant.example("f", event_id="late", event=place(event))], plant.events(12))
    others(plant, 100)
    plant.apply([plant.revision("late", 2.0, event=place(event))], plant.events(2))
    plant.correct()
    (swap,) = plant.actions("swap")
    assert int(swap["base"]) < learned
    assert replay(plant.log, 0, KEY).findings == []


def test_what_lies_before_every_base_is_compensated_not_half_corrected() -> None:
    plant = Corrected(terms_of(LINEAR), allowance=Allowance(events=60))
    plant.apply([plant.example(event_id="late")], plant.events(12))
    for _ in range(12):
        plant.apply(plant.events(12))
    plant.apply([plant.example()], plant.events(2))
    others(plant, 40)
    plant.apply([plant.revision("late", 1.0, 1)], plant.events(2))
    plant.correct()
    plant.apply([plant.revision("late", 2.0, 2)], plant.events(2))
    plant.correct()
    assert [action["kind"] for action in plant.actions("compensate")] == ["allowance"] * 2
    assert plant.actions("swap") == []
    assert replay(plant.log, 0, KEY).findings == []
