"""Ticks say how far each partition lags, and come no more often than asked."""

from __future__ import annotations

import json

import pytest
from faust.types import TP

from tidemill.runtime.faust_ticking import CONFIRMED_S, STOOD_STILL_S, Ticking

LAGS = {TP("clock", 0): 3, TP("a", 0): 0, TP("b", 0): None, TP("a", 1): 7}


def test_each_partition_is_told_how_far_its_other_inputs_lag() -> None:
    ticks = Ticking(10.0, clock=lambda: 0.0, now=lambda: CONFIRMED_S + 1.8).due("clock", LAGS)
    assert [(tick.topic, tick.partition) for tick in ticks] == [("clock", 0), ("clock", 1)]
    assert [json.loads(tick.value or b"") for tick in ticks] == [
        {"lag": {"a": 0, "b": None}, "looked": 1800},
        {"lag": {"a": 7}, "looked": 1800},
    ]


def test_time_is_told_only_when_it_is_due_and_somebody_is_there() -> None:
    now_s = 100.0
    ticking = Ticking(10.0, clock=lambda: now_s)
    assert ticking.due("clock", {}) == []
    assert len(ticking.due("clock", LAGS)) == 2
    now_s += 9.9
    assert ticking.due("clock", LAGS) == []
    now_s += 0.1
    assert len(ticking.due("clock", LAGS)) == 2


@pytest.mark.parametrize("is_suspended", [True, False])
def test_a_process_that_stood_still_fetches_before_it_tells_how_far_it_lags(
    *, is_suspended: bool
) -> None:
    """Of a machine that was suspended the monotonic clock stood still, too."""
    monotonic_s, now_s = 100.0, 1_800_000_000.0
    ticking = Ticking(10.0, clock=lambda: monotonic_s, now=lambda: now_s)
    assert len(ticking.due("clock", LAGS)) == 2
    monotonic_s, now_s = monotonic_s + 10.0, now_s + STOOD_STILL_S + 1.0
    if not is_suspended:
        monotonic_s += STOOD_STILL_S - 9.0
    assert ticking.due("clock", LAGS) == []
    monotonic_s, now_s = monotonic_s + 10.0, now_s + 10.0
    assert len(ticking.due("clock", LAGS)) == 2
