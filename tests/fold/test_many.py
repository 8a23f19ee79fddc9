"""Finding many events at once finds what finding each finds."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asking.topics import Topics, prediction, put_predictions
from tidemill.contracts.topics import EVENTS, PREDICTIONS
from tidemill.fold.why import many
from tidemill.fold.why.many import Home, backwards, find_many, home_of
from tidemill.fold.why.search import Wanted, find_predictions

if TYPE_CHECKING:
    from tidemill.kernel.records import Message

BOTH = [0, 1]
names = st.sampled_from(
    [
        "e0",
        "e1",
        "e2",
        "nobody",
        f"{EVENTS}-0@1",
        f"{EVENTS}-1@99",
        f"{EVENTS}-0-2",
        f"{EVENTS}-1-0",
    ]
)
wanted = st.builds(Wanted, names, st.sampled_from([None, "north/1", "south/1"]))


def plant() -> Topics:
    topics = Topics()
    for n in range(9):
        asset = "north/1" if n % 2 else "north/2"
        put_predictions(topics, prediction(f"e{n % 4}", asset))
    topics.put(PREDICTIONS, b"\0\0\0\0\1\4e0")
    put_predictions(topics, prediction(f"{EVENTS}-1-0", "south/1"), partition=1)
    put_predictions(topics, prediction("e1", "south/1", stream="press"), partition=1)
    return topics


@given(st.lists(wanted, max_size=8))
def test_all_are_found_that_are_found_one_by_one(asked: list[Wanted]) -> None:
    topics = plant()

    assert find_many(topics, BOTH, asked) == {
        each: find_predictions(topics, BOTH, each) for each in asked
    }


def test_nothing_is_read_where_positions_say_all(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[tuple[int, int]] = []

    find_many(plant(), BOTH, [Wanted(f"{EVENTS}-0@1")], lambda *at: told.append(at))
    assert told == []
    find_many(plant(), BOTH, [Wanted("e1")], lambda *at: told.append(at))
    assert {partition for partition, _ in told} == {0, 1}


@given(st.integers(0, 20), st.integers(1, 9))
def test_backwards_gives_every_record_once(count: int, size: int) -> None:
    topics = Topics()
    put_predictions(topics, *(prediction(f"e{n}") for n in range(count)))

    pieces = list(backwards(topics, PREDICTIONS, 0, size))

    found: list[Message] = [message for piece in reversed(pieces) for message in piece]
    assert found == topics.records[PREDICTIONS, 0]


@pytest.mark.parametrize(
    ("asset", "home"),
    [
        ("north/2", Home(0, frozenset({"pump"}))),
        ("south/1", Home(1, frozenset({"pump", "press"}))),
        ("north", None),
        ("e0", None),
    ],
)
def test_an_asset_is_where_its_predictions_are(
    monkeypatch: pytest.MonkeyPatch, asset: str, home: Home | None
) -> None:
    monkeypatch.setattr(many, "CHUNK", 2)

    assert home_of(plant(), BOTH, asset) == home


def test_an_asset_is_sought_from_the_newest_records_on() -> None:
    told: list[tuple[int, int]] = []
    topics = plant()

    assert home_of(topics, BOTH, "south/1", lambda *at: told.append(at)) is not None
    assert told[0][0] == 0
    assert home_of(Topics(), BOTH, "south/1") is None
