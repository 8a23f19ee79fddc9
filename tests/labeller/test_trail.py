"""What is still needed is never passed by the marks, which stay short."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidemill.kernel.errors import InvariantError
from tidemill.processors.labeller.trail import MOST_STRETCHES, Starts, Trail

LONGEST_MARK = 4_096  # a broker's own limit
_reads = st.lists(st.integers(0, 60), max_size=5)


def at(offset: int) -> Starts:
    return Starts(offset, offset, offset, offset)


@given(st.lists(st.tuples(_reads, st.integers(0, 90), st.booleans()), max_size=60))
def test_nothing_that_waits_lies_before_the_lowest_offset(
    turns: list[tuple[list[int], int, bool]],
) -> None:
    trail = Trail([at(0)], size=2)
    waiting: list[tuple[int, int]] = []
    offset = 0
    for reads, now, is_started_anew in turns:
        for deadline in reads:
            trail.note()
            waiting.append((deadline, offset))
            offset += 1
        if is_started_anew:
            trail = Trail.decode(trail.encode())
        if trail.is_due:
            trail.begin(at(offset))
        waiting = [each for each in waiting if each[0] >= now]
        oldest = min((o for _, o in waiting), default=None)
        trail.drop(oldest, None if oldest is None else oldest + 1)
        assert trail.lows.predictions <= min((o for _, o in waiting), default=offset)
        assert len(trail.starts) <= MOST_STRETCHES


def test_what_is_over_is_passed() -> None:
    trail = Trail([at(0)], size=10)
    for number in range(200):
        trail.note()
        if trail.is_due:
            trail.begin(at(number + 1))
        trail.drop(number - 20, None)
    assert trail.lows.predictions > 140
    trail.drop(None, 7)
    assert trail.lows.labels <= 190, "the newest stretch stays"
    trail.drop(None, None)
    trail.note()
    assert trail.is_due
    trail.begin(at(201))
    trail.drop(None, None)
    assert trail.lows == at(201)


@pytest.mark.parametrize("oldest", [(5, None), (None, 5), (5, 900), (900, 5)])
def test_the_oldest_of_either_input_holds_its_stretch(oldest: tuple[int | None, ...]) -> None:
    trail = Trail([at(0), at(10), at(20)])
    trail.drop(*oldest)
    assert trail.lows == at(0)
    trail.drop(10, 10)
    assert trail.lows == at(10)


def test_stretches_are_short_again_after_a_burst() -> None:
    trail = Trail([at(0)], size=1_000)
    for number in range(100_000):
        trail.note()
        if trail.is_due:
            trail.begin(at(number))
    assert trail.size > 10_000
    for number in range(100_000, 300_000, 1_000):
        trail.count += 1_000
        if trail.is_due:
            trail.begin(at(number))
        trail.drop(number - 1_000, None)
    assert trail.size <= 2_000


def test_a_mark_comes_back_and_fits_into_the_metadata_of_an_offset() -> None:
    far = 1 << 60
    trail = Trail([Starts(far, far, far, far)], size=1, given_up=far)
    for _ in range(10_000):
        trail.note()
        if trail.is_due:
            trail.begin(Starts(far, far, far, far))
    mark = trail.encode()
    assert len(mark) < LONGEST_MARK
    assert Trail.decode(mark).encode() == mark


@pytest.mark.parametrize("mark", ["17", "{}", "[", '{"given_up":0,"size":1,"needed":[]}'])
def test_another_s_mark_halts(mark: str) -> None:
    with pytest.raises(InvariantError, match="the mark of a labeller's offsets must"):
        Trail.decode(mark)
