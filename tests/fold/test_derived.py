"""Derived features equal those computed over all past readings."""

from __future__ import annotations

import math
import random
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tidemill.fold.derived import MOST_READINGS, Derived, DerivedFeature
from tidemill.kernel.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tidemill.fold.derived import Kind

S = 1_000_000
KINDS: tuple[Kind, ...] = ("mean", "min", "max", "sd", "count", "slope")
WINDOWS = [
    DerivedFeature(f"{sensor}_{kind}_{seconds}", sensor, kind, duration_us=seconds * S)
    for sensor, seconds in (("a", 5), ("a", 30), ("b", 12))
    for kind in KINDS
]
LAGS = [
    DerivedFeature("a_1", "a", "lag", events=1),
    DerivedFeature("a_4", "a", "lag", events=4),
    DerivedFeature("a_7s", "a", "lag", duration_us=7 * S),
    DerivedFeature("b_20s", "b", "lag", duration_us=20 * S),
]
FEATURES = [*LAGS[:2], *WINDOWS, *LAGS[2:]]

READING = st.none() | st.floats(-1e50, 1e50) | st.sampled_from([math.nan, math.inf, -math.inf])
EVENT = st.tuples(
    st.integers(-3 * S, 9 * S) | st.sampled_from([0, 5 * S, 7 * S, 100 * S]),
    st.fixed_dictionaries({}, optional={"a": READING, "b": READING}),
)
Event = tuple[int, dict[str, Any]]


def over_all(feature: DerivedFeature, past: Sequence[Event], event: Event) -> float | None:
    """Compute one feature from all readings so far, by its definition."""
    time_us, _ = event
    known = [(t, x[feature.sensor]) for t, x in past if _is_number(x.get(feature.sensor))]
    if feature.events is not None:
        return known[-feature.events][1] if len(known) >= feature.events else None
    assert feature.duration_us is not None
    until = time_us - feature.duration_us
    if feature.kind == "lag":
        old = [value for t, value in known if t <= until]
        return old[-1] if old else None
    known += [(t, x[feature.sensor]) for t, x in [event] if _is_number(x.get(feature.sensor))]
    inside = [(t, value) for t, value in known if t > until]
    return statistic(feature.kind, inside)


def statistic(kind: str, inside: Sequence[tuple[int, float]]) -> float | None:
    """Return a statistic in rational numbers, rounded once."""
    values, count = [Fraction(value) for _, value in inside], len(inside)
    if kind == "count":
        return float(count)
    if not count:
        return None
    mean = sum(values) / count
    simple = {"mean": mean, "min": min(values), "max": max(values)}
    if kind in simple:
        return float(simple[kind])
    if kind == "sd":
        return math.sqrt(sum((v - mean) ** 2 for v in values) / (count - 1)) if count > 1 else None
    times = [Fraction(t, S) for t, _ in inside]
    middle = sum(times) / count
    below = sum((t - middle) ** 2 for t in times)
    above = sum((t - middle) * v for t, v in zip(times, values, strict=True))
    return float(above / below) if below else None


def _is_number(value: object) -> bool:
    return isinstance(value, float) and abs(value) <= 1e50


def stream(seed: int, count: int) -> list[Event]:
    """Readings about once a second, some missing, some events late."""
    rng = random.Random(seed)
    time_us, events = 1_700_000_000 * S, []
    for _ in range(count):
        time_us += rng.choice([0, S // 3, S, 2 * S])
        x = {name: rng.gauss(50, 10) for name in "ab" if rng.random() < 0.9}
        late = rng.random() < 0.05
        events.append((time_us - 20 * S if late else time_us, x))
    return events


@settings(deadline=None)
@given(st.lists(EVENT, max_size=40))
def test_each_feature_is_what_all_readings_in_order_say(steps: list[Event]) -> None:
    derived = Derived(FEATURES)
    past: list[Event] = []
    clock = 1_700_000_000 * S
    for step, x in steps:
        event = (clock + step, x)
        found = derived.update(*event)
        if past and step < 0:
            continue
        clock = event[0]
        expected = {f.name: over_all(f, past, event) for f in FEATURES}
        assert found == pytest.approx({k: v for k, v in expected.items() if v is not None})
        past.append(event)


def test_statistics_are_rounded_once_however_long_the_stream() -> None:
    features = [DerivedFeature(kind, "a", kind, duration_us=40 * S) for kind in KINDS]
    derived = Derived(features)
    rng = random.Random(5)
    events = [(n * S, {"a": rng.gauss(1e9, 1e-3)}) for n in range(20_000)]
    events[9_000] = (9_000 * S, {"a": 1e50})
    for event in events:
        found = derived.update(*event)
    inside = [(t, x["a"]) for t, x in events[-40:]]
    assert found == {kind: statistic(kind, inside) for kind in KINDS}


def test_statistics_are_those_of_numpy() -> None:
    derived = Derived([DerivedFeature(k, "a", k, duration_us=100 * S) for k in KINDS])
    rng = random.Random(6)
    values = [rng.gauss(70, 3) for _ in range(300)]
    for n, value in enumerate(values):
        found = derived.update(n * S, {"a": value})
    last = np.array(values[-100:])
    slope = np.polynomial.Polynomial.fit(np.arange(100.0), last, 1).convert().coef[1]
    expected = [last.mean(), last.min(), last.max(), last.std(ddof=1), 100.0, slope]
    assert list(found) == list(KINDS)
    assert list(found.values()) == pytest.approx(expected)


def test_a_late_event_enters_nothing_and_is_given_what_stands() -> None:
    events = stream(1, 400)
    newest = 0
    calm, disturbed = Derived(FEATURES), Derived(FEATURES)
    for time_us, x in events:
        if time_us < newest:
            continue
        newest = time_us
        assert disturbed.update(time_us, x) == calm.update(time_us, x)
        before = disturbed.dump()
        late = disturbed.update(time_us - 1, {"a": 1e9, "b": -1e9})
        assert late == disturbed.standing()
        assert disturbed.dump() == before
        assert all(abs(value) < 1e6 for value in late.values())


@settings(deadline=None)
@given(st.integers(0, 149))
def test_a_restore_anywhere_changes_no_feature(cut: int) -> None:
    events = stream(2, 150)
    calm, taken = Derived(FEATURES), Derived(FEATURES)
    for n, event in enumerate(events):
        if n == cut:
            taken = Derived(FEATURES)
            taken.load(calm.dump())
            assert taken.dump() == calm.dump()
        found = calm.update(*event)
        if n >= cut:
            assert taken.update(*event) == found
            assert list(taken.update(0, {})) == list(calm.update(0, {}))
    assert taken.dump() == calm.dump()


def test_a_reading_held_back_enters_after_its_event() -> None:
    features = [
        DerivedFeature("flow_mean", "flow", "mean", duration_us=10 * S),
        DerivedFeature("heat_mean", "heat", "mean", duration_us=10 * S),
        DerivedFeature("flow_1", "flow", "lag", events=1),
    ]
    derived = Derived(features, held_back=["flow"])
    assert derived.update(0, {"flow": 4.0, "heat": 1.0}) == {"heat_mean": 1.0}
    found = derived.update(S, {"flow": 8.0, "heat": 3.0})
    assert list(found.items()) == [("flow_mean", 4.0), ("heat_mean", 2.0), ("flow_1", 4.0)]
    assert derived.update(10 * S, {}) == {"flow_mean": 8.0, "heat_mean": 3.0, "flow_1": 8.0}


def test_features_of_one_window_share_its_readings() -> None:
    shared = Derived([DerivedFeature(k, "a", k, duration_us=60 * S) for k in KINDS])
    for n in range(100):
        shared.update(n * S, {"a": float(n)})
    _, sources = shared.dump()
    assert [(key, len(packed)) for key, _, packed in sources] == [(("a", "window", 60 * S), 960)]


def test_the_cap_forgets_the_oldest_and_is_told() -> None:
    features = [
        DerivedFeature("mean", "a", "mean", duration_us=1_000 * S),
        DerivedFeature("min", "a", "min", duration_us=1_000 * S),
        DerivedFeature("lag", "a", "lag", duration_us=8 * S),
        DerivedFeature("far", "a", "lag", duration_us=30 * S),
    ]
    derived = Derived(features, cap=10)
    for n in range(50):
        found = derived.update(n * S, {"a": float(n)})
    assert found == {"mean": 44.5, "min": 40.0, "lag": 41.0}
    assert derived.drops == 40 + 40
    again = Derived(features, cap=10)
    again.load(derived.dump())
    assert again.drops == derived.drops
    assert again.update(50 * S, {"a": 50.0}) == derived.update(50 * S, {"a": 50.0})


def test_the_state_stops_growing() -> None:
    derived = Derived([DerivedFeature("mean", "a", "mean", duration_us=10**15)])
    for n in range(3 * MOST_READINGS):
        derived.update(n, {"a": 1.0})
    _, ((_, drops, packed),) = derived.dump()
    assert len(packed) == 16 * MOST_READINGS
    assert drops == 2 * MOST_READINGS


def test_a_changed_definition_keeps_the_readings_of_what_stays() -> None:
    old = Derived([LAGS[0], LAGS[2]])
    for n in range(20):
        old.update(n * S, {"a": float(n), "b": 1.0})
    new = Derived([LAGS[3], LAGS[2]])
    new.load(old.dump())
    assert new.update(20 * S, {"a": 20.0, "b": 1.0}) == {"a_7s": 13.0}


def test_whole_numbers_and_truth_values_are_readings_and_texts_are_not() -> None:
    derived = Derived([DerivedFeature("m", "a", "mean", duration_us=S)])
    assert derived.update(0, {"a": 3}) == {"m": 3.0}
    assert derived.update(1, {"a": True}) == {"m": 2.0}
    assert derived.update(2, {"a": "hot"}) == {"m": 2.0}


@pytest.mark.parametrize(
    ("feature", "told"),
    [
        ({"kind": "mean"}, "one of them"),
        ({"kind": "lag", "events": 1, "duration_us": 1}, "one of them"),
        ({"kind": "mean", "events": 3}, "over a duration"),
        ({"kind": "lag", "events": 0}, "must be 1 to"),
        ({"kind": "lag", "events": MOST_READINGS + 1}, "must be 1 to"),
        ({"kind": "sd", "duration_us": 0}, "must be positive"),
    ],
)
def test_a_feature_that_makes_no_sense_is_refused(feature: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        DerivedFeature("f", "a", **feature)
