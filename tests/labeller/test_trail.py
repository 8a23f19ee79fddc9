"""What is still needed is never passed by the marks, which stay short."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidemill.kernel.errors import InvariantError
from tidemill.processors.labeller.passing import Passing
from tidemill.processors.labeller.trail import MOST_CHUNKS, Chunk, Starts, Trail

LONGEST_MARK = 4_096  # a broker's own limit
_reads = st.lists(st.integers(0, 60), max_size=5)


def at(offset: int) -> Starts:
    return Starts(offset, offset, offset, offset)


@given(st.lists(st.tuples(_reads, st.integers(0, 90), st.booleans()), max_size=60))
def test_nothing_that_waits_lies_before_the_lowest_offset(
    turns: list[tuple[list[int], int, bool]],
) -> None:
    trail = Trail([Chunk(at(0))], size=2)
    waiting: list[tuple[int, int]] = []
    offset = 0
    for reads, now, is_started_anew in turns:
        for deadline in reads:
            trail.note(deadline)
            waiting.append((deadline, offset))
            offset += 1
        if is_started_anew:
            trail = Trail.decode(trail.encode())
        if trail.is_due:
            trail.begin(at(offset))
        waiting = [each for each in waiting if each[0] >= now]
        trail.drop(min((deadline for deadline, _ in waiting), default=None))
        assert trail.lows.predictions <= min((o for _, o in waiting), default=offset)
        assert len(trail.chunks) <= MOST_CHUNKS


def test_what_is_over_is_passed() -> None:
    trail = Trail([Chunk(at(0))], size=10)
    for number in range(200):
        trail.note(number)
        if trail.is_due:
            trail.begin(at(number + 1))
        trail.drop(number - 20)
    assert trail.lows.predictions > 140
    trail.drop(None)
    trail.note(300)
    assert trail.is_due
    trail.begin(at(201))
    trail.drop(None)
    assert trail.lows == at(201)


def test_a_mark_comes_back_and_fits_into_the_metadata_of_an_offset() -> None:
    far = 1 << 60
    trail = Trail([Chunk(Starts(far, far, far, far), far)], size=1, given_up=far)
    for _ in range(10_000):
        trail.note(far)
        if trail.is_due:
            trail.begin(Starts(far, far, far, far))
    mark = trail.encode()
    assert len(mark) < LONGEST_MARK
    assert Trail.decode(mark).encode() == mark


@pytest.mark.parametrize("mark", ["17", "{}", "[", '{"given_up":0,"size":1,"needed":[]}'])
def test_another_s_mark_halts(mark: str) -> None:
    with pytest.raises(InvariantError, match="the mark of a labeller's offsets must"):
        Trail.decode(mark)


@given(st.lists(st.integers(-5, 5)))
def test_the_second_latest_time_has_passed(times: list[int]) -> None:
    passing = Passing()
    for time in times:
        passing.see(time)
    ordered = sorted(times)
    assert passing.second_us == (ordered[-2] if len(ordered) > 1 else None)
