"""What changes in a plant while it is explained: assets that go and return, units, lost records."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from fold.history import KEY, TERMS, History
from processors.ledger_reader import Reader, x_of
from tidemill.contracts.codec import codec
from tidemill.contracts.topics import EVENTS, EXPLAINER_SNAPSHOTS, EXPLANATIONS
from tidemill.fold.audit.starting import drained
from tidemill.fold.retiring import Leaving, prepare
from tidemill.fold.retiring import retire as retire_asset
from tidemill.kernel.errors import InvariantError
from tidemill.models.state import ModelKey
from tidemill.testing.plants import event_value, sample_terms

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tidemill.kernel.records import Emit

NEW = ModelKey("pump", "north/9", "view")
FLAGGED = {"vibration": 0.1, "temperature": 5000.0, "flow": 0.1}


def learn(history: History, numbers: Iterable[int], asset: str = "north/1") -> None:
    values = [event_value(asset, n, x_of(n), float(n % 6)) for n in numbers]
    history.commit([[history.event(value) for value in values]])


def send_flagged(history: History, numbers: Iterable[int], asset: str) -> None:
    """Send events that are predicted and teach nothing."""
    values = [event_value(asset, n, FLAGGED, 1.0) for n in numbers]
    history.commit([[history.event(value) for value in values]])


def retire(history: History, asset: str) -> None:
    leaving = Leaving(asset, "ann", None)
    plan = drained(prepare(history.log, 0, history.positions, leaving=leaving, signing=KEY))
    emits, positions = retire_asset(plan, KEY)
    history._write(emits)
    history.positions = dict(positions)
    history.open(TERMS)


def told(emits: Iterable[Emit]) -> list[dict[str, Any]]:  # Any: Avro values
    made = [emit.value for emit in emits if emit.topic == EXPLANATIONS]
    return [codec("Explanation").decode(value) for value in made]


@pytest.mark.parametrize("restarts", [False, True])
@pytest.mark.parametrize("most", [1, 9])
def test_an_asset_that_was_retired_and_returns_is_explained_as_the_new_one_it_is(
    restarts: bool, most: int
) -> None:
    history = History()
    reader = Reader(history.log)
    learn(history, range(6))
    learn(history, range(6, 12), "north/9")
    reader.read()
    retire(history, "north/9")
    send_flagged(history, range(20, 23), "north/9")
    for _ in range(4):
        reader.read(most)
        if restarts:
            reader.open()
    if restarts:
        reader.open()
    learn(history, range(30, 33), "north/9")
    assert [each["version"] for each in told(reader.read())] == [7, 8, 9]
    reader.open()
    assert reader.task.mirror.views[NEW].importance.explanations == 6


@pytest.mark.parametrize("restarts", [False, True])
def test_the_view_of_an_asset_outlives_the_retirement_of_another(restarts: bool) -> None:
    history = History()
    reader = Reader(history.log)
    learn(history, range(6))
    learn(history, range(6, 9), "north/2")
    send_flagged(history, range(10, 14), "north/9")
    learn(history, range(20, 30))
    reader.read()
    if restarts:
        reader.open()
    retire(history, "north/2")
    send_flagged(history, range(40, 44), "north/9")
    reader.read()
    assert reader.task.mirror.views[NEW].importance.explanations == 8


@pytest.mark.parametrize("restarts", [False, True])
def test_a_unit_that_was_changed_is_told_from_then_on(restarts: bool) -> None:
    before, after = (
        sample_terms(stream={"features": {"vibration": {"unit": unit}, "flow": {}}})
        for unit in ("mm/s", "in/s")
    )
    history = History(before)
    reader = Reader(history.log, before)
    learn(history, range(6))
    reader.read()
    history.open(after)
    if restarts:
        reader.open()
    learn(history, range(6, 8))
    units = [each["attributions"][0]["unit"] for each in told(reader.read())]
    assert units == ["in/s", "in/s"]


def test_a_bag_of_naive_bayes_is_measured_from_what_it_learned() -> None:
    bag = [{"ensemble.BaggingClassifier": {"model": "naive_bayes.GaussianNB"}}]
    terms = sample_terms(bag, kind="binary")
    history = History(terms)
    reader = Reader(history.log, terms)
    for start in (0, 6, 12, 18):
        values = [event_value("north/1", n, x_of(n), n % 2 == 0) for n in range(start, start + 6)]
        history.commit([[history.event(value) for value in values]])
    last = told(reader.read())[-1]
    assert last["reference"]["n"] == 23
    assert any(part["attribution"] != 0.0 for part in last["attributions"])


def test_a_record_nobody_can_use_doubles_nothing_though_the_offsets_have_expired() -> None:
    history = History()
    reader = Reader(history.log)
    learn(history, range(6))
    learn(history, range(6, 12))
    reader.read()
    forged = codec("Snapshot").decode(history.log.topics[EXPLAINER_SNAPSHOTS][-1].value)
    value = codec("Snapshot").encode({**forged, "signature": b"x" * 32})
    for name in (b"pump|gone|pump/champion", b"pump|north/1|pump/plain"):
        history.log.append(EXPLAINER_SNAPSHOTS, value, key=name)
    learn(history, range(12, 18))
    again = Reader(history.log, committed=None)
    again.read()
    explained = [codec("Explanation").decode(m.value) for m in history.log.topics[EXPLANATIONS]]
    assert Counter(each["event_id"] for each in explained) == {f"e{n}": 1 for n in range(18)}
    third = Reader(history.log, committed=again.committed)
    view = ModelKey("pump", "north/1", "view")
    assert third.task.mirror.views[view].importance.explanations == 6


def test_without_a_place_and_an_offset_nothing_is_explained_again() -> None:
    history = History()
    reader = Reader(history.log)
    learn(history, range(6))
    reader.read()
    history.log.topics[EXPLAINER_SNAPSHOTS].clear()
    with pytest.raises(InvariantError, match=r"neither a place in explainer\.snapshots nor"):
        Reader(history.log)
    learn(history, range(6, 9))
    assert Reader(history.log, from_end=True).read() == []


def test_a_gap_is_not_passed_over_unasked() -> None:
    history = History()
    reader = Reader(history.log)
    learn(history, range(6))
    reader.read()
    for start in range(6, 48, 6):
        learn(history, range(start, start + 6))
    history.log.forget_before(EVENTS, 30)
    history.log.topics[EXPLAINER_SNAPSHOTS].clear()
    with pytest.raises(InvariantError, match="must be retained to be explained"):
        Reader(history.log, committed=reader.committed)
    late = Reader(history.log, committed=reader.committed, from_end=True)
    learn(history, range(48, 50))
    assert [each["event_id"] for each in told(late.read())] == ["e48", "e49"]
