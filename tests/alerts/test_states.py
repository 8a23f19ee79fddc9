"""The states of an alarm are those of ISA-18.2, and nothing leads anywhere else."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidemill.processors.alerts.states import (
    ACKNOWLEDGED,
    GONE,
    NORMAL,
    PHASES,
    SHELVED,
    SHELVED_GONE,
    UNACKNOWLEDGED,
    Phase,
    Signal,
    State,
    after,
)

# Every arrow of the standard's diagram between states that are ours, and those into and out of
# shelves: from, what happens, to.
DIAGRAM = [
    (NORMAL, Signal.RAISED, UNACKNOWLEDGED),
    (UNACKNOWLEDGED, Signal.ACKNOWLEDGED, ACKNOWLEDGED),
    (UNACKNOWLEDGED, Signal.RETURNED, GONE),
    (ACKNOWLEDGED, Signal.RETURNED, NORMAL),
    (ACKNOWLEDGED, Signal.NEWS, UNACKNOWLEDGED),
    (GONE, Signal.ACKNOWLEDGED, NORMAL),
    (GONE, Signal.RAISED, UNACKNOWLEDGED),
    (UNACKNOWLEDGED, Signal.SHELVED, SHELVED),
    (ACKNOWLEDGED, Signal.SHELVED, SHELVED),
    (GONE, Signal.SHELVED, SHELVED_GONE),
    (SHELVED, Signal.RETURNED, SHELVED_GONE),
    (SHELVED_GONE, Signal.RAISED, SHELVED),
    (SHELVED, Signal.UNSHELVED, UNACKNOWLEDGED),
    (SHELVED_GONE, Signal.UNSHELVED, NORMAL),
]
# What a person asks for where it makes no sense.
REFUSED = [
    (NORMAL, Signal.ACKNOWLEDGED),
    (ACKNOWLEDGED, Signal.ACKNOWLEDGED),
    (SHELVED, Signal.ACKNOWLEDGED),
    (SHELVED_GONE, Signal.ACKNOWLEDGED),
    (NORMAL, Signal.SHELVED),
    (NORMAL, Signal.UNSHELVED),
    (UNACKNOWLEDGED, Signal.UNSHELVED),
    (ACKNOWLEDGED, Signal.UNSHELVED),
    (GONE, Signal.UNSHELVED),
]
signals = st.sampled_from(Signal)


def walk(steps: list[Signal]) -> Phase:
    phase = NORMAL
    for signal in steps:
        phase = after(phase, signal) or phase
    return phase


@pytest.mark.parametrize(("before", "signal", "then"), DIAGRAM)
def test_each_arrow_of_the_diagram_is_there(before: Phase, signal: Signal, then: Phase) -> None:
    assert after(before, signal) == then


@pytest.mark.parametrize(("before", "signal"), REFUSED)
def test_what_makes_no_sense_is_refused(before: Phase, signal: Signal) -> None:
    assert after(before, signal) is None


@pytest.mark.parametrize("phase", PHASES)
def test_what_is_neither_an_arrow_nor_refused_changes_nothing_or_gives_up(phase: Phase) -> None:
    known = {(before, signal) for before, signal, _ in DIAGRAM}
    for signal in set(Signal) - {Signal.GIVEN_UP}:
        if (phase, signal) in known or (phase, signal) in REFUSED:
            continue
        news_is_raised = (phase, Signal.RAISED) in known and signal is Signal.NEWS
        wanted = after(phase, Signal.RAISED) if news_is_raised else phase
        assert after(phase, signal) == wanted, signal
    assert after(phase, Signal.GIVEN_UP) == NORMAL


@given(st.lists(signals))
def test_an_alarm_is_acknowledged_only_while_its_condition_stands(steps: list[Signal]) -> None:
    assert walk(steps) in PHASES
    assert Phase(State.ACKNOWLEDGED, is_active=False) not in PHASES
    assert Phase(State.CLEARED, is_active=True) not in PHASES


@given(st.lists(signals), st.lists(st.sampled_from([Signal.RETURNED, Signal.SHELVED])))
def test_no_alarm_that_nobody_answered_goes_away_by_itself(
    before: list[Signal], then: list[Signal]
) -> None:
    raised = after(walk(before), Signal.NEWS)
    assert raised is not None
    phase = raised
    for signal in then:
        phase = after(phase, signal) or phase
    assert phase != NORMAL


@given(st.lists(signals))
def test_the_condition_is_that_of_its_last_sign(steps: list[Signal]) -> None:
    signs = [
        s for s in steps if s in {Signal.RAISED, Signal.NEWS, Signal.RETURNED, Signal.GIVEN_UP}
    ]
    stands = bool(signs) and signs[-1] in {Signal.RAISED, Signal.NEWS}
    assert walk(steps).is_active == stands


@given(st.lists(signals), signals)
def test_the_same_sign_twice_is_one(steps: list[Signal], signal: Signal) -> None:
    once = walk([*steps, signal])
    if signal not in {Signal.ACKNOWLEDGED, Signal.UNSHELVED}:
        assert walk([*steps, signal, signal]) == once
