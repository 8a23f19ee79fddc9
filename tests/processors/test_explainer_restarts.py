"""An explainer goes on from wherever it is, or says what to do when it cannot."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from fold.history import KEY, TERMS, History
from processors.ledger_reader import Reader, x_of
from tidemill.contracts.codec import codec
from tidemill.contracts.topics import EVENTS, EXPLAINER_SNAPSHOTS, EXPLANATIONS, LEDGER
from tidemill.fold.audit.starting import drained
from tidemill.fold.books import Policy
from tidemill.fold.skipping import choose, falling_skip, rebuild_what_remains, survey
from tidemill.kernel.errors import InvariantError
from tidemill.testing.plants import event_value

if TYPE_CHECKING:
    from tidemill.kernel.records import Emit

NEVER = Policy(snapshot_every=1000, anchor_every=1000)


def learn(history: History, numbers: range, asset: str = "north/1") -> None:
    values = [event_value(asset, n, x_of(n), float(n % 6)) for n in numbers]
    history.commit([[history.event(value) for value in values]])


def explained(emits: list[Emit]) -> list[dict[str, Any]]:
    made = [emit.value for emit in emits if emit.topic == EXPLANATIONS]
    return [codec("Explanation").decode(value) for value in made]


def fall(history: History) -> None:
    """Let models go back whose records are gone, as `skip --fall-back` does."""
    standing = drained(survey(history.log, 0, history.positions))
    skip = choose(standing, EVENTS, "beginning", "ann")
    remains = drained(rebuild_what_remains(history.log, standing, KEY))
    assert remains.fallen
    emits, history.positions = falling_skip(standing, skip, remains, KEY)
    history._write(emits)
    history.open(TERMS)


def test_models_that_went_back_are_followed_there() -> None:
    history = History(policy=NEVER)
    reader = Reader(history.log)
    learn(history, range(12))
    assert len(explained(reader.read())) == 12
    learn(history, range(12, 20))
    before = len(explained(reader.read()))
    history.log.forget_before(EVENTS, 15)
    fall(history)
    learn(history, range(20, 26))
    made = explained(reader.read())
    assert (before, [each["event_id"] for each in made]) == (8, [f"e{n}" for n in range(20, 26)])
    reader.open()
    learn(history, range(26, 30))
    assert len(explained(reader.read())) == 4


def test_an_explainer_too_late_for_its_inputs_halts_and_may_begin_at_the_end() -> None:
    history = History()
    reader = Reader(history.log)
    learn(history, range(6))
    reader.read()
    for start in range(6, 36, 6):
        learn(history, range(start, start + 6))
    history.log.forget_before(EVENTS, 20)
    with pytest.raises(InvariantError, match=r"must be retained to be explained.*--from-end"):
        reader.open()

    late = Reader(history.log, from_end=True, committed=reader.committed)
    assert late.read() == []
    learn(history, range(40, 44))
    made = explained(late.read())
    assert [each["version"] for each in made] == [36, 37, 38, 39]
    late.open()
    learn(history, range(44, 46))
    assert len(explained(late.read())) == 2


def test_an_explainer_whose_place_is_kept_does_not_jump_to_the_end() -> None:
    history = History()
    reader = Reader(history.log, from_end=True)
    learn(history, range(6))
    reader.read()
    learn(history, range(6, 12))
    late = Reader(history.log, from_end=True, committed=reader.committed)
    assert [each["event_id"] for each in explained(late.read())] == [f"e{n}" for n in range(6, 12)]


def test_states_of_a_retired_asset_are_forgotten() -> None:
    history = History()
    reader = Reader(history.log)
    learn(history, range(6))
    learn(history, range(6, 9), "north/2")
    reader.read()
    held = {m.key for m in history.log.topics[EXPLAINER_SNAPSHOTS] if m.value is not None}
    assert {b"pump|north/2|view", b"pump||view", b"||place"} <= held
    late = Reader(history.log, committed=reader.committed)
    assert late.task.refused == ()
    assert late.at == history.log.topics[LEDGER][-1].offset + 1
