"""What contradicts the ledger halts the explainer, with its position and both values."""

from __future__ import annotations

import pytest

from fold.history import TERMS, History, with_flipped_bit
from processors.ledger_reader import Reader, small_history, x_of
from tidemill.contracts.codec import codec
from tidemill.contracts.topics import EVENTS, EXPLAINER_SNAPSHOTS, LEDGER, PREDICTIONS, SNAPSHOTS
from tidemill.kernel.errors import DependencyUnavailableError, InvariantError
from tidemill.models.outputs import Regression
from tidemill.testing.plants import event_value, sample_terms


def test_a_flipped_bit_in_an_event_is_named_with_both_values() -> None:
    log = small_history().log
    event = log.topics[EVENTS][8]
    spoiled = log.copy()
    spoiled.put(event._replace(value=event_value("north/1", 8, {**x_of(8), "flow": 0.75}, 2)))

    with pytest.raises(InvariantError) as raised:
        Reader(spoiled).read()
    said = str(raised.value)
    assert "ledger entry 2 of partition 0 (sensor.events-0 6 to 11)" in said
    assert "the prediction on sensor.events-0@8, model.predictions-0@9, differs: value is" in said
    prediction = codec("Prediction").decode(log.topics[PREDICTIONS][8].value)
    assert f"value is {prediction['value']!r} there and " in said


def test_a_label_that_was_altered_shows_in_the_models() -> None:
    log = small_history().log
    spoiled = log.copy()
    spoiled.put(log.topics[EVENTS][23]._replace(value=event_value("north/1", 23, x_of(23), 9)))

    with pytest.raises(InvariantError, match=r"entry 4 .*inputs are not those .*model pump.north"):
        Reader(spoiled).read()


def test_another_library_shows_in_the_first_prediction_that_differs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    log = small_history().log
    reader = Reader(log)
    reader.read(3)
    honest = Regression.ask
    monkeypatch.setattr(
        Regression,
        "ask",
        lambda self, pipeline, x: (answer := honest(self, pipeline, x))._replace(
            value=None if answer.value is None else answer.value * (1 + 2**-52)
        ),
    )
    with pytest.raises(InvariantError, match=r"entry 3 .*sensor\.events-0@12, .*value is"):
        reader.read()


@pytest.mark.parametrize("topic", [EXPLAINER_SNAPSHOTS, SNAPSHOTS])
def test_a_flipped_bit_in_a_saved_state_is_refused_and_the_state_folded_again(topic: str) -> None:
    calm, log = Reader(small_history().log), small_history().log
    expected = [emit.value for emit in calm.read()]
    reader = Reader(log)
    made = [emit.value for emit in reader.read(3)]
    newest = {message.key: message for message in log.topics[topic]}
    message = next(m for key, m in newest.items() if key and key.endswith(b"champion"))
    reader.log = with_flipped_bit(log, message, 8 * 150)
    reader.open()
    made += [emit.value for emit in reader.read()]
    assert made == expected
    if topic == EXPLAINER_SNAPSHOTS:
        assert [refused.position for refused in reader.task.refused] == [str(message.position)]


def test_an_entry_that_was_removed_is_missed() -> None:
    log = small_history().log
    log.remove(log.topics[LEDGER][2])
    with pytest.raises(InvariantError, match="ledger entry must follow 1"):
        Reader(log).read()


def test_offsets_that_lie_too_far_back_are_asked_for_again() -> None:
    reader = Reader(small_history().log)
    reader.read()
    told, reader.committed = reader.committed, 2
    with pytest.raises(DependencyUnavailableError, match="must not lie before what was explained"):
        reader.open()

    reader.committed = told
    reader.open()
    assert reader.read() == []


def test_an_explainer_from_the_end_begins_with_the_models_as_they_are() -> None:
    history = small_history()
    reader = Reader(history.log, from_end=True)
    assert reader.read() == []
    reader.open()
    events = [history.event(event_value("north/1", 30 + n, x_of(n), 1.0)) for n in range(3)]
    history.commit([events])
    made = [codec("Explanation").decode(emit.value) for emit in reader.read()]
    assert [explanation["event_id"] for explanation in made] == ["e30", "e31", "e32"]
    assert [explanation["version"] for explanation in made] == [24, 25, 26]


def test_a_changed_definition_is_followed_and_its_old_states_are_forgotten() -> None:
    history = History()
    reader = Reader(history.log)
    other = sample_terms(["linear_model.LinearRegression"])
    for n, terms in enumerate((TERMS, other, TERMS)):
        history.open(terms, redefines=True)
        history.commit([[history.event(event_value("north/1", n, x_of(n), float(n)))]])
        made = reader.read()
        reader.open()
        assert len(made) == 1
    held = {}
    for message in history.log.topics[EXPLAINER_SNAPSHOTS]:
        held[message.key] = message.value
    assert {key for key, value in held.items() if value is None} == set()
