"""Events judged by their asset's recent past: what is flagged, filled in, forgotten."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tidemill.contracts.stream import Feature, Step, StreamDefinition, TimeField
from tidemill.fold.gate import Gate
from tidemill.fold.senses import MOST_WAITING, Ahead, Senses
from tidemill.models.outputs import Answer
from tidemill.models.recent import Recent
from tidemill.models.refining import Region, Stored

SECOND = 1_000_000
SAID = Stored(Answer(1.5, None, None), Region((1.0, 2.0, 100)))


def stream(
    *features: Feature, lateness_s: float | None = None, within: int = 4
) -> StreamDefinition:
    return StreamDefinition(
        name="pump",
        event="plant.Pump",
        asset="asset",
        time=TimeField(field="time"),
        lateness_s=lateness_s,
        duplicates_within=within,
        features=features,
        target=None,
        champion=(Step(name="anomaly.HalfSpaceTrees"),),
        seed=1,
    )


class Asset:
    """One asset's events judged in order, those without a fault remembered."""

    def __init__(self, definition: StreamDefinition, ahead: Ahead | None = None) -> None:
        self._gate = Gate(definition.features)
        self._senses = Senses(definition, ahead)
        self.recent = Recent()
        self.cases: list[tuple[dict[str, Any], Any]] = []

    def see(
        self,
        time_s: float = 0.0,
        event_id: str | None = None,
        y: float | None = None,
        **values: Any,
    ) -> tuple[list[str], dict[str, Any]]:
        time_us = int(time_s * SECOND)
        checked = self._senses.judge(self.recent, self._gate.check(values), time_us, event_id)
        if checked.is_learnable:
            ripe = self._senses.ripe(self.recent, time_us, y)
            assert all(case.stored == SAID for case in ripe)
            self.cases += [(case.x, case.y) for case in ripe]
            self._senses.remember(self.recent, checked.x, time_us, event_id)
            self._senses.wait(self.recent, checked.x, time_us, SAID)
        return [flag.name for flag in checked.quality], checked.x


def test_an_event_later_than_allowed_is_late_and_changes_nothing() -> None:
    asset = Asset(stream(Feature(name="a"), lateness_s=10))
    for second in (0, 100, 101):
        assert asset.see(second, a=1.0)[0] == []
    before = asset.recent.dump()

    assert asset.see(89.9, a=5.0) == (["LATE"], {"a": 5.0})
    assert asset.recent.dump() == before
    assert asset.see(90.0, a=5.0)[0] == []


def test_one_clock_that_runs_ahead_makes_no_other_event_late() -> None:
    asset = Asset(stream(Feature(name="a"), lateness_s=10))
    for second in (0, 1, 10**9, 2, 3):
        assert asset.see(second, a=1.0)[0] == []

    assert asset.see(3 - 11, a=1.0)[0] == ["LATE"]


def test_an_event_id_seen_lately_is_a_duplicate_and_memory_is_bounded() -> None:
    asset = Asset(stream(Feature(name="a"), within=4))
    for n in range(5):
        assert asset.see(n, f"e{n}", a=float(n))[0] == []

    assert asset.see(5, "e1", a=1.0)[0] == ["DUPLICATE"]
    assert asset.see(5, "e0", a=1.0)[0] == [], "forgotten: four are remembered"
    assert len(asset.recent.ids) == 4


def test_a_sensor_that_stands_still_is_stuck_from_the_nth_equal_reading_on() -> None:
    asset = Asset(stream(Feature(name="a", stuck_after=3), Feature(name="b")))
    asset.see(0, a=2.0, b=0.0)
    assert asset.see(1, a=8.0, b=1.0)[0] == []
    assert asset.see(2, a=8.0, b=2.0)[0] == []

    mean = (2.0 + 8.0 + 8.0) / 3
    assert asset.see(3, a=8.0, b=3.0) == (["STUCK", "IMPUTED"], {"a": mean, "b": 3.0})
    assert asset.see(4, a=8.0, b=4.0) == (["STUCK", "IMPUTED"], {"a": mean, "b": 4.0})
    assert asset.see(5, a=8.5, b=5.0) == ([], {"a": 8.5, "b": 5.0})
    assert asset.see(6, a=8.5, b=6.0)[0] == []


def test_a_reading_that_changes_too_fast_is_out_of_range_until_time_allows_it() -> None:
    asset = Asset(stream(Feature(name="a", rate=0.5)))
    asset.see(0, a=10.0)

    assert asset.see(10, a=15.0) == ([], {"a": 15.0})
    assert asset.see(11, a=16.0) == (["OUT_OF_RANGE", "IMPUTED"], {"a": 15.0})
    assert asset.see(12, a=16.0) == ([], {"a": 16.0})
    assert asset.see(12, a=17.0)[0] == ["OUT_OF_RANGE", "IMPUTED"], "two readings at one instant"


def test_what_cannot_be_trusted_is_filled_in_in_canonical_order() -> None:
    asset = Asset(stream(Feature(name="b", high=9.0), Feature(name="a"), Feature(name="c")))
    assert asset.see(0, a=1.0, b=float("nan"), c=3.0) == (["NOT_FINITE"], {"a": 1.0, "c": 3.0})
    asset.see(1, a=1.0, b=2.0)
    asset.see(2, a=4.0, c=5.0)

    quality, x = asset.see(3, a=float("inf"), b=10.0)
    assert quality == ["MISSING", "NOT_FINITE", "OUT_OF_RANGE", "IMPUTED"]
    assert list(x.items()) == [("b", 2.0), ("a", 4.0)], "c is merely missing: no fault"


def test_a_required_sensor_that_is_missing_is_filled_in() -> None:
    asset = Asset(stream(Feature(name="a", required=True), Feature(name="b")))
    asset.see(0, a=1.0, b=1.0)

    assert asset.see(1, b=2.0) == (["MISSING", "IMPUTED"], {"a": 1.0, "b": 2.0})
    assert asset.see(2, a=3.0) == (["MISSING"], {"a": 3.0}), "b is not required"
    assert asset.recent.count == 2


def test_a_case_gets_the_reading_a_number_of_events_later() -> None:
    asset = Asset(stream(Feature(name="a")), Ahead(events=3, micros=None))
    for n in range(6):
        asset.see(n, a=float(n), y=None if n == 4 else 10.0 * n)
        asset.see(n, a=float("nan"), y=99.0)

    assert asset.cases == [({"a": 0.0}, 30.0), ({"a": 2.0}, 50.0)]
    assert len(asset.recent.waiting) == 3


def test_a_case_gets_the_first_reading_at_or_after_a_duration_but_not_across_a_gap() -> None:
    asset = Asset(stream(Feature(name="a")), Ahead(events=None, micros=60 * SECOND))
    for second, y in ((0, 0.0), (30, 1.0), (59, 2.0), (61, None), (62, 3.0), (200, 4.0)):
        asset.see(second, a=float(second), y=y)

    assert asset.cases == [({"a": 0.0}, 3.0)], "the others' readings came after twice the duration"
    assert [case.time_us for case in asset.recent.waiting] == [200 * SECOND]


def test_no_more_cases_wait_than_memory_allows() -> None:
    asset = Asset(stream(Feature(name="a")), Ahead(events=MOST_WAITING + 10, micros=None))
    for n in range(MOST_WAITING + 20):
        asset.see(n, a=float(n), y=float(n))

    assert len(asset.recent.waiting) == MOST_WAITING
    assert asset.cases == []


def disturbed(seed: int, events: int) -> list[dict[str, Any]]:
    chance = random.Random(seed)
    seen: list[dict[str, Any]] = []
    for n in range(events):
        event: dict[str, Any] = {
            "time_s": float(n),
            "event_id": f"e{n}",
            "a": chance.choice([1.0, 2.0, 3.0]),
            "b": chance.gauss(0.0, 1.0),
            "y": chance.gauss(0.0, 1.0),
        }
        match chance.randrange(12):
            case 0:
                event["b"] = chance.choice([float("nan"), float("inf"), 50.0])
            case 1:
                event["time_s"] = n - 100.0
            case 2 if seen:
                event["event_id"] = chance.choice(seen[-3:])["event_id"]
            case 3:
                del event["a"]
        seen.append(event)
    return seen


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10_000), events=st.integers(1, 80), by_count=st.booleans())
def test_flagged_events_leave_no_trace_and_a_restored_past_judges_alike(
    seed: int, events: int, by_count: bool
) -> None:
    definition = stream(
        Feature(name="a", stuck_after=2, required=True),
        Feature(name="b", low=-9.0, high=9.0, rate=3.0),
        lateness_s=20.0,
    )
    ahead = Ahead(4, None) if by_count else Ahead(None, 5 * SECOND)
    whole, alone, restored = (Asset(definition, ahead) for _ in range(3))
    for event in disturbed(seed, events):
        quality, x = whole.see(**event)
        assert restored.see(**event) == (quality, x)
        restored.recent = Recent.load(restored.recent.dump())
        if not quality:
            assert alone.see(**event) == ([], x)

    assert alone.recent.dump() == whole.recent.dump() == restored.recent.dump()
    assert alone.cases == whole.cases == restored.cases


@pytest.mark.parametrize("count", [100, 2_000])
def test_the_recent_past_stays_bounded(count: int) -> None:
    asset = Asset(
        stream(Feature(name="a", stuck_after=5, rate=9.0), lateness_s=5, within=8), Ahead(20, None)
    )
    for n in range(count):
        asset.see(n, f"e{n}", a=float(n % 7), y=1.0)

    recent = asset.recent
    assert (len(recent.ids), len(recent.waiting), len(recent.runs)) == (8, 20, 1)
