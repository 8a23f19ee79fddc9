"""The tally balances, and scores each case once its truth is known: at once, later, or never."""

from __future__ import annotations

import math

import pytest

from demo.given import ASSET, prediction, reading
from tidemill.contracts.stream import Feature, Step, StreamDefinition, TimeField
from tidemill.contracts.targets import AheadTarget, FieldTarget, LabelTarget, Target
from tidemill.demo.scores import AnomalyScore, ClassScore, RegressionScore, Score
from tidemill.demo.tally import Tally
from tidemill.demo.truths import truths_of


def stream(target: Target | None) -> StreamDefinition:
    return StreamDefinition(
        name="s",
        event="plant.Reading",
        asset="asset",
        time=TimeField(field="time"),
        features=(Feature(name="load", low=0.0, high=100.0),),
        target=target,
        champion=(Step(name="linear_model.LinearRegression"),),
        seed=1,
    )


def tally(score: type[Score], target: Target | None) -> Tally:
    return Tally(score, truths_of(stream(target)))


KNOWN = FieldTarget(name="load", kind="regression")
LATE = LabelTarget(name="load", kind="regression", ttl_s=60.0)
AFTER_10_S = AheadTarget(field="load", after_s=10.0)


def test_a_second_prediction_or_one_of_nothing_is_doubled() -> None:
    books = tally(RegressionScore, KNOWN)
    books.note_sent(reading(1, 5.0))
    books.note_prediction(prediction(1, 4.0))
    assert books.is_balanced
    books.note_prediction(prediction(1, 4.0))
    books.note_prediction(prediction(2, 4.0))

    assert (books.doubled, books.is_balanced) == (2, False)


def test_a_second_prediction_is_doubled_while_the_label_is_awaited_too() -> None:
    books = tally(RegressionScore, LATE)
    books.note_sent(reading(1, is_sampled=True))
    for _ in range(2):
        books.note_prediction(prediction(1, 4.0))

    assert books.doubled == 1


def test_an_event_without_an_answer_keeps_the_balance_open() -> None:
    books = tally(RegressionScore, KNOWN)
    for number in (1, 2):
        books.note_sent(reading(number, 5.0))
    books.note_prediction(prediction(1, 4.0))
    assert (books.open, books.is_balanced, books.is_settled) == (1, False, False)
    books.note_dead("undecodable")

    assert (books.open, books.is_balanced, books.is_settled) == (0, True, True)


def test_a_case_is_scored_when_its_label_comes_and_awaits_it_until_then() -> None:
    books = tally(RegressionScore, LATE)
    books.note_sent(reading(1, is_sampled=True))
    books.note_sent(reading(2))
    for number in (1, 2):
        books.note_prediction(prediction(number, 4.0))
    sampled, other = books.last
    assert (sampled.is_awaited, other.is_awaited) == (True, False)
    assert books.assets[ASSET].cells()[0] == "0"
    books.note_truth("e1", 6.0)

    assert books.assets[ASSET].cells() == ("1", "2.00", "6.00", "33%")
    assert (sampled.truth, sampled.is_awaited) == (6.0, False)


def test_a_truth_before_its_prediction_is_scored_with_it() -> None:
    books = tally(RegressionScore, LATE)
    books.note_sent(reading(1, is_sampled=True))
    books.note_truth("e1", 6.0)
    books.note_prediction(prediction(1, 4.0))

    assert books.assets[ASSET].cells()[:2] == ("1", "2.00")


def scored_ahead(*loads: tuple[float, float | None]) -> tuple[str, ...]:
    """Return the cells after readings (time in s, load), each predicted as 1 more than its load."""
    books = tally(RegressionScore, AFTER_10_S)
    for number, (time_s, load) in enumerate(loads):
        books.note_sent(reading(number, time_s=time_s, load=load))
        books.note_prediction(prediction(number, (load or 0.0) + 1.0))
    return books.assets[ASSET].cells()


def test_the_first_reading_at_or_after_the_distance_is_the_truth_and_naive_is_no_change() -> None:
    assert scored_ahead((0, 5.0), (9.9, 50.0)) == ("0", "0.00", "0.00", "-")
    assert scored_ahead((0, 5.0), (10, 8.0), (11, 50.0)) == ("1", "2.00", "3.00", "67%")


def test_a_gap_longer_than_twice_the_distance_has_no_truth() -> None:
    assert scored_ahead((0, 5.0), (20, 8.0))[0] == "1"
    assert scored_ahead((0, 5.0), (20.1, 8.0))[0] == "0"


@pytest.mark.parametrize("load", [None, math.nan, 100.1, -0.1])
def test_a_later_reading_at_fault_is_no_truth(load: float | None) -> None:
    assert scored_ahead((0, 5.0), (10, load), (11, 6.0))[0] == "0"


def test_a_broken_reading_is_neither_awaited_nor_a_truth() -> None:
    books = tally(RegressionScore, AFTER_10_S)
    books.note_sent(reading(0, time_s=0, load=5.0))
    books.note_prediction(prediction(0, 6.0))
    books.note_sent(reading(1, time_s=10, load=9.0, is_broken=True))
    books.note_sent(reading(2, time_s=11, load=7.0))

    assert books.assets[ASSET].cells()[:2] == ("1", "1.00")


def test_a_number_of_events_ahead_counts_those_of_the_asset() -> None:
    books = tally(RegressionScore, AheadTarget(field="load", after_events=2))
    for number, load in enumerate((1.0, 2.0, 4.0)):
        books.note_sent(reading(number, load=load))
        books.note_prediction(prediction(number, 1.0))

    assert books.assets[ASSET].cells() == ("1", "3.00", "3.00", "100%")


def test_the_naive_model_of_a_number_is_the_mean_of_the_past() -> None:
    books = tally(RegressionScore, KNOWN)
    for number, truth in enumerate((2.0, 4.0, 9.0)):
        books.note_sent(reading(number, truth))
        books.note_prediction(prediction(number, truth))
    naive = (6.0 + 0.98 * (2.0 + 0.98 * 2.0)) / (1 + 0.98 * (1 + 0.98))

    assert books.assets[ASSET].cells() == ("3", "0.00", f"{naive:.2f}", "0%")


def test_classes_are_scored_by_log_loss_beside_their_frequencies() -> None:
    books = tally(ClassScore, FieldTarget(name="v", kind="multiclass"))
    for number, (truth, given) in enumerate((("ok", {}), ("ok", {"ok": 0.8, "bad": 0.2}))):
        books.note_sent(reading(number, truth))
        likeliest = max(given, key=given.__getitem__) if given else None
        books.note_prediction(prediction(number, probabilities=given, outcome=likeliest))
    model = (-math.log(0.8) - 0.98 * math.log(1e-6)) / 1.98
    naive = (-math.log(2 / 3) - 0.98 * math.log(1 / 1)) / 1.98

    cells = books.assets[ASSET].cells()
    assert cells[:3] == ("2", f"{model:.2f}", f"{naive:.2f}")
    assert cells[4] == "50.0%"


def test_truth_values_are_classes_by_their_keys() -> None:
    books = tally(ClassScore, FieldTarget(name="v", kind="binary", classes=("false", "true")))
    books.note_sent(reading(1, truth=True))
    given = {"true": 0.9, "false": 0.1}
    books.note_prediction(prediction(1, probabilities=given, outcome="true"))

    assert books.assets[ASSET].cells()[4] == "100.0%"


def test_alarms_are_counted_beside_the_planted_faults_they_met() -> None:
    books = tally(AnomalyScore, None)
    cases = ((False, "false"), (False, "true"), (True, "true"), (True, "false"), (True, "true"))
    for number, (truth, outcome) in enumerate(cases):
        books.note_sent(reading(number, truth))
        books.note_prediction(prediction(number, 0.5, outcome=outcome))

    assert books.assets[ASSET].cells() == ("5", "0.50", "3", "2", "3")


def test_what_is_true_once_stays_true() -> None:
    books = tally(RegressionScore, LATE)
    books.note_sent(reading(1, is_sampled=True))
    for truth in (6.0, 60.0):
        books.note_truth("e1", truth)
    books.note_prediction(prediction(1, 4.0))

    assert books.assets[ASSET].cells()[:2] == ("1", "2.00")
