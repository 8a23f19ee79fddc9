"""The compiled steps are those in Python; cuts and snapshots change nothing."""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detection.streams import correlated
from tidemill.detection import layout as at
from tidemill.detection import plain_stepping, signals, stepping
from tidemill.detection.changes import Channel
from tidemill.detection.signals import Signals, Watch

if TYPE_CHECKING:
    from detection.streams import Floats, Indices
    from tidemill.detection.changes import Change

WATCHES = (Watch(1e4), Watch(1e4, upward=True), Watch(1e4, channels=(Channel.LEVEL,)))
ODD = (math.nan, math.inf, -math.inf, 1e308, -1e308, 5e-324, 0.0, -0.0, 20.0)


def eventful(seed: int, count: int = 4_000) -> Floats:
    """Return three signals with shifts, gaps, a stuck span, rounding and impossible values."""
    rng = np.random.default_rng(seed)
    values = correlated(rng.choice([0.0, 0.5, 0.9]), (3, count), seed)
    values[0] = np.round(values[0] * 2.0) / 2.0
    values[1, 2_500:] += 2.0
    values[2, 2_000:2_300] = values[2, 1_999]
    values[0, 3_000:3_100] = math.nan
    places = rng.integers(0, count, 30)
    values[rng.integers(0, 3, 30), places] = rng.choice(ODD, 30)
    return values


def told(found: Signals, values: Floats, cuts: list[int]) -> list[tuple[object, ...]]:
    """Return what was said, with events counted from the very first."""
    said: list[tuple[object, ...]] = []
    edges = [0, *cuts, values.shape[1]]
    for begin, end in itertools.pairwise(edges):
        stamps = np.arange(float(begin), float(end))
        said += [_plain(change, begin) for change in found.update(values[:, begin:end], stamps)]
    return said


def _plain(change: Change, begin: int) -> tuple[object, ...]:
    return (change.event + begin, change.signal, str(change.status), repr(change.effect))


def test_the_compiled_steps_are_built_here_and_trusted() -> None:
    assert stepping.is_trusted()


@pytest.mark.parametrize("seed", range(6))
def test_compiled_and_plain_steps_agree_in_every_bit(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = eventful(seed)
    states = []
    for step in (stepping.compiled.advance, plain_stepping.advance):
        monkeypatch.setattr(signals, "advance", step)
        found = Signals(WATCHES)
        states.append((told(found, values, []), found.rows.tobytes()))
    assert states[0] == states[1]
    assert states[0][0]


@settings(max_examples=25, deadline=None)
@given(
    st.lists(
        st.one_of(
            st.floats(width=64),
            st.sampled_from(ODD),
            st.integers(-3, 3).map(float),
        ),
        min_size=150,
        max_size=400,
    )
)
def test_any_doubles_at_all_leave_both_forms_equal_and_finite(values: list[float]) -> None:
    given_values = np.array([values * 8])
    stamps = np.arange(float(given_values.shape[1]))
    rows = []
    for step in (stepping.compiled.advance, plain_stepping.advance):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(signals, "advance", step)
            found = Signals(WATCHES[:1])
            found.update(given_values, stamps)
            rows.append(found.rows)
    assert rows[0].tobytes() == rows[1].tobytes()
    for c in at.CHANNELS:
        assert math.isfinite(rows[0][0, c + at.STAT])
        assert math.isfinite(rows[0][0, c + at.S])


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 3), st.lists(st.integers(1, 3_999), max_size=12).map(sorted))
def test_how_the_input_is_cut_changes_nothing(seed: int, cuts: list[int]) -> None:
    values = eventful(seed)
    whole, cut = Signals(WATCHES), Signals(WATCHES)

    assert told(whole, values, []) == told(cut, values, cuts)
    assert whole.state() == cut.state()


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 3), st.integers(0, 4_000))
def test_what_is_restored_cannot_be_told_apart(seed: int, cut: int) -> None:
    values = eventful(seed)
    whole = Signals(WATCHES)
    told(whole, values[:, :cut], [])
    again = Signals.from_state(whole.state())
    assert again.state() == whole.state()
    rest = values[:, cut:]

    assert told(again, rest, []) == told(whole, rest, [])
    assert again.state() == whole.state()


def test_a_state_that_is_not_whole_or_of_another_form_is_refused() -> None:
    state = Signals(WATCHES).state()
    for broken in (b"", state[:-1], state + b"\0", state[:20], b"\1" + state[1:], state[:-8]):
        with pytest.raises(ValueError, match="the state of"):
            Signals.from_state(broken)


def test_values_of_another_shape_are_refused() -> None:
    with pytest.raises(ValueError, match="values must be 3 rows of 5"):
        Signals(WATCHES).update(np.zeros((2, 5)), np.arange(5.0))


def test_without_the_compiled_form_python_computes(monkeypatch: pytest.MonkeyPatch) -> None:
    values = eventful(1)[:, :300]
    fast = Signals(WATCHES)
    told(fast, values, [])
    monkeypatch.setattr(stepping, "is_trusted", lambda: False)
    plain = Signals(WATCHES)
    told(plain, values, [])

    assert plain.state() == fast.state()


def test_a_compiled_form_that_differs_is_not_trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    class Other:
        @staticmethod
        def advance(rows: Floats, values: Floats, stamps: Floats, at_event: Indices) -> int:
            woken = plain_stepping.advance(rows, values, stamps, at_event)
            rows[0, at.LEVEL + at.S] += 1e-13
            return woken

    monkeypatch.setattr(stepping, "compiled", Other)
    stepping.is_trusted.cache_clear()
    assert not stepping.is_trusted()
    monkeypatch.setattr(stepping, "compiled", None)
    stepping.is_trusted.cache_clear()
    assert not stepping.is_trusted()
    monkeypatch.undo()
    stepping.is_trusted.cache_clear()
    assert stepping.is_trusted()


def test_the_state_stays_bounded_where_every_start_stays_the_best() -> None:
    ramp = np.arange(200_000.0)[None] ** 1.5
    found = Signals(WATCHES[:1])
    found.update(ramp, ramp[0])
    noise = correlated(0.5, (1, 200_000), 1)
    drifting = Signals(WATCHES[:1])
    drifting.update(noise + ramp / ramp.max(), ramp[0])

    assert len(found.state()) < 12_500
    assert len(drifting.state()) < 12_500
