"""The newest predictions: so many, or so much event time, over all partitions."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asking.topics import START_US, Topics, interval, prediction, put_predictions
from tidemill.contracts.codec import codec
from tidemill.contracts.topics import PREDICTIONS
from tidemill.fold.asking import recent
from tidemill.fold.asking.recent import Case, Last, recent_cases

SECOND = 1_000_000
BOTH = [0, 1]


def topics_of(*times_s: list[float]) -> Topics:
    """Return a partition for each list, with a prediction at each event time."""
    topics = Topics()
    for partition, own in enumerate(times_s):
        for n, at in enumerate(own):
            said = prediction(f"p{partition}e{n}", time=START_US + round(at * SECOND) + 1)
            put_predictions(topics, said, partition=partition)
    return topics


def names(topics: Topics, last: Last, most: int = 1000) -> list[str]:
    return [case.event_id for case in recent_cases(topics, BOTH, last, most=most).cases]


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recent, "CHUNK", 4)


@given(
    st.lists(st.integers(0, 60), max_size=30).map(sorted),
    st.lists(st.integers(0, 60), max_size=30).map(sorted),
    st.integers(0, 70),
)
def test_a_span_of_event_time_ends_at_the_newest_of_all_partitions(
    one: list[float], other: list[float], span_s: int
) -> None:
    topics = topics_of(one, other)
    newest = max([*one, *other], default=0)

    assert names(topics, Last(micros=span_s * SECOND)) == [
        f"p{partition}e{n}"
        for partition, times in enumerate((one, other))
        for n, at in enumerate(times)
        if at >= newest - span_s
    ]


def test_times_that_run_back_a_little_are_found_inside_the_range() -> None:
    topics = topics_of([0, 50, 52, 30, 51, 53, 55], [])

    assert names(topics, Last(micros=10 * SECOND)) == [f"p0e{n}" for n in (1, 2, 4, 5, 6)]


@given(st.integers(1, 30))
def test_a_number_of_predictions_are_those_written_last(count: int) -> None:
    topics = topics_of([1.0] * 12, [2.0] * 9)
    written = sorted(
        (message.timestamp_ms, partition, message.offset, f"p{partition}e{n}")
        for partition in BOTH
        for n, message in enumerate(topics.records[PREDICTIONS, partition])
    )

    assert sorted(names(topics, Last(events=count))) == sorted(w[-1] for w in written[-count:])


def test_what_cannot_be_held_is_left_out_and_said() -> None:
    topics = topics_of([float(n) for n in range(20)], [19.0])

    found = recent_cases(topics, BOTH, Last(micros=100 * SECOND), most=20)
    assert [case.event_id for case in found.cases] == [*(f"p0e{n}" for n in range(10, 20)), "p1e0"]
    assert found.is_cut
    by_count = recent_cases(topics, BOTH, Last(events=50), most=7)
    assert (len(by_count.cases), by_count.is_cut) == (7, True)
    assert not recent_cases(topics, BOTH, Last(events=5)).is_cut


def test_nothing_predicted_is_an_empty_range() -> None:
    found = recent_cases(Topics(), BOTH, Last(micros=SECOND))

    assert (found.cases, found.is_cut, found.since_ms) == ((), False, 0)
    assert recent_cases(Topics(), BOTH, Last(events=3)).cases == ()


def test_a_case_is_what_the_prediction_says() -> None:
    topics = Topics()
    topics.put(PREDICTIONS, b"\x00nothing")
    said = prediction("e1", interval=interval(0.5, 2.0), quality=["MISSING"], class_set=["a"])
    put_predictions(topics, said)
    put_predictions(topics, prediction("e2", quality=["MISSING", "LATE"]))

    first, second = recent_cases(topics, [0], Last(events=9)).cases

    assert (first.event_id, first.value, first.width, first.class_set) == ("e1", 1.0, 1.5, ["a"])
    assert str(first.source) == "sensor.events-0@1"
    assert first.is_learnable
    assert not second.is_learnable
    assert second.width is None
    assert set(Case._fields) & set(
        codec("Prediction").decode(topics.records[PREDICTIONS, 0][1].value)
    ) >= {"event_id", "asset", "stream", "model", "version", "probabilities", "outcome"}
